"""Files of a small coder: in pieces, in the type that came in, or one message."""

import io
import math

import numpy as np
import pytest
import torch
from torch import nn

from ltc.codec import Container, FileCoder, LatticeCode, Payload, files
from ltc.entropy import Exact
from ltc.errors import InputError
from ltc.lattices import E8, Zn
from ltc.media import Vectors
from ltc.quantizers import LatticeQuantizer, Layout


class Coder(nn.Module):
    """Lattice quantization of Gaussian vectors without any transform."""

    endless = size = None

    def __init__(self, lattice, dimension, scale, block=None):
        super().__init__()
        self.layout = Layout(lattice.dimension, dimension, block)
        self.quantizer = LatticeQuantizer(lattice, scale)
        self.entropy = Exact(lattice, self.layout.channel)
        generator = torch.Generator().manual_seed(0)
        blocks = torch.randn(2000, self.layout.block, dimension, generator=generator)
        self.entropy.initialise(self.vectors(blocks), self.layout.channel)

    def vectors(self, x):
        return self.layout.split(x / self.quantizer.scale)

    def encode(self, x):
        return self.quantizer.quantize(self.vectors(x))

    def decode(self, points):
        return self.layout.join(points) * self.quantizer.scale


def coder(facts, lattice=None, scale=0.1, block=None):
    model = Coder(lattice or E8(), facts["dimension"], scale, block)
    return FileCoder(model, LatticeCode.of(model.entropy, model.layout.channel), facts)


IMAGE = {"dimension": 16, "patch": 4, "offset": 120.0, "gain": 60.0}
SOUND = {"dimension": 8, "sample_rate": 8000, "offset": 0.0, "gain": 0.1}
ARRAY = {"dimension": 8}


def waves(height, width):
    x, y = np.meshgrid(np.linspace(0, 9, width), np.linspace(0, 5, height))
    return 0.5 + 0.4 * np.sin(x + y)


def test_16_bits_have_the_psnr_of_8():
    plane, image = waves(60, 50), coder(IMAGE)
    psnr = {}
    for dtype in (np.uint8, np.uint16):
        white = np.iinfo(dtype).max
        payload = Payload("image", {"image": (white * plane).astype(dtype)}, ".png")
        decoded, _ = image.decompress(image.compress(payload))
        pixels = decoded.arrays["image"]
        assert pixels.dtype == dtype
        error = np.square(pixels.astype(float) - payload.arrays["image"]).mean()
        assert payload.squared_error(decoded) == pytest.approx(error)
        psnr[dtype] = 10 * math.log10(payload.peak**2 / payload.squared_error(decoded))
        again = Payload.read(decoded.write(), ".png")
        assert np.array_equal(again.arrays["image"], pixels)
    assert psnr[np.uint16] == pytest.approx(psnr[np.uint8], abs=0.5)
    assert psnr[np.uint16] > 35


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_sounds_are_measured_as_they_are_written(subtype):
    sounds = coder(SOUND)
    samples = np.random.default_rng(0).normal(0, 0.1, 1003).astype(np.float32)
    source = Payload("audio", {"audio": samples}, ".wav", 8000, subtype)
    payload = Payload.read(source.write(), ".wav")
    decoded, _ = sounds.decompress(sounds.compress(payload))
    written = Payload.read(decoded.write(), ".wav")
    assert written.subtype == subtype
    assert np.array_equal(written.arrays["audio"], decoded.arrays["audio"])
    assert payload.squared_error(written) == payload.squared_error(decoded) < 1e-4


