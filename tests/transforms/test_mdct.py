"""The modified discrete cosine transform."""

import numpy as np
import pytest
import torch
from scipy.signal import lfilter

from ltc.errors import InputError
from ltc.transforms import MDCT


def sound(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("alpha", [0.5, 2.0, 4.0])
@pytest.mark.parametrize("bins", [16, 24, 192])
@pytest.mark.parametrize("frames", [1, 2, 7])
def test_it_is_orthonormal_and_is_undone(bins, frames, alpha):
    transform = MDCT(bins=bins, alpha=alpha)
    x = sound(2, frames * bins, 1)
    y = transform.analysis(x)
    assert y.shape == (2, frames, bins)
    assert torch.allclose(y.square().sum(), x.square().sum())
    assert torch.allclose(transform.synthesis(y), x, atol=1e-10)


@pytest.mark.parametrize("alpha", [0.5, 2.0, 6.0])
def test_a_learned_window_codes_other_samples_shorter_and_is_undone(alpha):
    """On a resonance; the measure is that of `learn`, on samples that it has not seen."""
    noise = sound(64 * 600).numpy()
    x = lfilter([1], [1, -1.8, 0.999], noise).astype(np.float32)
    x /= x.std()
    seen, other = x[: 64 * 300], torch.from_numpy(x[64 * 300 :]).double()[None, :, None]
    lengths = {}
    for window in ("kaiser", "learned"):
        transform = MDCT(bins=64, window=window, alpha=alpha)
        transform.learn([seen], lambda status: None)
        y = transform.analysis(other)
        assert torch.allclose(y.square().sum(), other.square().sum())
        assert torch.allclose(transform.synthesis(y), other, atol=1e-10)
        lengths[window] = np.mean([torch.log2(1 + (y * 2**i).square()).mean() for i in range(5)])
    assert lengths["learned"] < 0.98 * lengths["kaiser"]


@pytest.mark.parametrize("samples", [1, 23, 24, 25, 7000])
def test_planes_are_undone_in_one_order_of_additions(samples):
    transform = MDCT(bins=24)
    x = sound(samples).float().numpy()
    planes = transform.planes(x)
    assert planes.shape == (8, 3, -(-samples // 24))
    found = transform.exact_synthesis(planes)
    assert np.abs(found[:samples] - x).max() < 1e-5
    assert np.abs(found[samples:]).max(initial=0) < 1e-5
    assert np.array_equal(found[: 24 * 200], transform.exact_synthesis(planes)[: 24 * 200])


def test_it_is_the_mdct():
    """Of a frame between two others, by the definition (Princen, Johnson and Bradley 1987)."""
    n = 16
    transform = MDCT(bins=n)
    x = sound(3 * n).numpy()
    kaiser = np.kaiser(n + 1, 2 * np.pi)
    half = np.sqrt(np.cumsum(kaiser)[:n] / kaiser.sum())
    window = np.concatenate([half, half[::-1]])
    at, k = np.arange(2 * n), np.arange(n)[:, None]
    basis = np.sqrt(2 / n) * np.cos(np.pi / n * (at + 0.5 + n / 2) * (k + 0.5))
    middle = x[n // 2 : n // 2 + 2 * n] * window
    found = transform.analysis(torch.from_numpy(x)[None, :, None])[0, 1].numpy()
    expected = basis @ middle[::-1]  # ours is even on the left, and odd on the right
    assert np.allclose(np.abs(found), np.abs(expected), atol=1e-6)


def test_planes_are_bands_of_frequencies():
    transform = MDCT(bins=64)
    for band in range(8):
        cycles = (band + 0.5) / 16  # of a sample
        tone = np.cos(2 * np.pi * cycles * np.arange(64 * 20))
        energy = np.square(transform.planes(tone.astype(np.float32))).sum((1, 2))
        assert energy[band] > 0.98 * energy.sum()


def test_frames_have_24_milliseconds_unless_asked_for_otherwise():
    assert [MDCT(1, rate).stride for rate in (8000, 16000, 44100, 48000)] == [192, 384, 1056, 1152]
    assert MDCT(1, 100).stride == 16
    assert MDCT(1, 1 << 20).stride == 4096


@pytest.mark.parametrize(
    "wrong",
    [{"bins": 20}, {"bins": 8}, {"bins": 0}, {"bins": 8192}, {"alpha": -1}, {"window": "sine"}],
)
def test_what_cannot_be_is_refused(wrong):
    with pytest.raises(InputError):
        MDCT(**wrong)
