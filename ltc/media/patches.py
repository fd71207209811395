"""Square patches of pictures, and the order in which they are coded."""

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["corners", "patches", "pixels", "planes"]

Array = npt.NDArray[Any]
Indices = npt.NDArray[np.int64]


def corners(shape: tuple[int, ...], numbers: range, size: int) -> tuple[Indices, Indices, Indices]:
    """Return where patches that do not overlap begin: row after row, one channel after the other.

    Arguments:
        shape: of the picture, (height, width) or (height, width, channels).
        numbers: of the patches, in the order in which they are coded.
        size: pixels along a side.

    Returns:
        Channel, top and left of each, shape (number,).

    Example:
        >>> [place.tolist() for place in corners((5, 5), range(2, 4), 4)]
        [[0, 0], [4, 4], [0, 4]]
    """
    high, wide = (-(-n // size) for n in shape[:2])
    channel, rest = np.divmod(np.arange(numbers.start, numbers.stop), high * wide)
    row, column = np.divmod(rest, wide)
    return channel, row * size, column * size


def patches(picture: Array, channel: Indices, top: Indices, left: Indices, size: int) -> Array:
    """Return square patches of a picture; beyond its edges its last pixels repeat.

    Arguments:
        picture: pixels, shape (height, width, channels).
        channel, top, left: where each patch begins, shape (number,).
        size: pixels along a side.

    Returns:
        Patches, row after row of pixels, shape (number, size * size).

    Example:
        >>> zero = np.zeros(1, int)
        >>> patches(np.arange(6).reshape(2, 3, 1), zero, zero, zero + 2, 2)
        array([[2, 2, 5, 5]])
    """
    row, column = pixels(top, left, size)
    row = np.minimum(row, picture.shape[0] - 1)
    column = np.minimum(column, picture.shape[1] - 1)
    return picture[row, column, channel[:, None, None]].reshape(len(top), size * size)


def pixels(top: Indices, left: Indices, size: int) -> tuple[Indices, Indices]:
    """Return rows (number, size, 1) and columns (number, 1, size) of the pixels of patches.

    Arguments:
        top, left: where each patch begins, shape (number,).
        size: pixels along a side.
    """
    along = np.arange(size)
    return top[:, None, None] + along[:, None], left[:, None, None] + along


def planes(picture: Array) -> Array:
    """Return a picture with an axis of channels, whether it has one or not."""
    return picture.reshape(*picture.shape[:2], -1)
