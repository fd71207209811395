"""Parameters of sources: what is no number of the right kind is named and refused."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ltc.errors import InputError

__all__ = ["digest", "load_array", "number", "positive_integer"]


def positive_integer(name: str, value: Any) -> int:
    """Return a parameter that counts something.

    Raises:
        InputError: it is no positive integer.

    Example:
        >>> positive_integer("patch", 8)
        8
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InputError(f"source.{name}={value!r}; expected a positive integer")
    return value


def number(name: str, value: Any, low: float, high: float) -> float:
    """Return a parameter that lies strictly between `low` and `high`.

    Raises:
        InputError: it is no number or lies outside.

    Example:
        >>> number("correlation", 0.9, -1, 1)
        0.9
    """
    kind = isinstance(value, int | float) and not isinstance(value, bool)
    if not kind or not math.isfinite(value) or not low < value < high:
        limits = [f"above {low:g}"] * (low > -math.inf) + [f"below {high:g}"] * (high < math.inf)
        expected = " ".join(["a number", " and ".join(limits)]).strip()
        raise InputError(f"source.{name}={value!r}; expected {expected}")
    return float(value)


def load_array(name: str, path: Any) -> NDArray[np.float64]:
    """Return the matrix of real numbers in a `.npy` file; nothing in the file is executed.

    Arguments:
        name: the parameter that names the file.
        path: the file.

    Returns:
        The matrix, shape (rows, columns), float64.

    Raises:
        InputError: the file cannot be read, is no `.npy`, or holds anything but a matrix of
            finite real numbers with at least one row and column.
    """
    if not isinstance(path, str | Path):
        raise InputError(f"source.{name}={path!r}; set source.{name}=FILE.npy")
    try:
        array = np.load(path, allow_pickle=False)
    except OSError as error:
        raise InputError(
            f"source.{name}={path}: {error.strerror or error}; expected a .npy file"
        ) from error
    except (ValueError, EOFError) as error:
        raise InputError(
            f"source.{name}={path} is no .npy file of numbers ({error}); write one with "
            "numpy.save(FILE, array), where the array's dtype is not object"
        ) from error
    if not isinstance(array, np.ndarray):  # a .npz archive
        array.close()
        raise InputError(f"source.{name}={path} is an archive (.npz); expected one array (.npy)")
    if array.dtype.kind not in "biuf":
        raise InputError(
            f"source.{name}={path} holds values of type {array.dtype}; expected real numbers"
        )
    if array.ndim != 2 or array.size == 0:
        raise InputError(
            f"source.{name}={path} holds an array of shape {array.shape}; expected (rows, columns) "
            "with at least one of each"
        )
    array = array.astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(array).all(1))
    if len(bad):
        listed = ", ".join(map(str, bad[:5])) + (", …" if len(bad) > 5 else "")
        raise InputError(
            f"source.{name}={path}: {len(bad)} of {len(array)} rows hold NaN or infinity: "
            f"{listed} (counted from 0); remove them first"
        )
    return array


def digest(*arrays: NDArray[Any]) -> str:
    """Return a short digest of arrays, their shapes and types included.

    Example:
        >>> digest(np.zeros(2)) == digest(np.zeros(2)) != digest(np.zeros((2, 1)))
        True
    """
    result = hashlib.sha256()
    for array in arrays:
        result.update(f"{array.dtype.str}{array.shape}".encode())
        result.update(np.ascontiguousarray(array).data)
    return result.hexdigest()[:32]
