"""The minimal trellises of integer lattices."""

import numpy as np
import numpy.typing as npt

from ltc.errors import InputError
from ltc.lattices.trellis.structure import IntArray, Section

__all__ = ["hermite_normal_form", "minimal_sections"]


def minimal_sections(generators: npt.ArrayLike, unit: npt.ArrayLike | float = 1.0) -> list[Section]:
    """Return the sections of the minimal trellis of an integer lattice, in the given order.

    A state after t coordinates is the set of futures that complete the past to a lattice
    point: a coset of the sublattice that is zero on the first t coordinates. Reduction by
    the Hermite normal form names it uniquely, so that no two states have the same future,
    which is what minimal means (Forney and Trott, IEEE Trans. Inform. Theory 39, 1993).

    Arguments:
        generators: a basis of the lattice, or more vectors that generate it, one a row,
            shape (m, n), integers.
        unit: length of one integer step along each coordinate, shape (n,) or one for all.

    Raises:
        InputError: the generators are not integers that span n dimensions.

    Example: D4 has two states, the parity of what has been seen.
        >>> d4 = [[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1], [0, 0, 0, 2]]
        >>> [len(section.previous) for section in minimal_sections(d4)]
        [2, 2, 2, 1]
    """
    hermite = hermite_normal_form(generators)
    n = len(hermite)
    lengths = np.broadcast_to(np.asarray(unit, dtype=np.float64), (n,))

    def reduce(futures: IntArray, depth: int) -> IntArray:
        """Reduce each row modulo the sublattice that is zero before `depth`."""
        for i in range(depth, n):
            quotient = futures[:, i - depth] // hermite[i, i]
            futures = futures - quotient[:, None] * hermite[i, depth:]
        return futures

    sections = []
    states = np.zeros((1, n), dtype=np.int64)
    for t in range(n):
        height = int(hermite[t, t])
        # The least multiple of the t-th unit vector in the lattice: adding it changes
        # nothing about the future, so a coset repeats with this period.
        period = next(
            height * j
            for j in range(1, 1 << 20)
            if not reduce((height * j) * np.eye(n, dtype=np.int64)[t : t + 1, t:], t).any()
        )
        choices = np.arange(period // height, dtype=np.int64)
        futures = states[:, None, :] + choices[None, :, None] * hermite[t, t:]
        labels = futures[..., 0] % period
        reduced = reduce(futures[..., 1:].reshape(labels.size, n - t - 1), t + 1)
        following, target = np.unique(reduced, axis=0, return_inverse=True)
        target = target.reshape(-1)
        order = np.argsort(target, kind="stable")
        degree = len(order) // len(following)
        used, coset = np.unique(labels.reshape(-1), return_inverse=True)
        sections.append(
            Section(
                previous=(order // len(choices)).reshape(len(following), degree),
                coset=coset.reshape(-1)[order].reshape(len(following), degree),
                offset=used * lengths[t],
                step=float(period * lengths[t]),
            )
        )
        states = following
    return sections


def hermite_normal_form(generators: npt.ArrayLike) -> IntArray:
    """Return the upper-triangular basis with positive diagonal of an integer lattice.

    Arguments:
        generators: vectors whose integer combinations are the lattice, one a row, shape (m, n)
            with m at least n, integers.

    Returns:
        The basis of the same lattice that is upper triangular, with every entry above a
        diagonal entry in [0, that entry), shape (n, n), int64 (Cohen, *A Course in
        Computational Algebraic Number Theory*, section 2.4).

    Raises:
        InputError: the generators are not a matrix of integers that span n dimensions.

    Example: the even integers and the pair (1, 1) generate the checkerboard lattice.
        >>> hermite_normal_form([[2, 0], [0, 2], [1, 1]]).tolist()
        [[1, 1], [0, 2]]
    """
    given = np.asarray(generators)
    if given.ndim != 2 or given.shape[0] < given.shape[1] or given.size == 0:
        raise InputError(
            f"a lattice of dimension n needs a matrix of at least n rows and n columns; this one "
            f"has shape {given.shape}"
        )
    if not np.array_equal(given, np.round(given)):
        raise InputError("the generators of an integer lattice must have integer entries")
    # Python integers: intermediate entries can outgrow 64 bits.
    rows = [[int(entry) for entry in row] for row in given]
    n = given.shape[1]
    for t in range(n):
        while True:
            nonzero = [i for i in range(t, len(rows)) if rows[i][t]]
            if not nonzero:
                raise InputError("the matrix is singular: its rows are linearly dependent")
            pivot = min(nonzero, key=lambda i: abs(rows[i][t]))
            rows[t], rows[pivot] = rows[pivot], rows[t]
            if rows[t][t] < 0:
                rows[t] = [-entry for entry in rows[t]]
            for i in (i for i in range(len(rows)) if i != t):
                q = rows[i][t] // rows[t][t]
                rows[i] = [a - q * b for a, b in zip(rows[i], rows[t], strict=True)]
            if len(nonzero) == 1:
                break
    return np.array(rows[:n], dtype=np.int64)
