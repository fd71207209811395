"""Arrays as vectors: cut, and joined to what they were."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ltc.media import Vectors


@settings(max_examples=60, deadline=None)
@given(
    pixels=hnp.arrays(
        st.sampled_from([np.uint8, np.uint16]),
        st.tuples(st.integers(1, 9), st.integers(1, 9))
        | st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3)),
    ),
    patch=st.integers(1, 5),
    piece=st.integers(1, 30),
)
def test_pictures_are_cut_and_joined(pixels, patch, piece):
    vectors = Vectors({"image": pixels}, patch**2, patch, offset=100, gain=50)
    high, wide = (-(-n // patch) for n in pixels.shape[:2])
    assert len(vectors) == high * wide * (3 if pixels.ndim == 3 else 1)
    # Numbers of 16 bits are brought to the scale of 8.
    unit = 257 if pixels.dtype == np.uint16 else 1
    first = 50 * vectors.get(0, 1) + 100
    plane = pixels if pixels.ndim == 2 else pixels[..., 0]
    edge = [(0, max(0, patch - n)) for n in plane.shape]
    expected = np.pad(plane[:patch, :patch], edge, mode="edge") / unit
    assert first[0] == pytest.approx(expected.ravel(), abs=1e-3)
    copy = Vectors({"image": np.zeros_like(pixels)}, patch**2, patch, offset=100, gain=50)
    for start in range(0, len(vectors), piece):
        copy.put(start, vectors.get(start, start + piece))
    assert np.array_equal(copy.arrays["image"], pixels)


@settings(max_examples=60, deadline=None)
@given(
    arrays=st.lists(
        hnp.arrays(
            st.sampled_from(["i1", "i2", "?", ">u2"]),
            hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5),
        ),
        max_size=3,
    ),
    dimension=st.integers(1, 7),
    piece=st.integers(1, 20),
)
def test_arrays_are_cut_and_joined(arrays, dimension, piece):
    arrays = {str(i): array for i, array in enumerate(arrays)}
    vectors = Vectors(arrays, dimension)
    empty = {name: np.empty_like(array) for name, array in arrays.items()}
    copy = Vectors(empty, dimension)
    for start in range(0, len(vectors), piece):
        copy.put(start, vectors.get(start, start + piece))
    for name, array in arrays.items():
        np.testing.assert_array_equal(copy.arrays[name].reshape(array.shape), array)


@pytest.mark.parametrize("dtype", ["i1", "u2", "i4", "i8", "u8", "?", "f2"])
def test_numbers_beyond_a_type_become_its_ends(dtype):
    numbers = np.zeros(2, dtype)
    Vectors({"x": numbers}, 2, gain=1e3).put(0, np.array([[-1e30, 1e30]], np.float32))
    if numbers.dtype.kind == "f":
        assert numbers.tolist() == [-65504, 65504]
    elif dtype == "?":
        assert numbers.tolist() == [False, True]
    else:
        limits = np.iinfo(dtype)
        assert numbers[0] == limits.min
        assert int(numbers[1]) == pytest.approx(limits.max, rel=1e-15)


def test_samples_are_rounded_to_their_integers():
    samples = np.zeros(3)
    Vectors({"x": samples}, 3, bits=8).put(0, np.array([[0.3, 1.5, -1.5]], np.float32))
    assert (samples * 128).tolist() == [38, 127, -128]
