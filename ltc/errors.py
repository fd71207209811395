"""The one exception that means: what the user handed in cannot be used."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["InputError", "nearest_names"]


class InputError(ValueError):
    """Bad input: the message says what was got, what was expected and what to do.

    The commands print the message alone and exit with code 2.
    """


def nearest_names(
    name: str, valid: Iterable[str], count: int = 3, cutoff: float = 0.4
) -> list[str]:
    """Return the valid names that look most like `name`, best first.

    Arguments:
        name: what was typed.
        valid: the names that would have been accepted.
        count: how many to return at most.
        cutoff: how much alike they have to be, from 0 to 1.

    Example:
        >>> nearest_names("e9", ["scalar", "e8", "leech"])
        ['e8']
    """
    return difflib.get_close_matches(name, list(valid), n=count, cutoff=cutoff)
