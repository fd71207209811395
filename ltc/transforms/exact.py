"""Products with matrices, whose sums are in one order: the same on every machine."""

from __future__ import annotations

import numpy as np

from ltc.compiled import compiled

__all__ = ["products"]

# Vectors that are multiplied at once: each row of the matrix is then read once for all of them.
GROUP = 16


@compiled()
def products(vectors, matrix):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return `vectors @ matrix`, float32; each sum is of 64 bits, its terms in their order.

    Arguments:
        vectors: shape (count, n).
        matrix: shape (n, m).

    Example:
        >>> products(np.float32([[1, 2]]), np.array([[1.0, 0.0], [3.0, 4.0]])).tolist()
        [[7.0, 8.0]]
    """
    count, n = vectors.shape
    m = matrix.shape[1]
    found = np.empty((count, m), np.float32)
    sums = np.empty((GROUP, m))
    for start in range(0, count, GROUP):
        size = min(GROUP, count - start)
        sums[:] = 0.0
        for k in range(n):
            for i in range(size):
                value = np.float64(vectors[start + i, k])
                for j in range(m):
                    sums[i, j] += value * matrix[k, j]
        found[start : start + size] = sums[:size]
    return found
