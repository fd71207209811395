"""Lattice points near a vector, for any basis: reduction and search, compiled for the CPU.

Importing this module imports numba: do it when it is needed, not before.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from ltc.compiled import compiled
from ltc.lattices.backend import UNRESOLVED

__all__ = ["closest_point", "lll", "points_within", "triangular"]

FloatArray = npt.NDArray[np.float64]


@compiled()
def lll(basis: Any) -> Any:
    """Return a reduced basis of a lattice: short vectors, nearly orthogonal.

    The algorithm of Lenstra, Lenstra and Lovasz (Math. Ann. 261, 1982) with parameter 0.99, in
    floating point.

    Arguments:
        basis: basis vectors as rows, shape (n, n), float64.

    Returns:
        Another basis of the same lattice, same shape.

    Example:
        >>> lll(np.array([[1.0, 0.0], [5.0, 1.0]])).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    # Number by number: of sums of slices numba would compile the text of the error of unequal
    # shapes as well, which takes longer than all the rest.
    n = len(basis)
    basis = basis.copy()
    orthogonal = basis.copy()
    norm = np.zeros(n)
    for i in range(n):
        norm[0] += basis[0, i] ** 2
    mu = np.zeros((n, n))
    k = 1
    while k < n:
        # Twice: what rounding left of the first reduction goes in the second.
        for _ in range(2):
            for i in range(n):
                orthogonal[k, i] = basis[k, i]
            for j in range(k):
                product = 0.0
                for i in range(n):
                    product += basis[k, i] * orthogonal[j, i]
                mu[k, j] = product / norm[j]
                for i in range(n):
                    orthogonal[k, i] -= mu[k, j] * orthogonal[j, i]
            for j in range(k - 1, -1, -1):
                whole = np.rint(mu[k, j])
                for i in range(n):
                    basis[k, i] -= whole * basis[j, i]
                for i in range(j):
                    mu[k, i] -= whole * mu[j, i]
                mu[k, j] -= whole
        norm[k] = 0.0
        for i in range(n):
            norm[k] += orthogonal[k, i] ** 2
        if norm[k] >= (0.99 - mu[k, k - 1] ** 2) * norm[k - 1]:
            k += 1
            continue
        for i in range(n):
            basis[k, i], basis[k - 1, i] = basis[k - 1, i], basis[k, i]
        if k == 1:
            norm[0] = 0.0
            for i in range(n):
                orthogonal[0, i] = basis[0, i]
                norm[0] += basis[0, i] ** 2
        k = max(k - 1, 1)
    return basis


def triangular(basis: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return a lower triangular matrix and a rotation whose product is the basis."""
    rotation, upper = np.linalg.qr(basis.T)
    return np.ascontiguousarray(upper.T), np.ascontiguousarray(rotation)


@compiled()
def _search(lower: Any, target: Any, bound: float, every: bool, exact: bool, found: Any) -> int:
    """Search the points of a lattice near a target, depth first and nearest first.

    Schnorr and Euchner's order (Agrell, Eriksson, Vardy and Zeger, *Closest point search in
    lattices*, IEEE Trans. Inform. Theory 48, 2002, section III). With `every` it counts the
    points within the squared distance `bound` and writes the coefficients of as many as fit to
    the rows of `found`; otherwise it writes those of the nearest to the first row, or, not
    `exact`, those of the first point it meets, which is Babai's.
    """
    n = len(target)
    count = 0
    coefficient = np.zeros(n)
    centre = np.zeros(n)
    turn = np.zeros(n)
    beyond = np.zeros(n + 1)
    k = n
    descend = True
    while True:
        if descend:
            k -= 1
            rest = target[k]
            for i in range(k + 1, n):
                rest -= coefficient[i] * lower[i, k]
            centre[k] = rest / lower[k, k]
            coefficient[k] = np.rint(centre[k])
            turn[k] = 1.0 if centre[k] >= coefficient[k] else -1.0
        else:
            # The next nearest on the other side of the centre.
            coefficient[k] += turn[k]
            turn[k] = -turn[k] - np.sign(turn[k])
        distance = beyond[k + 1] + ((centre[k] - coefficient[k]) * lower[k, k]) ** 2
        inside = distance <= bound if every else distance < bound
        descend = inside and k > 0
        if descend:
            beyond[k] = distance
        elif inside and every:
            if count < len(found):
                for i in range(n):
                    found[count, i] = coefficient[i]
            count += 1
        else:
            if inside:
                for i in range(n):
                    found[0, i] = coefficient[i]
                bound = distance
                if not exact:
                    return 1
            k += 1
            if k == n:
                return count


@compiled()
def closest_point(  # type: ignore[no-untyped-def]
    start, stop, x, points, basis, inverse, lower, rotation, exact
):
    """Write a nearest lattice point to each row of `x`, shape (count, n), to `points`."""
    n = len(basis)
    found = np.zeros((1, n))
    for row in range(start, stop):
        value = x[row].astype(np.float64)
        # A point nearby, so that the search works on small numbers.
        near = np.rint(value @ inverse)
        if np.abs(near).max() >= UNRESOLVED:
            for i in range(n):
                points[row, i] = x[row, i]
            continue
        _search(lower, (value - near @ basis) @ rotation, np.inf, False, exact, found)
        point = (near + found[0]) @ basis
        for i in range(n):
            points[row, i] = point[i]


def points_within(matrix: FloatArray, centre: FloatArray, radius: float) -> FloatArray:
    """Return all lattice points within a distance of a centre, nearest first.

    Arguments:
        matrix: basis vectors as rows, shape (n, n).
        centre: shape (n,).
        radius: the distance; rounding is forgiven.

    Returns:
        Points, shape (count, n).
    """
    basis = lll(matrix)
    lower, rotation = triangular(basis)
    near = np.rint(centre @ np.linalg.inv(basis))
    target = (centre - near @ basis) @ rotation
    bound = radius**2 * (1 + 1e-9) + 1e-12
    count = _search(lower, target, bound, True, True, np.zeros((0, len(basis))))
    found = np.zeros((count, len(basis)))
    _search(lower, target, bound, True, True, found)
    points = (near + found) @ basis
    return points[np.argsort(((points - centre) ** 2).sum(-1), kind="stable")]
