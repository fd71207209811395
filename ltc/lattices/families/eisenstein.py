"""Lattices over the Eisenstein integers a + b w, w = exp(2 pi i / 3)."""

import numpy as np
import numpy.typing as npt

__all__ = ["OMEGA", "ONE", "THETA", "UNIT", "ZERO", "integer_generators"]

# The integers a + b w as pairs (a, b); theta = w - w^2 = sqrt(-3) has norm 3.
ZERO, ONE, OMEGA, THETA = (0, 0), (1, 0), (0, 1), (1, 2)
# Lengths of a step along the real and the imaginary axis.
UNIT = (0.5, 3**0.5 / 2)


def integer_generators(generators: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return generators over the integers of a lattice over the Eisenstein integers.

    A complex coordinate becomes two real ones, counted in `UNIT`s: a + b w has the real part
    (2a - b) / 2 and the imaginary part b sqrt(3) / 2.

    Arguments:
        generators: vectors of Eisenstein integers, shape (m, n, 2): pairs (a, b).

    Returns:
        Each vector and w times it, shape (2m, 2n).

    Example: 1 is two half units along the real axis; w is at 120 degrees.
        >>> integer_generators([[ONE]]).tolist()
        [[2, 0], [-1, 1]]
    """
    a, b = np.moveaxis(np.asarray(generators, dtype=np.int64), -1, 0)
    # w (a + b w) = -b + (a - b) w
    a, b = np.concatenate([a, -b]), np.concatenate([b, a - b])
    pairs = np.stack([2 * a - b, b], -1)
    return pairs.reshape(len(pairs), -1)
