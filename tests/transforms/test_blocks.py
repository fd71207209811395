"""Transforms that overlap, and coders around them."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from ltc.codec import FileCoder, code_for
from ltc.codec.files import Payload
from ltc.coder import LatticeTransformCoder, sequence
from ltc.distortion import Absolute, Squared
from ltc.entropy import Exact
from ltc.lattices import E8, Convolutional, Zn
from ltc.quantizers import LatticeQuantizer, Layout
from ltc.training import refine
from ltc.training.fitting import lagrangian as coder_lagrangian
from ltc.transforms import MLP, Identity, Linear, Transform

sys.path.append(str(Path(__file__).parents[1] / "plugins"))
from mine import Lapped

LMBDA = 4.0


class LappedPicture(Transform):
    """A lapped transform along rows and columns of a grid."""

    def __init__(self, stride):
        super().__init__(1, stride**2)
        self.along = Lapped(1, stride)
        self.stride = stride

    def _each(self, function, x, axis):
        """Apply a map of (batch, positions, d) along an axis, the channels before it kept."""
        x = x.movedim(axis, -2)
        y = function(x.flatten(0, -3)).unflatten(0, x.shape[:-2])
        return y.movedim(-2, axis)

    def analysis(self, x):
        for _ in range(2):
            x = x.unsqueeze(-1)  # the channels so far become an axis of their own
            x = self._each(self.along.analysis, x.movedim(-2, 1), 2).movedim(1, -2).flatten(-2)
            x = x.transpose(1, 2)
        return x

    def synthesis(self, y):
        for _ in range(2):
            y = y.transpose(1, 2).unflatten(-1, (-1, self.stride))
            y = self._each(self.along.synthesis, y.movedim(-2, 1), 2).movedim(1, -2).squeeze(-1)
        return y


def autoregressive(blocks, block, correlation=0.95):
    """Return blocks of a Gaussian autoregressive process of unit variance and order 1."""
    x = torch.randn(block, blocks)
    for i in range(1, block):
        x[i] = correlation * x[i - 1] + (1 - correlation**2) ** 0.5 * x[i]
    return x.T.unsqueeze(-1).contiguous()


def build(transform, lattice, block, rdo=False, distortion=None):
    layout = Layout(
        lattice.dimension, transform.latent_dimension, block, transform.latent_positions
    )
    quantizer, entropy = LatticeQuantizer(lattice, rdo=rdo), Exact(lattice, layout.channel)
    return LatticeTransformCoder(transform, quantizer, layout, entropy, LMBDA, distortion)


@pytest.mark.parametrize("stride", [2, 4, 8])
@pytest.mark.parametrize("positions", [1, 2, 5])
def test_reconstruction_is_perfect_and_energy_is_kept(stride, positions):
    transform = Lapped(3, stride)
    x = torch.randn(5, positions * stride, 3)
    y = transform.analysis(x)
    assert y.shape == (5, positions, 3 * stride)
    assert torch.allclose(transform.synthesis(y), x, atol=1e-5)
    assert torch.allclose(y.square().sum((1, 2)), x.square().sum((1, 2)), rtol=1e-5)


def test_a_picture_is_reconstructed():
    transform = LappedPicture(4)
    x = torch.randn(2, 16, 24, 1)
    y = transform.analysis(x)
    assert y.shape == (2, 4, 6, 16)
    assert torch.allclose(transform.synthesis(y), x, atol=1e-5)
    assert transform.sensitivity(x, Squared()) == pytest.approx(torch.ones(16), rel=1e-5)


@pytest.mark.parametrize("lattice", [E8(), Convolutional(8, 16)], ids=lambda x: x.name)
def test_a_coder_of_pictures(lattice):
    transform = LappedPicture(4)
    layout = Layout(lattice.dimension, 16, 256, lambda _: transform.latent_positions((16, 16)))
    quantizer, entropy = LatticeQuantizer(lattice, rdo=True), Exact(lattice, layout.channel)
    coder = LatticeTransformCoder(transform, quantizer, layout, entropy, 64.0)
    x = torch.randn(20, 16, 16, 1)
    coder.initialise(x)
    points = coder.encode(x)
    assert points.shape == (20, layout.repeats, len(layout.channel), lattice.dimension)
    decoded = coder.decode(points).detach()
    assert decoded.shape == x.shape
    assert float((decoded - x).square().mean()) < 2 / (2 * math.log(2) * 64)
    latents = transform.analysis(x)
    assert torch.equal(layout.join(layout.split(latents)), latents)


@pytest.mark.parametrize("distortion", [Squared(), Absolute()], ids=lambda x: x.name)
def test_sensitivity_is_the_cost_of_a_column(distortion):
    linear = Linear(3, latent_dimension=5)
    expected = distortion.cost(linear.synthesis_map.weight.detach()).sum(0)
    x = torch.randn(20, 4, 3)
    assert linear.sensitivity(x, distortion) == pytest.approx(expected)
    assert Transform.sensitivity(linear, x, distortion) == pytest.approx(expected)
    own = Identity(3).sensitivity(x, distortion)
    assert own == pytest.approx(Transform.sensitivity(Identity(3), x, distortion))
    nonlinear = MLP(3, residual=False)
    x = torch.randn(10, 5, 3)
    jacobian = torch.func.vmap(torch.func.jacrev(nonlinear.synthesis))(
        nonlinear.analysis(x).flatten(0, 1)
    )
    expected = distortion.cost(jacobian).sum(1).mean(0).detach()
    assert nonlinear.sensitivity(x, distortion) == pytest.approx(expected, rel=1e-4)


def test_sensitivity_reaches_all_that_overlaps():
    transform = Lapped(2, 4)
    found = transform.sensitivity(torch.randn(300, 16, 2), Squared())
    assert found == pytest.approx(torch.ones(8), rel=1e-5)


@pytest.mark.parametrize(
    ("lattice", "rdo", "learned"),
    [(Zn(), False, True), (E8(), True, False), (Convolutional(8, 16), True, False)],
    ids=["scalar", "e8", "trellis"],
)
def test_overlaps_use_the_correlation_of_a_source(lattice, rdo, learned):
    x = autoregressive(200, 64)
    held_out = autoregressive(200, 64)
    lagrangian = []
    for transform in (Identity(1), Lapped(1, 4, learned)):
        coder = build(transform, lattice, 64, rdo)
        coder.initialise(x)
        coder.quantizer.log_scale.requires_grad_(learned)  # if not, fewer starts
        refine(coder, x, rounds=1)
        points = coder.encode(held_out)
        lagrangian.append(coder_lagrangian(coder, points, held_out))
    # At high rate the coding gain would be 1.2 bits; the slope asks for 1 bit per sample here.
    assert lagrangian[1] < lagrangian[0] - 0.4


def test_a_file_is_cut_alike_by_encoder_and_decoder(monkeypatch):
    x = autoregressive(1, 1003)[0].numpy()
    coder = build(Lapped(1, 4), Convolutional(8, 16), 64)
    coder.initialise(autoregressive(200, 64))
    files = FileCoder(coder, code_for(coder), {"dimension": 1})
    monkeypatch.setattr(sequence, "LONGEST", 64)
    monkeypatch.setattr("ltc.codec.base.LARGEST_CHUNK", 64)
    decoded, _ = files.decompress(files.compress(Payload("array", {"x": x}, ".npy")))
    error = decoded.arrays["x"] - x
    assert np.abs(error).max() < 10 * np.square(error).mean() ** 0.5 < 4


def test_the_inverse_of_a_synthesis_comes_nearest():
    linear = Linear(4, latent_dimension=3, bias=True)
    x = torch.randn(10, 2, 4)
    with torch.no_grad():
        nearest = linear.synthesis(linear.invert_synthesis(x))
        other = linear.synthesis(linear.analysis(x))
    error = x - nearest
    assert (error @ linear.synthesis_map.weight).abs().max() < 1e-5
    assert error.square().sum() < (x - other).square().sum()


def test_positions_that_fit_no_lattice_are_refused():
    with pytest.raises(Exception, match="stride 4"):
        build(Lapped(1, 4), Zn(), 6)
    with pytest.raises(Exception, match="has 3 positions"):
        build(Lapped(1, 4), E8(), 12)
