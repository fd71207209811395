"""One place for what parameters may be, and for digests."""

from __future__ import annotations

import hashlib
import math
import numbers
import re
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ltc.errors import InputError

if TYPE_CHECKING:  # it is slow to import, and --help should not be
    from omegaconf import DictConfig
    from torch import Tensor

__all__ = [
    "choice",
    "digest",
    "integer",
    "load_array",
    "number",
    "refuse_interpolations",
]

T = TypeVar("T")


def integer(name: str, value: Any, low: int = 1, high: float = math.inf, hint: str = "") -> int:
    """Return a parameter that counts something; 1e6 is an integer, too.

    Arguments:
        name: the parameter as it is typed, with its group.
        value: what was given.
        low: the least that will do.
        high: the most that will do.
        hint: what the message ends with.

    Raises:
        InputError: it is no integer, or out of this range.

    Example:
        >>> integer("source.patch", 8), integer("steps", 1e3)
        (8, 1000)
    """
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not real or not low <= value <= high or not float(value).is_integer():
        kind = "a positive integer" if low == 1 else f"an integer of at least {low}"
        kind = kind if high == math.inf else f"an integer from {low} to {high}"
        raise InputError(f"{name}={value}; expected {kind}{hint}")
    return int(value)


def number(
    name: str,
    value: Any,
    low: float = 0.0,
    high: float = math.inf,
    hint: str = "",
    closed: bool = False,
) -> float:
    """Return a parameter that lies strictly between `low` and `high`.

    Arguments:
        name: the parameter, as of `integer`; so are value and hint.
        low: what it has to exceed.
        high: what it has to stay below.
        closed: `low` itself will do, too.

    Raises:
        InputError: it is no number or lies outside.

    Example:
        >>> number("source.correlation", 0.9, -1, 1)
        0.9
    """
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not real or not (low < value < high or (closed and value == low)):
        limits = [f"{'from' if closed else 'above'} {low:g}"] * (low > -math.inf)
        limits += [f"below {high:g}"] * (high < math.inf)
        kind = " ".join(["a number", " and ".join(limits)]).strip()
        kind = "a positive number" if kind == "a number above 0" else kind
        raise InputError(f"{name}={value}; expected {kind}{hint}")
    return float(value)


def choice(name: str, value: T, valid: Collection[T]) -> T:
    """Return a parameter that is one of some values.

    Raises:
        InputError: it is none of them.

    Example:
        >>> choice("source.split", "place", ["random", "place"])
        'place'
    """
    if not any(type(value) is type(other) and value == other for other in valid):
        names = [str(other).lower() if isinstance(other, bool) else str(other) for other in valid]
        expected = " or ".join(names) if len(names) < 3 else f"one of {', '.join(names)}"
        raise InputError(f"{name}={value}; expected {expected}")
    return value


def refuse_interpolations(values: DictConfig) -> None:
    """Refuse a configuration with values that something would be called for, `${...}`.

    Runs store their configuration resolved. In one that comes from anybody, an interpolation
    could read the environment or make folders.

    Arguments:
        values: the configuration.

    Raises:
        InputError: one of its values is such.
    """
    from omegaconf import OmegaConf  # not above: lattices and bounds need no configuration

    text = str(OmegaConf.to_container(values, resolve=False))
    found = re.search(r"\$\{[^}]*\}?", text)
    if found:
        raise InputError(f"it holds {found[0][:80]!r}, which is no value; runs store values")


def load_array(name: str, path: Any) -> NDArray[np.float64]:
    """Return the matrix of real numbers in a `.npy` file; nothing in the file is executed.

    Arguments:
        name: the parameter that names the file, with its group.
        path: the file.

    Returns:
        The matrix, shape (rows, columns), float64.

    Raises:
        InputError: the file cannot be read, is no `.npy`, or holds anything but a matrix of
            finite real numbers with at least one row and column.
    """
    if not isinstance(path, str | Path):
        raise InputError(f"{name}={path}; set {name}=FILE.npy")
    try:
        array = np.load(path, allow_pickle=False)
    except OSError as error:
        raise InputError(
            f"{name}={path}: {error.strerror or error}; expected a .npy file"
        ) from error
    except (ValueError, EOFError) as error:
        reason = "" if "pickle" in str(error) else f" ({error})"  # which numpy takes text for
        raise InputError(
            f"{name}={path} is no .npy file of numbers{reason}; write one with numpy.save(FILE, "
            'array), of text with array = numpy.loadtxt(TEXT, delimiter=",")'
        ) from error
    if not isinstance(array, np.ndarray):  # a .npz archive
        array.close()
        raise InputError(f"{name}={path} is an archive (.npz); expected one array (.npy)")
    if array.dtype.kind not in "biuf":
        raise InputError(f"{name}={path} holds values of type {array.dtype}; expected real numbers")
    if array.ndim != 2 or array.size == 0:
        raise InputError(
            f"{name}={path} holds an array of shape {array.shape}; expected (rows, columns) "
            "with at least one of each"
        )
    array = array.astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(array).all(1))
    if len(bad):
        listed = ", ".join(map(str, bad[:5])) + (", …" if len(bad) > 5 else "")
        raise InputError(
            f"{name}={path}: {len(bad)} of {len(array)} rows hold NaN or infinity: "
            f"{listed} (counted from 0); remove them first"
        )
    return array


def digest(*parts: NDArray[Any] | Tensor | bytes | str) -> str:
    """Return a short digest, 16 bytes in hexadecimal: equal if and only if all parts are.

    Arguments:
        parts: text, bytes, or arrays, of which shapes and types count.

    Example:
        >>> digest(np.zeros(2)) == digest(np.zeros(2)) != digest(np.zeros((2, 1)))
        True
    """
    result = hashlib.sha256()
    for part in parts:
        if isinstance(part, str | bytes):
            content = part.encode() if isinstance(part, str) else part
            kind = f"{type(part).__name__}{len(content)}"
        else:
            array = part if isinstance(part, np.ndarray) else part.detach().cpu().numpy()
            kind, content = f"{array.dtype.str}{array.shape}", array.tobytes()
        result.update(kind.encode() + content)
    return result.hexdigest()[:32]
