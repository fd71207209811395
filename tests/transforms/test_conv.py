"""The second layer of the synthesis of pictures, and the Karhunen-Loeve transform of blocks."""

import numpy as np
import pytest
import torch

from ltc.transforms import KLT, Conv, conv
from ltc.transforms.grid import Decoded


def pictures(number, side=104):
    """Return pictures of edges, flat between them, shape (side, side, 3), about zero."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(number):
        levels = np.repeat(np.repeat(rng.normal(0, 40, (7, 7, 1)), 15, 0), 15, 1)
        found.append((levels * [1, 0.5, -0.5] + levels)[:side, :side].astype(np.float32))
    return found


def noisy(transform, picture, step, seed):
    """Return the latent of a picture with noise, as a decoder has it."""
    noise = np.random.default_rng(seed).normal(0, 0.3 * step, picture.shape)
    return transform.planes(picture + noise.astype(np.float32))


@pytest.mark.parametrize("shape", [(8, 8), (24, 152), (30, 18), (4, 40)])
def test_the_decoder_has_the_layer_that_is_learned(shape):
    """Beyond one group of places, and where no filter fits."""
    transform, rng = Conv(3), torch.Generator().manual_seed(0)
    transform.norms.copy_(0.05 * torch.rand(transform.norms.shape, generator=rng))
    transform.bias.copy_(0.1 * torch.rand(transform.bias.shape, generator=rng))
    for matrix in (transform.first, transform.last):
        matrix.copy_(0.2 * torch.rand(matrix.shape, generator=rng) - 0.1)
    plane = 10 * torch.randn(1, *shape, generator=rng)
    for colour, other in ((0, 0), (1, 1), (2, 1)):
        found = transform.cleaned(plane[0].numpy(), colour, step=4.0)
        if min(shape) < 8:
            assert (found == plane[0].numpy()).all()
            continue
        wanted = 4 * transform.layer(other).applied(plane / 4)[0].numpy()
        assert np.abs(wanted - plane[0].numpy()).max() > 0.1
        assert np.allclose(found, wanted, atol=1e-3)


def test_what_it_learns_takes_noise_out_and_leaves_edges(monkeypatch):
    """Of a picture that it has not seen: more than half of the noise goes, in colour and grey."""
    monkeypatch.setattr(conv, "LEARNED", 60)
    transform = Conv(3, overlap="biorthogonal")
    *seen, unseen = [*pictures(4), pictures(5)[4]]
    transform.learn(seen, lambda status: None)
    decoded = [
        Decoded(picture, noisy(transform, picture, step, number), step)
        for number, picture in enumerate(seen)
        for step in (4.0, 16.0)
    ]
    transform.learn_synthesis(decoded, lambda status: None)
    for picture in (unseen, unseen[..., :1]):
        for step in (5.0, 12.0):
            planes = noisy(transform, picture, step, 9)
            before, after = (
                np.square(transform.exact_synthesis(planes, size)[:104, :104] - picture).mean()
                for size in (0.0, step)
            )
            assert after < 0.5 * before


def test_axes_of_lines_are_uncorrelated():
    """Of the pictures that they come from, along rows and columns together; and orthonormal."""
    transform = KLT(1, stride=8)
    rng = np.random.default_rng(0)
    picture = rng.normal(size=(400, 400, 1)).cumsum(0).cumsum(1).astype(np.float32)
    picture -= picture.mean()
    transform.learn([picture], lambda status: None)
    axes = transform._within
    assert torch.allclose(axes @ axes.T, torch.eye(8).double(), atol=1e-6)
    lines = [picture[..., 0].reshape(-1, 8), picture[..., 0].T.reshape(-1, 8)]
    covariance = np.cov(np.concatenate(lines) @ axes.numpy().T, rowvar=False)
    assert np.allclose(covariance, np.diag(np.diag(covariance)), atol=1e-3 * covariance[0, 0])
    assert (np.diff(np.diag(covariance)) < 0).all()
