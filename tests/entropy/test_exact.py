"""The exact entropy model against direct enumeration of lattice points."""

import itertools
import math

import pytest
import torch

from ltc.entropy import Exact
from ltc.errors import InputError
from ltc.lattices import A2, E8, Convolutional, Dn, DnDual, Lattice, Zn
from ltc.quantizers import Layout

LATTICES = [Zn(), Zn(3), A2(), Dn(3), DnDual(3), DnDual(4), E8(), Convolutional(4, 8)]


def enumerate_box(lattice, reach):
    """Return all points whose integers along the trellis are within `reach`."""
    paths = [((), 0)]
    for section in lattice.trellis.sections:
        paths = [
            ((*prefix, section.offset[coset]), state)
            for prefix, before in paths
            for state in range(len(section.previous))
            for previous, coset in zip(section.previous[state], section.coset[state], strict=True)
            if previous == before
        ]
    offsets = torch.tensor([prefix for prefix, _ in paths], dtype=torch.float64)
    integers = torch.tensor(
        list(itertools.product(range(-reach, reach + 1), repeat=lattice.dimension)),
        dtype=torch.float64,
    )
    points = offsets[:, None] + integers * torch.as_tensor(lattice.trellis.step)
    return points.reshape(-1, lattice.dimension)


def model_of(lattice, width, seed=0):
    """Return a model of rugged narrow densities, in float64."""
    torch.manual_seed(seed)
    model = Exact(lattice, torch.arange(lattice.dimension)[None], components=3).double()
    with torch.no_grad():
        model.density.log_weight.normal_()
        model.density.mean.normal_(0, width)
        model.density.log_width.uniform_(math.log(width / 2), math.log(width))
    return model


def channels(lattice):
    return torch.arange(lattice.dimension)[None]


def name(lattice):
    return f"{lattice.name}{lattice.dimension}"


@torch.no_grad()
@pytest.mark.parametrize("corrected", [False, True])
@pytest.mark.parametrize("lattice", LATTICES, ids=name)
def test_probabilities_sum_to_one(lattice, corrected):
    # With these widths everything outside the box has a mass below 1e-12.
    points = enumerate_box(lattice, 1 if lattice.dimension > 4 else 3)
    model = model_of(lattice, 0.12)
    if corrected:
        model.free_points()
        model.correction.double().value.normal_()
    total = torch.exp2(-model.bits(points[:, None], channels(lattice))).sum()
    assert abs(float(total) - 1) < 1e-9


@torch.no_grad()
@pytest.mark.parametrize("lattice", LATTICES, ids=name)
def test_dithered_probabilities_sum_to_one(lattice):
    points = enumerate_box(lattice, 1 if lattice.dimension > 4 else 3)
    model = model_of(lattice, 0.12)
    dither = 0.2 * torch.randn(lattice.dimension, dtype=torch.float64)
    shifted = (points + dither)[:, None]
    partition = model.log_partition(channels(lattice), dither.expand(1, 1, -1))
    total = torch.exp(
        model.density.log_density(shifted, channels(lattice)).sum((-1, -2)) - partition
    )
    assert abs(float(total.sum()) - 1) < 1e-9
    bits = model.bits(shifted[:5], channels(lattice), dither.expand(5, 1, -1))
    assert torch.allclose(torch.exp2(-bits[:, 0]), total.flatten()[:5])


def test_dither_by_a_lattice_point_changes_nothing():
    lattice = E8()
    model = model_of(lattice, 1.0)
    point = lattice.closest_point(torch.randn(1, 1, 8, dtype=torch.float64) * 3)
    channel = channels(lattice)
    shifted = model.log_partition(channel, point)
    assert torch.allclose(shifted, model.log_partition(channel), atol=1e-12)


@pytest.mark.parametrize("across", [False, True])
def test_layouts_share_parameters_by_channel(across):
    lattice = E8()
    layout = Layout(8, 16, block=16 if across else 1)
    model = Exact(lattice, layout.channel)
    assert len(model.density.mean) == 16
    latent = torch.randn(5, layout.block, 16)
    model.initialise(layout.split(latent), layout.channel)
    bits = model.bits(lattice.closest_point(layout.split(latent)), layout.channel)
    assert bits.shape == ((5, 2, 16) if across else (5, 1, 2))
    assert (bits > 0).all()


def test_gradient_reaches_points_and_parameters():
    lattice = A2()
    model = model_of(lattice, 1.0)
    points = lattice.closest_point(torch.randn(4, 1, 2, dtype=torch.float64)).requires_grad_()
    parameters = (model.density.mean, model.density.log_width, model.density.log_weight)

    def bits(points, mean, log_width, log_weight):
        values = {"mean": mean, "log_width": log_width, "log_weight": log_weight}
        return torch.func.functional_call(
            model,
            {f"density.{key}": value for key, value in values.items()},
            (points, channels(lattice)),
        )

    model.forward = model.bits
    assert torch.autograd.gradcheck(bits, (points, *parameters))


def test_fit_recovers_a_gaussian():
    # On the integers, the discretised Gaussian has the entropy of the cell probabilities.
    torch.manual_seed(0)
    channel = torch.tensor([[0]])
    model = Exact(Zn(), channel)
    samples = torch.randn(200_000, 1, 1) * 4
    model.initialise(samples[:20_000], channel)
    edges = torch.arange(-200, 201, dtype=torch.float64) - 0.5
    cells = torch.special.ndtr(edges / 4).diff()
    entropy = -torch.xlogy(cells, cells).sum() / math.log(2)
    with torch.no_grad():
        rate = model.bits(samples.round(), channel).mean()
    assert float(rate) == pytest.approx(float(entropy), abs=0.01)


@pytest.mark.parametrize("lattice", LATTICES, ids=name)
def test_a_fit_escapes_from_narrow_bumps(lattice):
    # Between points, or at one that single precision has elsewhere, their likelihood has no bound.
    n = lattice.dimension
    torch.manual_seed(0)
    x, table = 0.25 * torch.randn(20_000, 1, n), channels(lattice)
    points = lattice.closest_point(x) + lattice.closest_point(0.7 + torch.rand(1, 1, n))
    lengths = []
    for narrow in (0, 2):
        model = Exact(lattice, table)
        model.initialise(x, table)
        with torch.no_grad():
            model.density.log_width[:, :narrow] = math.log(1e-4)
            model.density.mean[:, :narrow] = (points.median(0).values.T * 4096).round() / 4096
        before = math.inf
        for _ in range(4):
            model.fit(points, table)
            with torch.no_grad():
                lengths.append(float(model.bits(points, table).mean()) / n)
            assert lengths[-1] < before + 1e-4
            before = lengths[-1]
    assert abs(lengths[-1] - lengths[3]) < 0.02


def test_extreme_points_have_finite_lengths():
    channel = torch.tensor([[0]])
    model = Exact(Zn(), channel)
    model.initialise(torch.randn(1000, 1, 1), channel)
    bits = model.bits(torch.tensor([[[0.0]], [[1e6]], [[-1e6]]]), channel)
    assert torch.isfinite(bits).all()


def test_bad_input():
    class Untrellised(Lattice):
        name = "untrellised"
        generator_matrix = None

        def _closest_point(self, x):
            return x

    with pytest.raises(InputError, match="no trellis"):
        Exact(Untrellised(), torch.tensor([[0]]))
    with pytest.raises(InputError, match="components"):
        Exact(Zn(), torch.tensor([[0]]), components=0)
