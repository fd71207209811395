"""A long path cut into pieces, which are decoded side by side.

The Viterbi algorithm forgets: which state the best path goes through is decided by what lies
near (Forney, *The Viterbi algorithm*, Proc. IEEE 61, 1973).
So windows around the joints of the pieces decide the states there, and the pieces are decoded
from joint to joint. What comes out is a path, whatever the windows decide.
"""

import math
from collections.abc import Callable

import numpy as np

from ltc.lattices.trellis.structure import IntArray

__all__ = ["Decode", "by_pieces", "is_cut", "whole_rows"]

# A piece has at least so many coordinates, and at most so many: a longer one spends less of the
# time on its joint. A decision takes a bit for each state, of LANES pieces side by side.
SHORTEST, LONGEST = 1 << 12, 1 << 15
LANES = 16
MOST_DECISIONS = 1 << 29
# A window reaches so far to both sides of a joint, times the square of the code's memory in bits,
# and so much further. Measured on the uniform distribution, where paths are the most alike: squared
# errors are greater by about 1e-6 for pieces of SHORTEST coordinates and by 2e-7 for those of
# LONGEST; a window that reaches 4 times the square less far loses 10 times more.
REACH, FURTHER = 12, 50

# Decodes parts of rows, `decode(items, ends, length, middle)`, along a trellis of so many sections,
# equal ones where rows are cut; see `viterbi` for items and ends. If `middle` is true it returns
# the states in the middle of the best paths, shape (count,); otherwise it writes the paths.
Decode = Callable[[IntArray, IntArray, int, bool], IntArray]


def is_cut(length: int) -> bool:
    """Return whether a path of so many coordinates is decoded in pieces."""
    return length >= 2 * SHORTEST


def by_pieces(decode: Decode, rows: int, length: int, states: int) -> None:
    """Decode long rows.

    Arguments:
        decode: decodes a part of a row.
        rows: how many there are.
        length: coordinates of each.
        states: number of states of the trellis.
    """
    most = min(LONGEST, MOST_DECISIONS // (LANES * states))
    # A multiple of the lanes, so that none is empty.
    pieces = min(length // SHORTEST, LANES * math.ceil(length / (LANES * most)))
    size = math.ceil(length / pieces)
    begin = np.arange(0, length, size)
    joint = np.zeros((rows, len(begin) + 1), dtype=np.int64)
    joint[:, -1] = -1  # the path begins in state 0, and ends where it will
    reach = math.ceil(REACH * math.log2(states) ** 2 + FURTHER)
    windows = _items(rows, begin[1:] - reach, length, 2 * reach)
    free = np.full((len(windows), 2), -1)
    middle = decode(windows, free, 2 * reach, True)
    joint[:, 1:-1] = middle.reshape(rows, -1)
    ends = np.stack([joint[:, :-1], joint[:, 1:]], axis=-1).reshape(-1, 2)
    decode(_items(rows, begin, length, size), ends, size, False)


def whole_rows(rows: int, length: int) -> tuple[IntArray, IntArray]:
    """Return the items and ends of rows that are not cut."""
    return _items(rows, np.zeros(1, dtype=np.int64), length, length), np.full((rows, 2), -1)


def _items(rows: int, begin: IntArray, length: int, size: int) -> IntArray:
    """Return (row, begin, size) for each row and beginning, shape (rows * beginnings, 3)."""
    items = np.empty((rows, len(begin), 3), dtype=np.int64)
    items[..., 0] = np.arange(rows)[:, None]
    items[..., 1] = begin
    items[..., 2] = np.minimum(size, length - begin)
    return items.reshape(-1, 3)
