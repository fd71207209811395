"""What an error costs."""

import math
import sys
from pathlib import Path

import pytest
import torch

from ltc.coder import LatticeTransformCoder
from ltc.distortion import Absolute, Squared
from ltc.entropy import Exact
from ltc.lattices import E8, Convolutional, Zn
from ltc.quantizers import LatticeQuantizer, Layout
from ltc.training import refine
from ltc.training.fitting import lagrangian
from ltc.transforms import Identity, Linear

sys.path.append(str(Path(__file__).parent / "plugins"))
from mine import FourthPower

DISTORTIONS = [Squared(), Absolute(), FourthPower()]


@pytest.fixture(params=DISTORTIONS, ids=lambda distortion: distortion.name)
def distortion(request):
    return request.param


def test_costs_are_homogeneous(distortion):
    error = torch.randn(100)
    for factor in (-1.0, 0.1, 3.0):
        expected = abs(factor) ** distortion.power * distortion.cost(error)
        assert torch.allclose(distortion.cost(factor * error), expected, rtol=1e-5)


def test_no_other_point_costs_less_than_a_centre(distortion):
    values = torch.randn(101, 3).exp()
    centre = distortion.centre(values)
    least = distortion.cost(values - centre).sum(0)
    for move in (-1e-2, 1e-2):
        assert (distortion.cost(values - centre - move).sum(0) >= least).all()
    group = torch.randint(3, (1001,))
    values = torch.randn(1001).exp() + group
    centres = distortion.centres(values, group, 5)
    for i in range(3):
        expected = distortion.centre(values[group == i])
        assert float(centres[i]) == pytest.approx(float(expected), abs=1e-2)


def test_cells_cost_what_the_high_rate_theory_asks_for(distortion):
    u = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000 - 0.5
    width = (12 * distortion.cell_error(20.0)) ** 0.5

    def total(width):
        return -math.log2(width) + 20 * float(distortion.cost(width * u).mean())

    assert total(width) < min(total(0.98 * width), total(1.02 * width))


def test_only_squared_error_has_a_signal_to_noise_ratio():
    assert Squared().snr_db(1.0, 0.1) == pytest.approx(10)
    assert Absolute().snr_db(1.0, 0.1) is None


def test_a_synthesis_is_fitted_to_absolute_error():
    # The best gain for errors of heavy tails is a weighted median, not the mean.
    latents = torch.randn(4000, 1, 1).sign()
    x = 2 * latents + torch.randn(4000, 1, 1).exp() * latents
    transform = Linear(1)
    transform.initialise(x)
    transform.fit_synthesis(latents, x, Absolute())
    with torch.no_grad():
        gain = float(transform.synthesis(torch.ones(1, 1, 1)))
    assert gain == pytest.approx(3, abs=0.1)  # the mean is 3.65


@pytest.mark.parametrize("lattice", [Zn(), E8(), Convolutional(8, 32)], ids=lambda x: x.name)
def test_laplacian_under_absolute_error_keeps_to_the_bound(lattice):
    """R(D) = log2(b / D) for the Laplacian of scale b: Shannon's lower bound is tight."""
    scale = 0.5**0.5
    shape = (400, 32, 1) if lattice.runs_across else (12_800 // lattice.dimension, 1)
    shape = (*shape, lattice.dimension)[:3] if not lattice.runs_across else shape
    x, held_out = (
        torch.empty(shape).exponential_(1 / scale) * torch.randn(shape).sign() for _ in range(2)
    )
    layout = Layout(lattice.dimension, shape[2])
    found = {}
    for distortion in (Absolute(), Squared()):
        quantizer = LatticeQuantizer(lattice, rdo=True)
        entropy = Exact(lattice, layout.channel)
        coder = LatticeTransformCoder(
            Identity(shape[2]), quantizer, layout, entropy, 4.0, distortion
        )
        coder.initialise(x)
        coder.quantizer.log_scale.requires_grad_(False)
        refine(coder, x, rounds=3)
        points = coder.encode(held_out)
        with torch.no_grad():
            rate = float(coder.bits(points).mean()) / held_out[0].numel()
            reached = float((coder.decode(points) - held_out).abs().mean())
        coder.distortion = Absolute()
        found[distortion.name] = lagrangian(coder, points, held_out)
        if distortion.name == "absolute":
            assert 0 < rate - math.log2(scale / reached) < 0.25
    assert found["absolute"] < found["squared"]
