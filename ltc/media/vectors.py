"""The numbers of arrays as source vectors, a piece at a time."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ltc.errors import InputError
from ltc.media.patches import corners, patches, pixels, planes
from ltc.media.sounds import round_sound

__all__ = ["Vectors", "vector_count"]

Array = npt.NDArray[Any]
Indices = npt.NDArray[np.int64]


def vector_count(shape: tuple[int, ...], dimension: int, patch: int | None) -> int:
    """Return how many source vectors an array has.

    Arguments:
        shape: of the array.
        dimension: numbers in a vector.
        patch: pixels along a side where vectors are patches of a picture, otherwise None.

    Example:
        >>> vector_count((10, 10), 8, None), vector_count((9, 8, 3), 16, 4)
        (13, 18)
    """
    if patch is None:
        return -(-math.prod(shape) // dimension)
    return -(-shape[0] // patch) * -(-shape[1] // patch) * math.prod(shape[2:])


@dataclass
class Vectors:
    """The source vectors of arrays, one array after the other: read and written by number.

    Of a picture they are patches that do not overlap, row after row, one channel after the
    other; of anything else they are successive numbers. What is missing in a last vector repeats
    the last number.

    Arguments:
        arrays: the arrays by name; `put` writes into them, so they are contiguous for that.
        dimension: numbers in a vector.
        patch: pixels along a side where vectors are patches of a picture, otherwise None.
        offset, gain: number = gain * value + offset, for values of the source; one offset, or one
            for each in a vector. Of pictures they are of 8 bits, and those of 16 bits are brought
            to them.
        bits: of the integers of a sound; None: floats, or no sound.

    Example:
        >>> pixels = np.arange(25, dtype=np.uint8).reshape(5, 5)
        >>> vectors = Vectors({"image": pixels}, 4, patch=2)
        >>> vectors.get(2, 4).tolist()
        [[4.0, 4.0, 9.0, 9.0], [10.0, 11.0, 15.0, 16.0]]
        >>> copy = Vectors({"image": np.zeros_like(pixels)}, 4, patch=2)
        >>> copy.put(0, vectors.get(0, len(vectors)))
        >>> bool((copy.arrays["image"] == pixels).all())
        True
    """

    arrays: Mapping[str, Array]
    dimension: int
    patch: int | None = None
    offset: float | list[float] = 0.0
    gain: float = 1.0
    bits: int | None = None
    starts: Indices = field(init=False)

    def __post_init__(self) -> None:
        self.arrays = {name: np.ascontiguousarray(a) for name, a in self.arrays.items()}
        counts = [vector_count(a.shape, self.dimension, self.patch) for a in self.arrays.values()]
        self.starts = np.cumsum([0, *counts])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def get(self, first: int, last: int) -> Array:
        """Return vectors `first` to `last`, excluded; beyond the end the last one repeats.

        Returns:
            Values of the source, shape (last - first, dimension), float32.

        Raises:
            InputError: a number is not finite, or too large for 32 bits.
        """
        values = np.empty((last - first, self.dimension), dtype=np.float32)
        at = 0
        for name, array, inside in self._places(first, last):
            if self.patch is not None:
                cut = patches(planes(array), *corners(array.shape, inside, self.patch), self.patch)
            else:
                d, flat = self.dimension, array.reshape(-1)
                cut = flat[inside.start * d : inside.stop * d]
                cut = np.pad(cut, (0, len(inside) * d - len(cut)), mode="edge")
            numbers = cut.astype(np.float64).reshape(-1, self.dimension)
            if not np.isfinite(numbers).all():
                raise InputError(f"{name} holds NaN or infinity, which have no distortion")
            numbers = (numbers / _unit(array, self.patch) - self.offset) / self.gain
            with np.errstate(over="ignore"):
                values[at : at + len(inside)] = numbers
            at += len(inside)
        values[at:] = values[at - 1]
        return values

    def put(self, first: int, values: Array) -> None:
        """Write vectors from `first` on, rounded to the types of the arrays; undoes `get`.

        Arguments:
            first: the number of the first vector.
            values: of the source, shape (number, dimension); those beyond the end are ignored.
        """
        at = 0
        for _, array, inside in self._places(first, first + len(values)):
            numbers = values[at : at + len(inside)].astype(np.float64) * self.gain + self.offset
            numbers = self._rounded(numbers * _unit(array, self.patch), array.dtype)
            at += len(inside)
            if self.patch is not None:
                channel, top, left = corners(array.shape, inside, self.patch)
                row, column = np.broadcast_arrays(*pixels(top, left, self.patch))
                here = (row < array.shape[0]) & (column < array.shape[1])
                depth = np.broadcast_to(channel[:, None, None], row.shape)
                place = row[here], column[here], depth[here]
                planes(array)[place] = numbers.reshape(row.shape)[here]
            else:
                part = array.reshape(-1)[inside.start * self.dimension :]
                part = part[: numbers.size]
                part[:] = numbers.reshape(-1)[: len(part)]

    def _places(self, first: int, last: int) -> list[tuple[str, Array, range]]:
        """Return the arrays that hold some vectors, and which of their own those are."""
        found = []
        for (name, array), start, end in zip(
            self.arrays.items(), self.starts[:-1], self.starts[1:], strict=True
        ):
            inside = range(max(first - int(start), 0), min(last, int(end)) - int(start))
            if len(inside):
                found.append((name, array, inside))
        return found

    def _rounded(self, numbers: Array, dtype: np.dtype[Any]) -> Array:
        """Return the nearest numbers of a type."""
        if self.bits is not None:
            return round_sound(numbers, self.bits).astype(dtype)
        if dtype.kind == "f":
            low, high = float(np.finfo(dtype).min), float(np.finfo(dtype).max)
        elif dtype.kind == "b":
            low, high = 0.0, 1.0
        else:
            low, high = float(np.iinfo(dtype).min), float(np.iinfo(dtype).max)
            if dtype.itemsize == 8:  # whose largest is no float64
                high = float(np.nextafter(high, 0))
        numbers = numbers if dtype.kind == "f" else np.rint(numbers)
        rounded: Array = np.clip(numbers, low, high).astype(dtype)
        return rounded


def _unit(array: Array, patch: int | None) -> float:
    """Return how many steps of a picture make one of 8 bits."""
    if patch is None or array.dtype.kind != "u":
        return 1.0
    return float(np.iinfo(array.dtype).max) / 255
