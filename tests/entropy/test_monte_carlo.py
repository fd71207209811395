"""The Monte Carlo entropy model against cell probabilities in closed form."""

import math

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf
from torch.special import ndtr

from ltc.cli.command import config_directory
from ltc.entropy import Exact, MonteCarlo, monte_carlo
from ltc.errors import InputError
from ltc.lattices import A2, E8, Zn
from ltc.quantizers import Layout
from ltc.runs.build import build

SAMPLINGS = ["plain", "antithetic", "sobol", "scrambled_sobol"]
CHANNEL = torch.arange(8)[None]  # of each coordinate of a vector of E8
SHARED = torch.tensor([[0]])  # one for all coordinates
DENSITIES = ["factorised", "realnvp", "maf", "nsf"]


def gaussian(lattice, width, **settings):
    """Return a model, in evaluation and float64, whose density is an i.i.d. Gaussian."""
    channel = torch.zeros(1, lattice.dimension, dtype=torch.long)
    model = MonteCarlo(lattice, channel, components=1, **settings).double().eval()
    with torch.no_grad():
        model.density.mixture.log_width.fill_(math.log(width))
    return model


def cells(points, width):
    """Return the Gaussian probabilities of the cubes around points, shape (..., rows, n)."""
    return (ndtr((points + 0.5) / width) - ndtr((points - 0.5) / width)).prod(-1)


@torch.no_grad()
@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("dimension", [1, 3])
def test_probabilities_of_cubes(sampling, dimension):
    model = gaussian(Zn(dimension), 1.2, samples=1 << 14, sampling=sampling)
    points = torch.randn(50, 1, dimension, dtype=torch.float64).round()
    exact = cells(points, 1.2)
    # Five standard errors of plain samples.
    error = (
        5 * (2 * math.log(2) * model.bias(points, SHARED)).sqrt() if sampling == "plain" else 0.01
    )
    assert ((torch.exp2(-model.bits(points, SHARED)) / exact - 1).abs() < error).all()


@torch.no_grad()
@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("lattice", [Zn(), A2()], ids=lambda lattice: lattice.name)
def test_probabilities_sum_to_one(density, lattice):
    torch.manual_seed(0)
    n = lattice.dimension
    channel = torch.arange(n)[None]
    model = MonteCarlo(lattice, channel, density, samples=256).double().eval()
    model.initialise(torch.randn(1000, 1, n, dtype=torch.float64) * 1.5 + 0.4, channel)
    for parameter in model.density.parameters():
        parameter.add_(0.05 * torch.randn_like(parameter))
    points = lattice.enumerate(9.0)[:, None]
    assert float(torch.exp2(-model.bits(points, channel)).sum()) == pytest.approx(1, abs=3e-3)


@torch.no_grad()
def test_smooth_integrands_gain_from_better_samples():
    points = torch.randn(20, 1, 2, dtype=torch.float64).round()
    errors = {}
    for sampling in ["plain", "antithetic", "scrambled_sobol"]:
        model = gaussian(Zn(2), 1.5, samples=256, sampling=sampling)
        squares = []
        for seed in range(10):
            model.fixed = model._draw(seed)
            probability = torch.exp2(-model.bits(points, SHARED))
            squares.append((probability / cells(points, 1.5) - 1).square())
        errors[sampling] = float(torch.stack(squares).mean().sqrt())
    assert errors["scrambled_sobol"] < 0.5 * errors["antithetic"] < 0.5 * errors["plain"]


@torch.no_grad()
@pytest.mark.parametrize("sampling", ["plain", "antithetic"])
def test_bias_estimate_is_the_bias(sampling):
    model = gaussian(Zn(), 0.7, samples=32, sampling=sampling)
    point = torch.ones(1, 1, dtype=torch.float64)
    excess, estimates = [], []
    for seed in range(2000):
        model.fixed = model._draw(seed)
        excess.append(model.bits(point, SHARED) + cells(point, 0.7).log2())
        estimates.append(model.bias(point, SHARED))
    excess = torch.stack(excess)
    error = float(excess.std() / len(excess) ** 0.5)
    estimate = float(torch.stack(estimates).mean())
    # The next order of the expansion is below a tenth here.
    assert float(excess.mean()) == pytest.approx(estimate, abs=4 * error + 0.1 * estimate)


