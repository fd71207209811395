"""Entropy-constrained scalar quantization at its optimum."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ltc.bounds.quadrature import variance_of
from ltc.checks import number
from ltc.errors import InputError

__all__ = ["ScalarQuantizer", "ecsq"]

Array = NDArray[np.float64]

# Thresholds are placed on a grid of this many points per cell of a quantizer at high rate. What
# that loses is of second order: less than 1e-4 bits.
STEPS_PER_CELL = 40
TAIL = 1e-9


class ScalarQuantizer(NamedTuple):
    """Cells on the real line with an ideal entropy code.

    Attributes:
        thresholds: ends of the inner cells, ascending, shape (k - 1,).
        points: reconstruction of each cell, shape (k,).
        probabilities: of each cell, as the entropy code has them, shape (k,).
        rate: bits per scalar on the distribution it was made for.
        distortion: mean squared error on that distribution.
    """

    thresholds: Array
    points: Array
    probabilities: Array
    rate: float
    distortion: float

    def cells(self, samples: Array) -> NDArray[np.int64]:
        """Return the index of the cell of each sample, shape (n,) in and out."""
        return np.searchsorted(self.thresholds, samples)

    def costs(self, samples: Array) -> tuple[Array, Array]:
        """Return what each sample costs: bits and squared error, shapes (n,)."""
        cell = self.cells(samples)
        return -np.log2(self.probabilities[cell]), (samples - self.points[cell]) ** 2


def ecsq(source: Any, lmbda: float) -> ScalarQuantizer:
    """Return the scalar quantizer with the least rate + lmbda * distortion.

    Entropy and squared error are both sums over cells, so the best cells on a fine grid of
    thresholds are found exactly by dynamic programming, where Lloyd's iteration would stop at a
    local optimum. (That the best cells are intervals: Gyorgy and Linder 2002.)

    Arguments:
        source: a frozen continuous `scipy.stats` distribution, or samples, shape (n,).
        lmbda: the weight of the mean squared error, bits per unit.

    Raises:
        InputError: `lmbda` is not positive; there are no samples, or NaN among them; the
            distribution has no finite variance.

    Reference:
        Farvardin and Modestino: Optimum quantizer performance for a class of non-Gaussian
        memoryless sources (1984). Sullivan: Efficient scalar quantization of exponential and
        Laplacian random variables (1996).

    Example:
        >>> import scipy.stats
        >>> best = ecsq(scipy.stats.norm(), lmbda=2.262)
        >>> round(best.rate, 2), round(-10 * math.log10(best.distortion), 2)
        (1.0, 4.58)
    """
    number("lmbda", lmbda)
    # At high rate the distortion is 1 / (2 ln 2 lmbda), and a twelfth of the cells squared.
    cell = math.sqrt(6 / (math.log(2) * lmbda))
    known_by_samples = isinstance(source, np.ndarray)
    grid, moments = (_of_samples if known_by_samples else _of_density)(
        source, cell / STEPS_PER_CELL
    )
    # An inner cell ten times as wide is never worth while; the outermost may be.
    ends = _best_cells(moments, lmbda, np.searchsorted(grid, grid - 10 * cell))
    probability, first, second = np.diff(moments[:, ends], axis=1)
    points = first / probability
    distortion = float((second - first * points).sum())
    rate = -float((probability * np.log2(probability)).sum())
    return ScalarQuantizer(grid[ends[1:-1]], points, probability, rate, max(distortion, 0.0))


def _of_samples(samples: Array, step: float) -> tuple[Array, Array]:
    """Return candidate thresholds and, at each, P(X < t), E [X; X < t], E [X^2; X < t]."""
    x = np.sort(np.asarray(samples, dtype=float).ravel())
    if not x.size or not np.isfinite(x).all():
        raise InputError(f"got {x.size} samples; expected at least one, and none NaN or infinite")
    # A candidate between any two neighbours, but no more of them than the step admits.
    middle = np.unique(np.round((x[1:] + x[:-1]) / (2 * step)) * step)
    grid = np.concatenate([[-np.inf], middle[(middle > x[0]) & (middle < x[-1])], [np.inf]])
    count = np.searchsorted(x, grid)
    sums = np.cumsum(np.stack([np.ones_like(x), x, x**2]), axis=1) / len(x)
    moments = np.concatenate([np.zeros((3, 1)), sums], axis=1)[:, count]
    used = np.concatenate([[True], np.diff(moments[0]) > 0])
    return grid[used], moments[:, used]


def _of_density(density: Any, step: float) -> tuple[Array, Array]:
    """Return the same for a density, by Gauss-Legendre quadrature between candidates."""
    if not 0 < (variance := variance_of(density)) < math.inf:
        raise InputError(f"the source has variance {variance:.3g}; expected a finite one")
    low, high = (float(v) for v in (density.ppf(TAIL), density.isf(TAIL)))
    grid = np.linspace(low, high, min(max(math.ceil((high - low) / step), 2000), 100_000) + 1)
    nodes, weights = np.polynomial.legendre.leggauss(6)
    half = np.diff(grid)[:, None] / 2
    x = grid[:-1, None] + half * (1 + nodes)
    p = density.pdf(x) * half * weights
    parts = np.stack([p.sum(1), (p * x).sum(1), (p * x**2).sum(1)])
    return grid, np.concatenate([np.zeros((3, 1)), np.cumsum(parts / p.sum(), axis=1)], axis=1)


def _best_cells(moments: Array, lmbda: float, earliest: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return indices of the grid at which the best cells end, both ends included.

    Arguments:
        moments: those of everything below each grid point, shape (3, n).
        lmbda: the weight of the mean squared error.
        earliest: where a cell that ends at each grid point may begin, shape (n,).
    """
    last = moments.shape[1] - 1

    def cost(start: NDArray[np.int64], end: int) -> Array:
        p, m, s = moments[:, end, None] - moments[:, start]
        p = np.maximum(p, 1e-300)
        return np.asarray(lmbda * (s - m**2 / p) - p * np.log2(p))

    best = np.zeros(last + 1)
    origin = np.zeros(last + 1, dtype=np.int64)
    for end in range(1, last + 1):
        first = 0 if end == last else min(int(earliest[end]), end - 1)
        start = np.arange(first, end)
        if first:
            start = np.concatenate([[0], start])
        total = best[start] + cost(start, end)
        choice = int(total.argmin())
        best[end], origin[end] = total[choice], start[choice]
    ends = [last]
    while ends[-1]:
        ends.append(int(origin[ends[-1]]))
    return np.array(ends[::-1])
