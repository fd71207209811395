"""What holds for every source: a new file in conf/source is tested by being there."""

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from ltc.errors import InputError
from ltc.sources import FiniteSource, Source

CONF = Path(__file__).parents[2] / "conf/source"
NAMES = sorted(path.stem for path in CONF.glob("*.yaml"))


def config(name, **changes):
    values = OmegaConf.to_container(OmegaConf.load(CONF / f"{name}.yaml"))
    # The command line tools fill in the quantizer's dimension.
    if values.get("dimension", 0) is None:
        values["dimension"] = 8
    return {**values, **changes}


@pytest.fixture(scope="session", params=NAMES)
def source(request) -> Source:
    return instantiate(config(request.param), _convert_="all")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_name_is_that_of_the_file(request, source):
    assert source.name == request.node.callspec.params["source"]


def test_samples(source):
    x = source.sample(100, generator())
    assert x.shape == (100, source.dimension)
    assert x.dtype == torch.float32
    assert torch.isfinite(x).all()
    assert source.sample(0, generator()).shape == (0, source.dimension)


def test_seed_repeats(source):
    a, b = generator(), generator()
    assert source.sample(50, a).equal(source.sample(50, b))
    assert not source.sample(50, a).equal(source.sample(50, generator()))
    assert source.held_out(50, generator()).equal(source.held_out(50, generator()))


def test_moments(source):
    x = source.held_out(200_000, generator(1)).double()
    mean, covariance = x.mean(0), source.covariance
    variance = covariance.diagonal()
    centred = x - mean
    products = centred[:, :, None] * centred[:, None, :]
    stderr = products.std(0) / len(x) ** 0.5
    assert ((products.mean(0) - covariance).abs() < 5 * stderr + 1e-6).all()
    if not isinstance(source, FiniteSource):
        assert (mean.abs() < 5 * (variance / len(x)).sqrt()).all()


def test_covariance(source):
    covariance = source.covariance
    assert covariance.shape == (source.dimension, source.dimension)
    assert covariance.dtype == torch.float64
    assert covariance.allclose(covariance.T)
    assert torch.linalg.eigvalsh(covariance)[0] > -1e-9
    assert source.variance == pytest.approx(float(covariance.diagonal().mean()))


def test_unit_variance(source):
    assert source.variance == pytest.approx(1, abs=1e-9)


def test_key(source, request):
    assert json.loads(json.dumps(source.key)) == source.key
    assert source.key["source"] == source.name


def test_scalar_density(source):
    if source.density is None:
        pytest.skip("no density of a scalar")
    density = source.density
    low, high = max(density.support()[0], -40), min(density.support()[1], 40)
    x = np.linspace(low, high, 400_001)
    assert scipy.integrate.trapezoid(density.pdf(x), x) == pytest.approx(1, abs=1e-4)
    assert density.var() == pytest.approx(source.variance)
    sample = source.sample(20_000, generator()).flatten().numpy()[:50_000]
    assert scipy.stats.kstest(sample, density.cdf).pvalue > 1e-3
    u = np.array([1e-10, 0.01, 0.4, 0.99, 1 - 1e-9])
    assert density.cdf(density.ppf(u)) == pytest.approx(u, rel=1e-6)


def test_vector_density(source):
    if not hasattr(source, "log_density"):
        pytest.skip("no density of a vector")
    box = source.support()
    axes = [np.linspace(low, high, 601) for low, high in box]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    cell = np.prod([axis[1] - axis[0] for axis in axes])
    p = np.exp(source.log_density(grid)) * cell
    assert p.sum() == pytest.approx(1, abs=1e-8)
    # The density's own moments are the covariance in closed form.
    points = grid.reshape(-1, source.dimension)
    assert p.ravel() @ points == pytest.approx(0, abs=1e-6)
    second = (points * p.reshape(-1, 1)).T @ points
    assert second == pytest.approx(source.covariance.numpy(), abs=1e-6)
    # Samples fall into 12 x 12 blocks of the grid as often as the density says.
    x = source.sample(200_000, generator(2)).numpy()
    assert ((x > box[:, 0]) & (x < box[:, 1])).all()
    edges = [axis[0] + (axis[1] - axis[0]) * (np.arange(0, 602, 50) - 0.5) for axis in axes]
    seen, _ = np.histogramdd(x, edges)
    expected = p[:600, :600].reshape(12, 50, 12, 50).sum((1, 3)) * len(x)
    likely = expected > 50
    z = (seen - expected)[likely] / np.sqrt(expected[likely])
    assert (np.abs(z) < 5).all()
    assert 0.5 < (z**2).mean() < 2


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("iid_gaussian", {"dimension": 0}, "dimension=0"),
        ("iid_laplacian", {"dimension": "two"}, "dimension='two'"),
        ("correlated_vector", {"dimension": 2.5}, "dimension=2.5"),
        ("correlated_vector", {"correlation": 1.5}, "correlation=1.5.*above -1 and below 1"),
        ("correlated_vector", {"correlation": "high"}, "correlation='high'"),
        ("correlated_vector", {"covariance": "missing.npy"}, "missing.npy.*No such file"),
    ],
)
def test_bad_parameters(name, changes, message):
    with pytest.raises(Exception, match=message) as caught:
        instantiate(config(name, **changes), _convert_="all")
    assert isinstance(caught.value.__cause__, InputError)
