"""The levels that a state of the trellis offers, and how they are named.

A state offers two cosets of 4 Z: 0 and 2, the even levels, or 1 and 3, the odd ones. The coset is
coded first, given the state, then the rank of the level in it, by magnitude. What looks the same is
coded with the same table, its kind: coset 3 is the mirror image of coset 1. Where coordinates are
small, in classes below `PLAIN`, most are zero, and a state that has none would have to send
something: there the odd levels get a zero, and cosets are symmetric, {1, -1, 5, -5, ...} and
{0, 3, -3, ...}, as in dependent quantization (Schwarz, Nguyen, Marpe and Wiegand, *Hybrid video
coding with trellis-coded quantization*, Data Compression Conference 2019). With 8 states and a
Gaussian source that alone would be 0.11 bits from R(D) at one bit; the cosets of the code as they
are, 0.075.
"""

from __future__ import annotations

import numba
import numpy as np

__all__ = ["KINDS", "PLAIN", "candidate", "kind_of", "level_of", "name_of", "signed"]

# Kinds of cosets: 0, 2, 1 (and 3, mirrored), and the odd ones with a zero.
KINDS = 4
# The class from which on cosets are those of the code: a magnitude of a half is expected.
PLAIN = 13

inline = numba.njit(cache=True, nogil=True, inline="always")


@inline
def kind_of(odd, plain, second):  # type: ignore[no-untyped-def]
    """Return the kind of the first or second coset of a state."""
    if odd == 0:
        return second
    return 2 if plain else 2 + second


@inline
def name_of(level, odd, plain):  # type: ignore[no-untyped-def]
    """Return whether a level is in the second coset of a state, and its rank there."""
    size = abs(level)
    if odd == 0:
        return (size >> 1) & 1, size >> 2
    if plain:
        return (level & 3) >> 1, size >> 1
    return int(size & 3 != 1), (size + 1) >> 2


@inline
def level_of(odd, plain, second, rank):  # type: ignore[no-untyped-def]
    """Return the level of a name; where the sign is coded apart, its magnitude."""
    if odd == 0:
        return 4 * rank + 2 * second
    if plain:
        size = 2 * rank + 1
        return -size if (rank & 1) ^ second else size
    return 4 * rank - 1 if second and rank > 0 else 4 * rank + 1 - second


@inline
def signed(level, odd, plain):  # type: ignore[no-untyped-def]
    """Return whether the sign of a level is coded apart."""
    return level != 0 and (odd == 0 or not plain)


@inline
def candidate(value, odd, plain, second, inner):  # type: ignore[no-untyped-def]
    """Return the level of a coset nearest to a value, or with `inner` the next nearer to zero.

    Where there is no such level, it is the nearest again.
    """
    size = abs(value)
    if odd == 1 and plain:
        base = 1 - 2 * second
        level = base + 4 * int(np.rint(0.25 * (value - base)))
        if inner:
            other = level - 4 if level > 0 else level + 4
            return other if abs(other) < abs(level) else level
        return level
    if odd == 0:
        rank = int(np.rint(0.25 * (size - 2 * second)))
    else:
        rank = int(np.rint(0.25 * (size - 1 + 2 * second)))
        if second and size < 1.5:  # zero and three are three apart, not four
            rank = 0
    rank = max(rank - 1, 0) if inner else max(rank, 0)
    found = level_of(odd, plain, second, rank)
    return found if value >= 0 else -found
