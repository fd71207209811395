"""Layouts and the lattice quantizer."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ltc.errors import InputError
from ltc.lattices import A2, E8, DnDual, Zn
from ltc.quantizers import LatticeQuantizer, Layout

LATTICES = [Zn(), A2(), DnDual(4), E8()]


@given(n=st.integers(1, 8), groups=st.integers(1, 4), across=st.booleans(), batch=st.integers(1, 3))
def test_join_undoes_split(n, groups, across, batch):
    layout = Layout(n, 3, n * groups) if across else Layout(n, n * groups, 1)
    channels = 3 if across else n * groups
    latent = torch.arange(batch * layout.block * channels).reshape(batch, layout.block, channels)
    vectors = layout.split(latent)
    assert vectors.shape == (batch, layout.repeats, len(layout.channel), n)
    assert torch.equal(layout.join(vectors), latent)
    # `channel` says where every coordinate came from.
    channel = torch.arange(channels).expand(batch, layout.block, channels)
    expected = layout.channel.expand(batch, layout.repeats, -1, n)
    assert torch.equal(layout.split(channel), expected)


def test_short_latents_are_coded_in_blocks():
    assert Layout(8, 2).block == 8
    assert Layout(8, 33).block == 8
    assert Layout(8, 8).block == 1
    assert Layout(1, 2).block == 1


@pytest.mark.parametrize(("channels", "block"), [(12, 1), (2, 12), (2, 0), (2, "a")])
def test_layouts_that_do_not_fit_name_both_numbers(channels, block):
    with pytest.raises(InputError, match=r"8|positive"):
        Layout(8, channels, block)


@pytest.mark.parametrize("lattice", LATTICES, ids=lambda lattice: lattice.name)
def test_straight_through_passes_the_gradient(lattice):
    vectors = torch.randn(10, 1, 1, lattice.dimension, requires_grad=True)
    points, dither = LatticeQuantizer(lattice, train="ste")(vectors)
    assert dither is None
    assert torch.allclose(points, lattice.closest_point(vectors.detach()), atol=1e-6)
    points.sum().backward()
    assert torch.equal(vectors.grad, torch.ones_like(vectors))


@pytest.mark.parametrize("lattice", LATTICES, ids=lambda lattice: lattice.name)
def test_dither_is_uniform_over_the_cell_and_names_its_lattice(lattice):
    torch.manual_seed(0)
    vectors = torch.randn(1, 20_000, 1, lattice.dimension, requires_grad=True)
    points, dither = LatticeQuantizer(lattice, train="dither")(vectors)
    assert torch.equal(torch.autograd.grad(points.sum(), vectors)[0], torch.ones_like(vectors))
    points, vectors = points.detach(), vectors.detach()
    noise = points - vectors
    # The mean squared error per coordinate of noise uniform over the cell is G.
    assert float(noise.square().mean()) == pytest.approx(lattice.second_moment, rel=0.02)
    on_lattice = points - dither
    assert torch.allclose(lattice.closest_point(on_lattice), on_lattice, atol=1e-4)


@pytest.mark.parametrize("lattice", LATTICES, ids=lambda lattice: lattice.name)
def test_blocks_share_a_dither(lattice):
    """So that each still has noise that is uniform over the cell, over the draws."""
    quantizer = LatticeQuantizer(lattice, train="dither")
    vectors = torch.randn(4, 1000, 1, lattice.dimension)
    points, dither = quantizer(vectors)
    assert dither.shape[:3] == (1, 1000, 1)
    for block, shifted in zip(vectors, points, strict=True):
        noise = shifted - block
        assert float(noise.square().mean()) == pytest.approx(lattice.second_moment, rel=0.1)
        on_lattice = shifted - dither[0]
        assert torch.allclose(lattice.closest_point(on_lattice), on_lattice, atol=1e-4)


def test_learned_scale_gets_a_gradient():
    quantizer = LatticeQuantizer(E8())
    quantizer.initialise(0.1, torch.zeros(1, 8))
    assert float(quantizer.scale**2 * E8().second_moment) == pytest.approx(0.1)
    x = torch.randn(5, 8)
    points, _ = quantizer(x / quantizer.scale)
    (points * quantizer.scale - x).square().sum().backward()
    assert quantizer.log_scale.grad != 0
    fixed = LatticeQuantizer(E8(), scale=0.5)
    fixed.initialise(0.1, torch.zeros(1, 8))
    assert float(fixed.scale) == pytest.approx(0.5)
    assert not fixed.log_scale.requires_grad


@pytest.mark.parametrize("scale", [0, -1, "a", float("inf")])
def test_bad_scale(scale):
    with pytest.raises(InputError, match="scale"):
        LatticeQuantizer(E8(), scale=scale)
