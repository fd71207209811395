"""Means of blocks, two by two along rows and columns, through another Haar step.

Means of neighbouring blocks are alike, far more than other frequencies are: what they have in
common is one number for four blocks, and the rest is mostly zero. A place that has no partner, in
the last of an odd number of rows or columns, is taken as one of two that are alike.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["paired", "separated"]

Plane = NDArray[np.float32]

ROOT = np.float32(2**0.5)


def paired(plane: Plane) -> Plane:
    """Return sums, in even rows and columns, and differences of neighbours, orthonormal.

    Arguments:
        plane: shape (R, C).

    Returns:
        Shape (R, C).

    Example:
        >>> paired(np.float32([[3, 1, 2], [3, 1, 2]])).round(2).tolist()
        [[4.0, 2.0, 4.0], [0.0, 0.0, 0.0]]
    """
    return _haar(_haar(plane).T).T


def separated(plane: Plane) -> Plane:
    """Undo `paired`; sums are in one order.

    Example:
        >>> separated(paired(np.float32([[3, 1, 2], [3, 1, 2]]))).round(2).tolist()
        [[3.0, 1.0, 2.0], [3.0, 1.0, 2.0]]
    """
    return _haar(_haar(plane.T, -1).T, -1)


def _haar(plane: Plane, power: int = 1) -> Plane:
    """Return sums and differences of rows, over the root of two; a last one alone, times it."""
    found = plane * ROOT**power
    pairs = len(plane) // 2 * 2
    found[0:pairs:2] = (plane[0:pairs:2] + plane[1:pairs:2]) / ROOT
    found[1:pairs:2] = (plane[0:pairs:2] - plane[1:pairs:2]) / ROOT
    return found