@pytest.mark.parametrize("lattice", [None, Zn(5)])
def test_pieces_make_no_difference(monkeypatch, lattice):
    image = coder(IMAGE, lattice, block=None if lattice is None else 5)
    pixels = 255 * np.dstack([waves(50, 61), waves(50, 61).T[:50, :50].mean() * waves(50, 61)])
    pixels = np.dstack([pixels, pixels[..., :1]]).astype(np.uint8)
    payload = Payload("image", {"image": pixels}, ".png")
    # A code starts a chunk after every so many vectors, however long its streams are.
    monkeypatch.setattr(LatticeCode, "most_vectors", 50)
    whole = image.compress(payload)
    expected, _ = image.decompress(whole)
    sizes = []
    get, put = Vectors.get, Vectors.put

    def watched(self, first, last):
        sizes.append(last - first)
        return get(self, first, last)

    def watched_put(self, first, values):
        sizes.append(len(values))
        put(self, first, values)

    monkeypatch.setattr(Vectors, "get", watched)
    monkeypatch.setattr(Vectors, "put", watched_put)
    monkeypatch.setattr(files, "PIECE", 200)
    monkeypatch.setattr(files, "GROUP", 1000)
    pieces = image.compress(payload)
    # The division into chunks is that of all vectors at once.
    assert pieces == whole
    counts = [count for count, _ in Container.unpack(whole).chunks]
    total = sum(counts)
    assert total > 100
    assert set(range(50, total, 50)) <= set(np.cumsum(counts).tolist())
    found, _ = image.decompress(pieces)
    assert np.abs(found.arrays["image"].astype(int) - expected.arrays["image"]).max() <= 1
    # No more than a piece is in memory at any time.
    assert max(sizes) * 16 <= 200 + 16 * image.model.layout.block


def test_an_array_of_its_own_source_is_scaled_and_another_is_not():
    numbers = 1.7e9 + 3 * np.random.default_rng(0).normal(size=(100, 8))
    scaled = coder({**ARRAY, "offset": 1.7e9, "gain": 3.0})
    payload = Payload("array", {"x": numbers}, ".npz")
    decoded, _ = scaled.decompress(scaled.compress(payload))
    assert payload.squared_error(decoded) == pytest.approx(9 * 0.1**2 * 0.0717, rel=0.1)
    small = Payload("array", {"x": (numbers - 1.7e9) / 3}, ".npz")
    for other in (coder(ARRAY), coder(IMAGE), coder(SOUND)):
        decoded, _ = other.decompress(other.compress(small))
        assert small.squared_error(decoded) == pytest.approx(0.1**2 * 0.0717, rel=0.1)


BASE = np.random.default_rng(0).normal(size=4000)


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.array([2**63 - 1, -(2**63)] * 100), r"9\.22e\+18"),
        (BASE * 1e12, r"e\+12"),
        (np.where(np.arange(4000) == 17, 1e9, BASE), r"1e\+09"),
        (BASE * 1e300, r"e\+300"),
        (np.full(100, 3e38, np.float32), r"3e\+38"),
    ],
)
def test_numbers_that_the_lattice_cannot_hold(array, says):
    arrays = {"first": BASE, "large": array}
    with pytest.raises(InputError, match=rf"^large holds numbers of up to \S*{says}, .*divide"):
        coder(ARRAY).compress(Payload("array", arrays, ".npz"))


def test_numbers_that_are_none_are_named():
    arrays = {"first": BASE, "second": np.array([1.0, np.nan])}
    with pytest.raises(InputError, match="second holds NaN"):
        coder(ARRAY).compress(Payload("array", arrays, ".npz"))


@pytest.mark.parametrize("arrays", [{}, {"x": np.zeros((0, 3))}, {"file": np.ones(3)}])
def test_archives_with_odd_contents(arrays):
    array = coder(ARRAY)
    payload = Payload("array", arrays, ".npz")
    decoded, _ = array.decompress(array.compress(Payload.read(payload.write(), ".npz")))
    with np.load(io.BytesIO(decoded.write())) as loaded:
        assert {name: loaded[name].shape for name in loaded} == {
            name: value.shape for name, value in arrays.items()
        }


def test_what_would_be_too_large_is_not_decoded():
    array = coder(ARRAY)
    data = array.compress(Payload("array", {"x": np.zeros(1000)}, ".npy"))
    assert array.decompress(data, largest=8000)[0].scalars == 1000
    with pytest.raises(InputError, match="8,000 bytes, more than the 7,999"):
        array.decompress(data, largest=7999)
