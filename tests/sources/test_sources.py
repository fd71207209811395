"""What holds for every source: a new file in conf/source is tested by being there."""

from pathlib import Path

import numpy as np
import pytest
import scipy.integrate
import scipy.signal
import scipy.stats
import soundfile
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from ltc.errors import InputError
from ltc.sources import FiniteSource, Source

CONF = Path(__file__).parents[2] / "conf/source"
NAMES = sorted(path.stem for path in CONF.glob("*.yaml"))


def config(name, **changes):
    values = OmegaConf.to_container(OmegaConf.load(CONF / f"{name}.yaml"))
    values = values.get("source", values)  # one that chooses what suits it has more
    # The command line tools fill in the quantizer's dimension.
    if values.get("dimension", 0) is None:
        values["dimension"] = 8
    return {**values, **changes}


# What a source cannot do without, and what makes it quick to test.
SETTINGS = {
    "array": lambda folder: {"path": rows(folder)},
    "audio": lambda folder: {"root": recordings(folder)},
    "sawbridge": lambda folder: {"points": 32},
    "sounds": lambda folder: {"root": recordings(folder)},
    "speech_stft": lambda folder: {"root": recordings(folder), "speaker": None, "step": 16},
}
# Sources that keep the scale of the literature or of the file.
OWN_SCALE = ("array", "iid_bernoulli", "sawbridge", "speech_stft")


def rows(folder):
    np.save(folder / "rows.npy", np.random.default_rng(0).normal(2, 3, (5000, 3)))
    return str(folder / "rows.npy")


def recordings(folder):
    rng = np.random.default_rng(0)
    for i in range(12):
        samples = scipy.signal.lfilter([0.1], [1, -0.9], rng.normal(size=4000 + 10 * i))
        soundfile.write(folder / f"{i:02}.wav", samples / 8, 8000)
    return str(folder)


@pytest.fixture(scope="module", params=NAMES)
def source(request, tmp_path_factory) -> Source:
    settings = SETTINGS.get(request.param, lambda _: {})
    changes = settings(tmp_path_factory.mktemp(request.param))
    return instantiate(config(request.param, **changes), _convert_="all")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_name_is_that_of_the_file(request, source):
    assert source.name == request.node.callspec.params["source"]


def test_samples(source):
    x = source.sample(100, generator())
    assert x.shape == (100, source.dimension)
    assert x.dtype == source.held_out(10, generator()).dtype == torch.float32
    assert torch.isfinite(x).all()
    assert source.sample(0, generator()).shape == (0, source.dimension)


def test_blocks_follow_the_order_of_the_source(source):
    x = source.blocks(6, 5, generator())
    assert x.shape == (6, 5, source.dimension)
    assert x.equal(source.blocks(6, 5, generator()))
    if isinstance(source, FiniteSource):
        rows = len(source.train)
        for block in x:
            first = torch.nonzero((source.train == block[0]).all(1))
            runs = source.train[(first + source.successive * torch.arange(5)) % rows]
            assert (runs == block).flatten(1).all(1).any()


def test_seed_repeats(source):
    a, b = generator(), generator()
    assert source.sample(50, a).equal(source.sample(50, b))
    assert not source.sample(50, a).equal(source.sample(50, generator()))
    assert source.held_out(50, generator()).equal(source.held_out(50, generator()))


def test_moments(source):
    x = source.held_out(100_000, generator(1)).double()
    covariance = source.covariance
    if source.finite:
        assert torch.cov(x.T, correction=0).reshape(covariance.shape).allclose(covariance)
        return
    if source.alphabet is None:
        assert (x.mean(0).abs() < 5 * (covariance.diagonal() / len(x)).sqrt()).all()
    x = x - x.mean(0)
    products = x.T @ x / len(x)
    stderr = ((x.square().T @ x.square() / len(x) - products.square()) / len(x)).sqrt()
    assert ((products - covariance).abs() < 5 * stderr + 1e-6).all()


def test_covariance(source):
    covariance = source.covariance
    assert covariance.shape == (source.dimension, source.dimension)
    assert covariance.dtype == torch.float64
    assert covariance.allclose(covariance.T)
    assert torch.linalg.eigvalsh(covariance)[0] > -1e-9
    assert source.variance == pytest.approx(float(covariance.diagonal().mean()))


