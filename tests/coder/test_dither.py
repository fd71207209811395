"""Coders whose encoder and decoder share a dither, or whose decoder adds noise of its own."""

import math

import pytest
import torch

from ltc.coder import LatticeTransformCoder, sequence
from ltc.entropy import Exact
from ltc.errors import InputError
from ltc.lattices import A2, E8, Convolutional, Zn
from ltc.quantizers import LatticeQuantizer, Layout
from ltc.training.fitting import fit_noise
from ltc.transforms import Identity

LATTICES = [Zn(), A2(), E8(), Convolutional(8, 64)]


def coder(lattice, scale=0.8, **settings):
    torch.manual_seed(0)
    dimension = 1 if lattice.runs_across else lattice.dimension
    layout = Layout(lattice.dimension, dimension)
    quantizer = LatticeQuantizer(lattice, scale, **settings)
    entropy = Exact(lattice, layout.channel, components=2)
    model = LatticeTransformCoder(Identity(dimension), quantizer, layout, entropy, lmbda=8)
    x = torch.randn(1 << 17, dimension)
    x = x[: len(x) // layout.block * layout.block].unflatten(0, (-1, layout.block))
    model.entropy.initialise(model.vectors(x), layout.channel)
    return model, x


@pytest.mark.parametrize("lattice", LATTICES, ids=lambda lattice: lattice.name)
@pytest.mark.parametrize("bits", [None, 1])
def test_a_shared_dither_leaves_noise_of_the_cell_that_knows_nothing_of_the_source(lattice, bits):
    model, x = coder(lattice, dither="shared", shared_bits=bits)
    vectors = model.vectors(x)
    points = model.quantizer.quantize(vectors)
    dither = model.quantizer.shared_dither(points)  # which the decoder draws again
    assert torch.equal(dither, model.quantizer.shared_dither(vectors))
    assert torch.allclose(lattice.closest_point(points - dither) + dither, points, atol=1e-4)
    if bits is not None:
        fine = 2 * dither
        assert torch.allclose(lattice.closest_point(fine), fine, atol=1e-4)
    error = points - vectors
    cell = lattice.sample_voronoi(
        error[..., 0].numel(), torch.Generator().manual_seed(5), error.dtype
    ).reshape(error.shape)
    count = error.numel()
    for power in (2, 4):
        moments = [(values**power).mean() for values in (error, cell)]
        assert abs(moments[0] / moments[1] - 1) < 12 / count**0.5
    if bits is not None:  # given the source, one of 2^(n bits) errors
        return
    for function in (torch.sign, torch.square, lambda v: torch.cos(4 * v)):
        for of_error in (torch.square, lambda e: e):
            one, other = function(vectors).flatten(), of_error(error).flatten()
            assert abs(torch.corrcoef(torch.stack([one, other]))[0, 1]) < 5 / count**0.5


def test_the_rate_under_a_dither_is_that_of_the_noisy_channel():
    """I(X; X + N) of uniform noise, by quadrature (Zamir and Feder 1992)."""
    width = 0.8
    model, x = coder(Zn(), width, dither="shared")
    points = sequence.encode(model, x.flatten(0, 1))
    rate = float(sequence.vector_bits(model, points).mean())
    y = torch.linspace(-8, 8, 200_001, dtype=torch.float64)
    normal = torch.distributions.Normal(0.0, 1.0)
    density = (normal.cdf(y + width / 2) - normal.cdf(y - width / 2)) / width
    entropy = -(torch.xlogy(density, density)).sum() * (y[1] - y[0]) / math.log(2)
    information = float(entropy) - math.log2(width)
    assert information - 0.01 < rate < information + 0.02


@pytest.mark.parametrize("lattice", LATTICES, ids=lambda lattice: lattice.name)
def test_probabilities_sum_to_one_under_the_dither_of_each_vector(lattice):
    if lattice.dimension > 2:
        pytest.skip("too many points: tests of the entropy model sum them")
    model, _ = coder(lattice, dither="shared")
    near = lattice.enumerate(14.0).float()
    dither = model.quantizer.shared_dither(torch.zeros(3, 1, lattice.dimension))
    for index in range(3):
        model.quantizer.shared_dither = lambda like, index=index: dither[index].expand(like.shape)
        bits = model.vector_bits((near + dither[index])[:, None])
        assert float(torch.exp2(-bits).sum()) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("lattice", LATTICES, ids=lambda lattice: lattice.name)
def test_private_noise_fills_what_the_reconstruction_lacks(lattice):
    model, x = coder(lattice, dither="private")
    points = model.quantizer.quantize(model.vectors(x))
    # As a fit of the synthesis would: the points are scaled to the best linear estimate.
    estimate = model.decode(points)
    gain = (estimate * x).mean() / estimate.square().mean()
    least = (gain * estimate - x).square().mean()
    fit_noise(model, points, model.vectors(x))
    decoded = gain * model.decode(points)
    assert torch.equal(decoded, gain * model.decode(points))  # seeded
    assert decoded.var() == pytest.approx(float(x.var()), rel=0.01)
    assert (decoded - x).square().mean() == pytest.approx(2 * float(least), rel=0.02)


@pytest.mark.parametrize("bits", [1, 2])
def test_noise_beside_shared_bits_costs_as_much_as_they_allow(bits):
    model, x = coder(E8(), 1.0, dither="shared", shared_bits=bits)
    points = model.quantizer.quantize(model.vectors(x))
    fit_noise(model, points, model.vectors(x))
    correlations = [
        float(torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1])
        for one, other in ((points, x), (points, model.decode(points)))
    ]
    rate = -0.5 * math.log2(1 - correlations[0] ** 2)
    assert -0.5 * math.log2(1 - correlations[1] ** 2) == pytest.approx(rate + bits, abs=0.02)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dither": "both"}, "none, shared, private"),
        ({"dither": "shared", "rdo": True}, "rdo=true does not go with"),
        ({"dither": "shared", "train": "ste"}, "train=ste does not go with"),
        ({"shared_bits": 1}, "is of a shared dither"),
        ({"dither": "shared", "shared_bits": 0.5}, "shared_bits=0.5; expected"),
    ],
)
def test_what_does_not_go_together_is_refused(settings, message):
    with pytest.raises(InputError, match=message):
        LatticeQuantizer(Zn(), **settings)


def test_a_coder_without_private_noise_has_no_place_for_it():
    """Checkpoints of older versions stay whole."""
    for settings in ({}, {"dither": "shared"}):
        assert "noise" not in coder(Zn(), **settings)[0].state_dict()
