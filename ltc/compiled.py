"""Functions that numba compiles, kept on disk until the source of any of them changes."""

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba

__all__ = ["compiled"]


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator: compile at the first call, without Python's lock, and keep it on disk.

    numba takes what it kept for current as long as the function's own file is unchanged, and so
    goes on with the old code of another file's function or constant that it has built in (after
    an update of a clone, say): numbers would be wrong without a word. Here all these files count.

    Arguments:
        options: further options of `numba.njit`.

    Example:
        >>> from ltc.lattices.sphere import lll  # decorated with @compiled()
        >>> lll.targetoptions["nogil"]
        True
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        # Division by zero gives infinity, as in numpy: no error to compile.
        result = numba.njit(nogil=True, cache=True, error_model="numpy", **options)(function)
        cache: Any = getattr(result, "_cache", None)
        if hasattr(cache, "_cache_file"):  # not where numba was told not to compile
            cache._cache_file._source_stamp = sources()
        return result

    return decorate


@functools.cache
def sources() -> str:
    """Return a digest of all files of the package whose functions are compiled."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        if b"ltc.compiled" in (text := path.read_bytes()):
            digest.update(text)
    return digest.hexdigest()
