"""Files of whole pictures: what comes back, what is reached, and what is refused."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ltc.codec import Aim, Container, Payload
from ltc.codec.picture_files import PictureFileCoder, quality_step
from ltc.coder.grid import FINEST
from ltc.errors import InputError
from ltc.lattices import A2, Convolutional, GeneratorLattice, Leech


def test_finer_steps_cost_more_and_are_better(files, smooth):
    payload = Payload("image", {"image": smooth(64, 64, seed=5)}, ".png")
    found = []
    for quality in (40, 55, 70, 85):  # steps from 28 to 2: what the tables were fitted to
        data = files.compress(payload, aim=Aim("quality", quality))
        found.append((len(data), -payload.squared_error(files.decompress(data)[0])))
    assert found == sorted(found)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_picture_or_are_refused(make, data):
    model = make(Convolutional(8), stride=2)
    files = PictureFileCoder(model, {"offset": 128.0})
    metadata = {"kind": "image", "suffix": ".png", "arrays": [["image", [5, 4, 3], "|u1"]]}
    forged = Container(files.fingerprint, {**metadata, "step": 1024}, [(1, data)]).pack()
    try:
        payload, _ = files.decompress(forged)
    except InputError:
        return
    assert payload.arrays["image"].shape == (5, 4, 3)


SHAPES = [(1, 1), (1, 1, 3), (1, 1000), (37, 3, 3), (5, 29), (16, 16, 3)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_pictures_of_any_size_come_back(files, smooth, shape, dtype):
    picture = smooth(*shape[:2], 3)[..., : 3 if len(shape) == 3 else 1].reshape(shape)
    picture = picture.astype(dtype) * (np.iinfo(dtype).max // 255)
    payload = Payload("image", {"image": picture}, ".png")
    decoded, damaged = files.decompress(files.compress(payload, aim=Aim("quality", 100)))
    found = decoded.arrays["image"]
    assert not damaged
    assert found.dtype == dtype
    assert found.shape == shape
    assert np.abs(found.astype(float) - picture).max() < 4 * np.iinfo(dtype).max / 255


def test_what_is_asked_for_is_reached(files, smooth):
    payload = Payload("image", {"image": smooth(96, 128, seed=4)}, ".png")
    for wanted in (1.5, 3.0):
        data = files.compress(payload, aim=Aim("bpp", wanted))
        assert 8 * len(data) / (96 * 128) == pytest.approx(wanted, rel=0.01)
    data = files.compress(payload, aim=Aim("psnr", 36.0))
    error = payload.squared_error(files.decompress(data)[0])
    assert 10 * math.log10(255**2 / error) == pytest.approx(36, abs=0.05)
    with pytest.raises(InputError, match="the nearest is without loss"):
        files.compress(payload, aim=Aim("psnr", 1000))
    flat = Payload("image", {"image": np.full((9, 8, 3), 128, np.uint8)}, ".png")
    data = files.compress(flat, aim=Aim("psnr", 40.0))  # nothing is worse than it has to be
    assert (files.decompress(data)[0].arrays["image"] == 128).all()
    with pytest.raises(InputError, match="cannot be reached for this picture; the nearest is"):
        files.compress(payload, aim=Aim("bpp", 1e-4))
    with pytest.raises(InputError, match="quality=101; expected a number from 0 to 100"):
        files.compress(payload, aim=Aim("quality", 101))
    assert quality_step(0) == 256 * FINEST


def test_of_files_without_loss_the_smallest_is_taken(files, smooth):
    payload = Payload("image", {"image": smooth(40, 48, seed=4)}, ".png")
    data = files.compress(payload, aim=Aim("psnr", 100.0))
    assert payload.squared_error(files.decompress(data)[0]) == 0
    # All fine steps are without loss: the finest has four bits a pixel and colour more.
    assert len(data) < 0.6 * len(files.compress(payload, aim=Aim("lmbda", 1e300)))


def test_other_lattices_and_kinds_are_refused(files, make):
    for lattice in (A2(), Leech(), GeneratorLattice([[1, 0], [0, 1]])):
        with pytest.raises(InputError, match="of two or four cosets; use quantizer=trellis"):
            make(lattice)
    with pytest.raises(InputError, match="states=4096; of pictures expected 1024 at m"):
        make(Convolutional(4096))
    with pytest.raises(InputError, match="trained on pictures, and cannot compress array"):
        files.compress(Payload("array", {"x": np.zeros(3)}, ".npz"))
    with pytest.raises(InputError, match="describes no arrays that"):
        files.compress(Payload("image", {"image": np.zeros((5, 5), np.uint8)}, ".gif"))


@pytest.mark.parametrize(
    "forged",
    [
        {"step": 0}, {"step": 1e3}, {"step": None}, {"kind": "audio"}, {"suffix": ".exe"},
        {"arrays": [["image", [10**9, 10**9, 3], "|u1"]]},
    ],
)  # fmt: skip
def test_forged_headers_are_refused(files, smooth, forged):
    payload = Payload("image", {"image": smooth(8, 8)}, ".png")
    container = Container.unpack(files.compress(payload))
    container.metadata.update(forged)
    with pytest.raises(InputError):
        files.decompress(container.pack())


def test_a_lmbda_without_a_step_is_refused_before_a_file_is_written(files, smooth):
    payload = Payload("image", {"image": smooth(8, 8)}, ".png")
    for lmbda in (1e-9, 1e-300, 5e-324):
        with pytest.raises(InputError, match="expected at least"):
            files.compress(payload, aim=Aim("lmbda", lmbda))


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((9, 9), float), ((9, 9), bool), ((9, 9), int), ((9, 9, 4), np.uint8), ((9, 9, 1), np.uint8),
     ((0, 9), np.uint8), ((9,), np.uint8), ((), np.uint8)],
)  # fmt: skip
def test_arrays_that_are_no_pictures_are_refused(files, shape, dtype):
    with pytest.raises(InputError, match="is no picture; expected uint8"):
        files.compress(Payload("image", {"image": np.zeros(shape, dtype)}, ".png"))


def test_the_memory_of_whole_blocks_is_limited(files):
    """A picture of one row takes that of all rows of its blocks."""
    payload = Payload("image", {"image": np.zeros((1, 400), np.uint8)}, ".png")
    data = files.compress(payload, largest=12 * 4 * 400)
    assert files.decompress(data, largest=12 * 4 * 400)[0].arrays["image"].shape == (1, 400)
    with pytest.raises(InputError, match="more than the 19,000 that are allowed"):
        files.compress(payload, largest=19_000)
    with pytest.raises(InputError, match="more than the 19,000 that are allowed"):
        files.decompress(data, largest=19_000)