@torch.no_grad()
@pytest.mark.parametrize("density", DENSITIES)
def test_evaluation_is_repeatable(density):
    def start():
        torch.manual_seed(0)
        model = MonteCarlo(E8(), CHANNEL, density, samples=64)
        model.initialise(torch.linspace(-3, 3, 800).reshape(100, 1, 8), CHANNEL)
        return model

    points = torch.zeros(1, 1, 8)
    model, again = start(), start()
    assert not torch.equal(model.bits(points, CHANNEL), model.bits(points, CHANNEL))
    assert torch.equal(model.eval().bits(points, CHANNEL), again.eval().bits(points, CHANNEL))


@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("across", [False, True])
def test_gradient_reaches_points_and_parameters(density, across):
    torch.manual_seed(0)
    layout = Layout(8, 2 if across else 16)
    model = MonteCarlo(E8(), layout.channel, density, samples=16)
    vectors = layout.split(torch.randn(5, layout.block, 2 if across else 16))
    model.initialise(vectors, layout.channel)
    points = E8().closest_point(vectors).requires_grad_()
    bits = model.bits(points, layout.channel)
    assert bits.shape == vectors.shape[:-1]
    assert torch.isfinite(bits).all()
    bits.sum().backward()
    assert points.grad.abs().sum() > 0
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    assert model.density(vectors, layout.channel).shape == bits.shape


@torch.no_grad()
@pytest.mark.parametrize("density", DENSITIES)
def test_chunks_make_no_difference(density, monkeypatch):
    channel = torch.arange(4).reshape(2, 2)
    model = MonteCarlo(A2(), channel, density, samples=64).double().eval()
    model.initialise(torch.randn(100, 2, 2, dtype=torch.float64), channel)
    points = A2().closest_point(torch.randn(7, 3, 2, 2, dtype=torch.float64))
    whole = model.bits(points, channel), model.bias(points, channel)
    monkeypatch.setattr(monte_carlo, "CHUNK", 500)
    parts = model.bits(points, channel), model.bias(points, channel)
    assert torch.allclose(whole[0], parts[0], rtol=1e-12)
    assert torch.allclose(whole[1], parts[1], rtol=1e-9)
    with torch.enable_grad():  # does not join equal points
        assert torch.allclose(whole[0], model.bits(points, channel), rtol=1e-12)


@torch.no_grad()
def test_agrees_with_exact_after_initialisation():
    # Both describe an i.i.d. Gaussian on E8; its cell probabilities are neither's to choose.
    torch.manual_seed(0)
    vectors = torch.randn(5000, 1, 8) * 1.5
    points = E8().closest_point(torch.randn(500, 1, 8) * 1.5)
    rates = []
    for model in Exact(E8(), CHANNEL), MonteCarlo(E8(), CHANNEL):
        model.initialise(vectors, CHANNEL)
        rates.append(float(model.eval().bits(points, CHANNEL).mean()) / 8)
    assert rates[0] == pytest.approx(rates[1], abs=0.02)


def test_extreme_points_have_finite_lengths():
    for density in DENSITIES:
        model = MonteCarlo(Zn(), SHARED, density, samples=16).eval()
        model.initialise(torch.randn(1000, 1, 1), SHARED)
        bits = model.bits(torch.tensor([[[0.0]], [[1e6]], [[-1e6]]]), SHARED)
        assert torch.isfinite(bits).all()


@pytest.mark.parametrize(
    ("matrix", "name"), [("[[1,0],[0.31831,0.94799]]", "monte_carlo"), ("[[1,0],[1,2]]", "exact")]
)
def test_default_where_a_lattice_has_no_trellis(matrix, name):
    with initialize_config_dir(str(config_directory()), version_base="1.3"):
        overrides = ["quantizer=generator", f"quantizer.matrix={matrix}"]
        config = compose("train", overrides, return_hydra_config=True)
    HydraConfig.instance().set_config(config)
    plain = config.copy()
    del plain._content["hydra"]
    run = build(plain)
    assert isinstance(run.coder.entropy, MonteCarlo if name == "monte_carlo" else Exact)
    assert run.config["name"]["entropy"] == name
    assert type(build(OmegaConf.create(run.config)).coder.entropy) is type(run.coder.entropy)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"density": "glow"}, "factorised, realnvp"),
        ({"sampling": "halton"}, "plain, antithetic"),
        ({"samples": 0}, "samples=0"),
        ({"samples": 3, "sampling": "antithetic"}, "pairs"),
        ({"samples": 100}, "powers of two"),
        ({"components": 1.5}, "components"),
        ({"hidden": [64, -1]}, r"hidden\[1\]=-1"),
    ],
)
def test_bad_input(settings, message):
    with pytest.raises(InputError, match=message):
        MonteCarlo(Zn(), torch.tensor([[0]]), **settings)
