"""The levels that a state of the trellis offers, and how they are named.

A state offers cosets of 4 Z, one on each branch. The branch is coded first, given the state, then
the rank of the level in its coset, by magnitude. What looks the same is coded with the same table,
its kind: coset 3 is the mirror image of coset 1.

A state of a convolutional code offers the even levels, cosets 0 and 2, or the odd ones, 1 and 3.
Where coordinates are small, in classes below `PLAIN`, most are zero, and a state that has none
would have to send something: there the odd levels get a zero, and cosets are symmetric,
{1, -1, 5, -5, ...} and {0, 3, -3, ...}, as in dependent quantization (Schwarz, Nguyen, Marpe and
Wiegand, *Hybrid video coding with trellis-coded quantization*, Data Compression Conference 2019).
With 8 states and a Gaussian source that alone would be 0.11 bits from R(D) at one bit; the cosets
of the code as they are, 0.075.

A lattice of one length has its trellis again and again along a row: its states are those of all
sections, one after another, and of most states only some branches there are.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ltc.compiled import compiled
from ltc.errors import InputError
from ltc.lattices import Lattice, Section

__all__ = ["KINDS", "PLAIN", "Branches", "branches_of", "candidate", "kind_of", "level_of",
           "rank_of", "signed"]  # fmt: skip

# Cosets beside 0 to 3: {1, -1, 5, -5, ...} and {0, 3, -3, 7, -7, ...}.
ONE, THREE = 4, 5
# Kinds of cosets: 0, 2, 1 (and 3, mirrored; and `ONE`, in other classes), and `THREE`.
KINDS = 4
# The class from which on cosets are those of the code: a magnitude of a half is expected.
PLAIN = 13
# States at most: each has its own neighbours to look at, so that the time grows with them.
MOST_STATES = 1024

inline = compiled(inline="always")


class Branches(NamedTuple):
    """What the states of a trellis offer.

    Attributes:
        following: the state after each state and branch, shape (states, branches); -1 where there
            is none. Branches that there are come first.
        coset: the coset on each, in classes below `PLAIN` and in others, shape (2, states,
            branches).
        volume: of the lattice, per dimension, in levels.
    """

    following: NDArray[np.int64]
    coset: NDArray[np.int64]
    volume: float

    @property
    def numbers(self) -> list[int]:
        """How many branches each state offers."""
        found: list[int] = (self.following >= 0).sum(1).tolist()
        return found


def branches_of(lattice: Lattice) -> Branches:
    """Return what the states of a lattice's trellis offer to a row of levels.

    Raises:
        InputError: the lattice has no trellis of cosets of 4 Z, or too many states.

    Example: each of four states offers the even or the odd levels.
        >>> from ltc.lattices import Convolutional
        >>> branches_of(Convolutional(4)).coset[1].tolist()
        [[0, 2], [1, 3], [0, 2], [1, 3]]
    """
    if lattice.dimension == 1 and lattice.section is None:  # the integers: all levels are even
        cosets = np.array([[0, 2]])
        return Branches(np.zeros((1, 2), np.int64), np.stack([cosets, cosets]), 2.0)
    sections: list[Section] = []
    if lattice.section is not None:
        sections = [lattice.section]
    elif lattice.trellis is not None:
        sections = list(lattice.trellis.sections)
    spacing = {(section.step, len(section.offset)) for section in sections}
    if len(spacing) != 1 or (cosets_number := spacing.pop()[1]) not in (2, 4):
        raise InputError(
            f"quantizer={lattice.name}: pictures are coded along rows of a trellis of two or four "
            "cosets; use quantizer=trellis, scalar, dn, dn_dual, e7, e7_dual, e8 or bw16"
        )
    counts = [int(section.previous.max()) + 1 for section in sections]
    if sum(counts) > MOST_STATES:
        raise InputError(
            f"quantizer.states={sum(counts)}; of pictures expected {MOST_STATES} at most"
        )
    first = np.cumsum([0, *counts])
    after: list[list[int]] = [[] for _ in range(first[-1])]
    coset: list[list[int]] = [[] for _ in range(first[-1])]
    for t, section in enumerate(sections):
        beyond = first[(t + 1) % len(sections)]
        order = np.argsort(section.coset, axis=None, kind="stable")
        for at in order:
            state = first[t] + section.previous.flat[at]
            after[state].append(beyond + at // section.previous.shape[1])
            coset[state].append(int(section.coset.flat[at]) * 4 // cosets_number)
    most = max(map(len, after))
    following, plain = (
        np.array([row + [-1] * (most - len(row)) for row in rows]) for rows in (after, coset)
    )
    small = plain.copy()
    if lattice.section is not None:
        small[plain == 1], small[plain == 3] = ONE, THREE
    return Branches(following, np.stack([small, plain]), 4 / sections[0].step)


@inline
def kind_of(coset):  # type: ignore[no-untyped-def]
    """Return the kind of a coset."""
    if coset == 0 or coset == 2:
        return coset >> 1
    return 3 if coset == THREE else 2


@inline
def signed(level, coset):  # type: ignore[no-untyped-def]
    """Return whether the sign of a level is coded apart."""
    return level != 0 and coset != 1 and coset != 3


@inline
def rank_of(level, coset):  # type: ignore[no-untyped-def]
    """Return the rank of a level in a coset, -1 where it is not in it."""
    size = abs(level)
    if coset == ONE:
        return (size + 1) >> 2 if size & 3 == 1 else -1
    if coset == THREE:
        return (size + 1) >> 2 if size & 3 == 3 or size == 0 else -1
    if level & 3 != coset:
        return -1
    return size >> 1 if coset & 1 else size >> 2


@inline
def level_of(coset, rank):  # type: ignore[no-untyped-def]
    """Return the level of a rank; where the sign is coded apart, its magnitude."""
    if coset == ONE:
        return 4 * rank + 1
    if coset == THREE:
        return 4 * rank - 1 if rank > 0 else 0
    if coset & 1:
        size = 2 * rank + 1
        return -size if (rank & 1) ^ (coset >> 1) else size
    return 4 * rank + coset


@inline
def candidate(value, coset, inner):  # type: ignore[no-untyped-def]
    """Return the level of a coset nearest to a value, or with `inner` the next nearer to zero.

    Where there is no such level, it is the nearest again.
    """
    if coset == 1 or coset == 3:
        base = 2 - coset
        level = base + 4 * int(np.rint(0.25 * (value - base)))
        if inner:
            other = level - 4 if level > 0 else level + 4
            return other if abs(other) < abs(level) else level
        return level
    size = abs(value)
    start = 1 if coset == ONE else -1 if coset == THREE else coset
    rank = int(np.rint(0.25 * (size - start)))
    if coset == THREE and size < 1.5:  # zero and three are three apart, not four
        rank = 0
    rank = max(rank - 1, 0) if inner else max(rank, 0)
    found = level_of(coset, rank)
    return found if value >= 0 else -found