def test_unit_variance(source):
    if source.name in OWN_SCALE:
        pytest.skip("it keeps a scale of its own, and says so")
    if source.finite:
        rows = source.training_set(1 << 40, generator())
        deviation, mean = torch.std_mean(rows.double(), correction=0)
        assert float(mean) == pytest.approx(0, abs=1e-5)
        assert float(deviation) == pytest.approx(1, abs=1e-5)
    else:
        assert source.variance == pytest.approx(1, abs=1e-9)


def test_alphabet(source):
    if source.alphabet is None:
        assert source.entropy is None
        pytest.skip("not discrete, or not known")
    points, p = source.alphabet
    assert points.shape == (len(p), points.shape[1])
    assert p.sum() == pytest.approx(1)
    assert source.entropy == pytest.approx(scipy.stats.entropy(p, base=2) / points.shape[1])
    # The alphabet's own covariance is the one in closed form.
    centred = points - p @ points
    d = points.shape[1]
    assert (centred.T * p) @ centred == pytest.approx(source.covariance.numpy()[:d, :d])
    # Each sample is a letter, as often as its probability says.
    x = source.sample(100_000 // source.dimension, generator()).reshape(-1, d)
    distance = torch.cdist(x.double(), torch.from_numpy(points))
    nearest, letter = distance.min(1)
    assert nearest.max() < 1e-5
    expected = p * len(x)
    seen = np.bincount(letter, minlength=len(p))
    assert scipy.stats.chisquare(seen, expected).pvalue > 1e-3


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
        ("iid_laplacian", {"dimension": "two"}, "dimension=two"),
        ("correlated_vector", {"dimension": 2.5}, "dimension=2.5"),
        ("correlated_vector", {"correlation": 1.5}, "correlation=1.5.*above -1 and below 1"),
        ("correlated_vector", {"correlation": "high"}, "correlation=high"),
        ("correlated_vector", {"covariance": "missing.npy"}, r"missing\.npy.*No such file"),
        ("image_patches", {"patch": 0}, "patch=0"),
        ("image_patches", {"patch": 513}, "none of 11 files.*hold no patch"),
        ("image_patches", {"stride": -1}, "stride=-1"),
        ("image_patches", {"root": "nowhere"}, "root=nowhere does not exist"),
        ("image_patches", {"root": __file__}, "is a file; expected a folder"),
        ("image_patches", {"root": 3}, "root=3"),
        ("image_patches", {"root": str(Path(__file__).parent)}, r"holds no \.png, \.jpg"),
        ("audio", {"frame": -1}, "frame=-1"),
        ("audio", {"frame": True}, "frame=True"),
        ("audio", {"root": "nowhere"}, "root=nowhere does not exist"),
        ("audio", {"root": str(Path(__file__).parent)}, r"holds no \.wav, \.flac"),
        ("speech_stft", {"frame": 1}, "frame=1"),
        ("speech_stft", {"step": 0}, "step=0"),
        ("array", {}, "path=None; set source.path=FILE"),
        ("array", {"path": "missing.npy"}, r"path=missing\.npy"),
        ("array", {"path": str(CONF)}, "Is a directory"),
        ("array", {"path": "x.npy", "held_out": 1}, "held_out=1; expected a number above 0"),
        ("sawbridge", {"points": 0}, "points=0"),
        ("iid_bernoulli", {"probability": 1}, "probability=1"),
        ("iid_mixture", {"weights": []}, "expected a list"),
        ("iid_mixture", {"weights": 1}, "expected a list"),
        ("iid_mixture", {"weights": [1.0]}, "1, 2 and 2"),
        ("iid_mixture", {"deviations": [1, 0]}, "deviations=0; expected a positive number"),
        ("iid_mixture", {"means": [0, float("nan")]}, "means=nan; expected a number"),
    ],
)
def test_bad_parameters(name, changes, message):
    with pytest.raises(Exception, match=message) as caught:
        instantiate(config(name, **changes), _convert_="all")
    assert isinstance(caught.value.__cause__, InputError)
