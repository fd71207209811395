"""Lapped transforms of pictures."""

import numpy as np
import pytest
import torch

from ltc.errors import InputError
from ltc.transforms import Lapped, lapped
from ltc.transforms.lapped import OVERLAPS


def picture(*shape):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("overlap", OVERLAPS)
@pytest.mark.parametrize("stride", [2, 4, 8, 16])
@pytest.mark.parametrize("blocks", [(1, 1), (1, 3), (4, 2)])
def test_synthesis_undoes_analysis(stride, overlap, blocks):
    transform = Lapped(3, stride, overlap)
    transform.initialise(picture(50, 3) @ picture(3, 3))
    if overlap == "learned":  # any two matrices have their inverse
        transform._set(*(torch.eye(stride).double() + 0.1 * picture(stride, stride) for _ in "ab"))
    x = picture(2, blocks[0] * stride, blocks[1] * stride, 3)
    y = transform.analysis(x)
    assert y.shape == (2, *blocks, 3 * stride**2)
    assert torch.allclose(transform.synthesis(y), x, atol=1e-10)
    planes = y[0].permute(2, 0, 1).float().contiguous().numpy()
    exact = torch.from_numpy(transform.exact_synthesis(planes))
    assert torch.allclose(exact, x[0].float(), atol=1e-5)


@pytest.mark.parametrize("overlap", OVERLAPS)
@pytest.mark.parametrize("stride", [2, 8])
def test_an_error_of_one_in_the_latent_is_one_in_the_picture(stride, overlap):
    transform = Lapped(1, stride, overlap)
    inside = torch.eye(stride**2, dtype=torch.float64)
    y = torch.zeros(stride**2, 5, 5, stride**2, dtype=torch.float64)
    y[:, 2, 2] = inside
    energy = transform.synthesis(y).square().sum((1, 2, 3))
    assert torch.allclose(energy, torch.ones_like(energy))
    assert transform.analysis(transform.synthesis(y))[:, 2, 2].allclose(inside, atol=1e-9)


def test_overlap_gains_on_a_correlated_source():
    """Coding gains of 8 channels at a correlation of 0.95 (Tran, Liang and Tu 2003, table I)."""
    n, blocks = 8, 9
    at = torch.arange(n * blocks, dtype=torch.float64)
    covariance = 0.95 ** (at[:, None] - at).abs()
    gain = {}
    for overlap in OVERLAPS:
        transform = Lapped(1, n, overlap)
        # Along one axis: the block's rows of the analysis of a picture of n equal columns.
        unit = torch.eye(n * blocks, dtype=torch.float64)[:, :, None, None]
        scale = (transform.analysis(torch.ones(1, n, n, 1).double())[0, 0, 0, 0]) ** 0.5
        y = transform.analysis(unit.expand(-1, -1, n, -1)) / scale  # of a row of n ones
        vertical = (transform.frequencies[:, 2] == 0).nonzero().flatten()
        rows = y[:, blocks // 2, 0, vertical].T
        variance = ((rows @ covariance) * rows).sum(1)
        gain[overlap] = float(-10 * variance.log10().mean())
    assert gain["none"] == pytest.approx(8.83, abs=0.01)
    assert gain["orthogonal"] == pytest.approx(9.22, abs=0.01)
    assert 9.5 < gain["biorthogonal"] < 9.63  # 9.63 is the best of any such transform


def test_what_is_learned_is_better_than_what_it_starts_from(monkeypatch):
    """Of pictures that it has not seen, in fewer bits, and still with an inverse."""
    monkeypatch.setattr(lapped, "LEARNED", 60)
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(8, 72, 80, 3)).cumsum(1).cumsum(2).astype(np.float32)
    pictures = 6 * (noise - noise.mean((1, 2), keepdims=True))
    seen = [*pictures[:5], pictures[5, ..., :1], pictures[6, :5]]
    lengths = {}
    for overlap in ("biorthogonal", "learned"):
        transform = Lapped(3, 8, overlap)
        transform.learn(seen, lambda status: None)
        x = torch.from_numpy(pictures[7:])
        y = transform.analysis(x)
        assert torch.allclose(transform.synthesis(y), x, atol=1e-2)
        lengths[overlap] = float((1 + (y / 16).square()).log2().mean() / 2)
    assert lengths["learned"] < 0.99 * lengths["biorthogonal"]


def test_of_a_grey_picture_only_the_first_colour_is_left():
    transform = Lapped(3, 4)
    transform.initialise(picture(50, 3))
    grey = picture(1, 8, 8, 1)
    y = transform.analysis(grey.expand(-1, -1, -1, 3))
    assert y[..., 16:].abs().max() < 1e-12
    planes = y[0, ..., :16].permute(2, 0, 1).float().contiguous().numpy()
    found = transform.exact_synthesis(planes)
    assert found.shape == (8, 8, 1)
    assert np.allclose(found, grey[0].numpy(), atol=1e-6)


@pytest.mark.parametrize("wrong", [{"stride": 3}, {"stride": 0}, {"overlap": "much"}])
def test_what_cannot_be_is_refused(wrong):
    with pytest.raises(InputError):
        Lapped(3, **wrong)
