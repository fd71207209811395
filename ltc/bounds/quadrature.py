"""Sources with a density: expectations as sums over nodes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy.integrate
from numpy.typing import ArrayLike, NDArray

from ltc.errors import InputError

__all__ = ["Density", "Nodes", "gaussian_density", "scalar_density", "vector_density"]

Array = NDArray[np.float64]

# Probability beyond the outermost nodes of a scalar density.
TAIL = 1e-10


class Nodes(NamedTuple):
    """Nodes and weights of a quadrature rule.

    Attributes:
        axes: ascending nodes along each axis, d arrays; the nodes are their product.
        p: probability of each node, shape (n_1, ..., n_d).
        p_beyond: probability beyond the nodes.
        h_beyond: what is beyond them of the differential entropy, nats.
    """

    axes: list[Array]
    p: Array
    p_beyond: float = 0.0
    h_beyond: float = 0.0

    def trim(self, share: float) -> tuple[Nodes, Array]:
        """Set the unlikeliest nodes, of this probability in all, to zero, and shrink the box.

        They are where lambda is largest and hardest to get right, and matter least.

        Returns:
            What is left, and the probabilities of the nodes that were taken away.

        Example:
            >>> Nodes([np.arange(4.0)], np.array([0.01, 0.5, 0.48, 0.01])).trim(0.03)[0].p
            array([0.5 , 0.48])
        """
        axes, p = list(self.axes), self.p.copy()
        flat = p.ravel()
        order = np.argsort(flat)
        out = order[: int(np.searchsorted(np.cumsum(flat[order]), share))]
        removed = flat[out][flat[out] > 0]
        flat[out] = 0.0
        for axis in range(p.ndim):
            used = np.flatnonzero(p.any(axis=tuple(k for k in range(p.ndim) if k != axis)))
            inside = slice(used[0], used[-1] + 1)
            axes[axis] = axes[axis][inside]
            p = p[(slice(None),) * axis + (inside,)]
        return self._replace(axes=axes, p=np.ascontiguousarray(p)), removed


class Density(NamedTuple):
    """What the bounds need to know of a density.

    Attributes:
        nodes: returns nodes that are no further apart than it is told.
        variance: of a vector, the sum over its scalars.
        entropy: differential entropy, nats per vector.
    """

    nodes: Callable[[float], Nodes]
    variance: float
    entropy: float


def scalar_density(distribution: Any) -> Density:
    """Return the density of a scalar source, by Gauss-Legendre panels.

    Arguments:
        distribution: a frozen continuous `scipy.stats` distribution.

    Raises:
        InputError: its variance is not positive and finite, or quadrature misses some of its
            probability.

    Example:
        >>> import scipy.stats
        >>> density = scalar_density(scipy.stats.norm())
        >>> round(density.entropy - 0.5 * math.log(2 * math.pi * math.e), 9)
        0.0
    """
    variance = float(distribution.var())
    if not 0 < variance < math.inf:
        raise InputError(
            f"the source has variance {variance:.3g}; a rate-distortion function needs a "
            "positive, finite one"
        )
    low, high = distribution.support()
    low = max(low, float(distribution.ppf(TAIL / 2)))
    high = min(high, float(distribution.isf(TAIL / 2)))
    p_low, p_high = float(distribution.cdf(low)), float(distribution.sf(high))
    h_beyond = 0.0

    def surprise(x: float) -> float:
        log_p = float(distribution.logpdf(x))
        return -math.exp(log_p) * log_p if log_p > -700 else 0.0

    if p_low > 0:
        h_beyond += scipy.integrate.quad(surprise, -math.inf, low)[0]
    if p_high > 0:
        h_beyond += scipy.integrate.quad(surprise, high, math.inf)[0]
    p_beyond = p_low + p_high
    points, weights = np.polynomial.legendre.leggauss(6)
    # A panel ends at the median, where symmetric densities have their kink.
    ends = [low, float(distribution.median()), high]

    def nodes(spacing: float) -> Nodes:
        # The nodes of a panel are at most a quarter of its width apart.
        edges = np.concatenate(
            [
                np.linspace(a, b, max(panels, math.ceil((b - a) / (4 * spacing))) + 1)[i:]
                for i, (a, b) in enumerate(itertools.pairwise(ends))
            ]
        )
        half = np.diff(edges)[:, None] / 2
        x = (edges[:-1, None] + half + half * points).ravel()
        p = (half * weights).ravel() * distribution.pdf(x)
        return Nodes([x], p, p_beyond, h_beyond)

    panels = 32
    while abs(found := float(nodes(math.inf).p.sum()) + p_beyond - 1) > 1e-8:
        panels *= 2
        if panels > 1 << 15:
            raise InputError(
                f"quadrature finds a total probability of {1 + found:.9f}: the density of the "
                "source is too rough or its tails are too heavy"
            )
    coarse = nodes(math.inf)
    log_p = distribution.logpdf(coarse.axes[0])
    entropy = h_beyond - float(coarse.p @ np.where(coarse.p > 0, log_p, 0.0))
    return Density(nodes, variance, entropy)


def vector_density(log_density: Callable[[Array], Array], support: ArrayLike) -> Density:
    """Return a smooth density in one to three dimensions, by the trapezoidal rule.

    Arguments:
        log_density: maps points of shape (..., d) to nats, shape (...).
        support: the box outside which less than 1e-9 of the probability lies, shape (d, 2).

    Raises:
        InputError: `support` is no box, or the density does not integrate to one on a grid of
            four million points.

    Example:
        >>> def two_gaussians(x):
        ...     return -0.5 * (x**2).sum(-1) - math.log(2 * math.pi)
        >>> density = vector_density(two_gaussians, [[-6.5, 6.5], [-6.5, 6.5]])
        >>> round(density.variance, 6), round(density.entropy, 6)
        (2.0, 2.837877)
    """
    box = np.asarray(support, dtype=float)
    if box.ndim != 2 or box.shape[1] != 2 or not 1 <= len(box) <= 3:
        raise InputError(f"support has shape {box.shape}; expected (d, 2) with d from 1 to 3")
    if not (np.isfinite(box).all() and (box[:, 0] < box[:, 1]).all()):
        raise InputError("support must hold finite intervals (low, high) with low < high")

    def on_grid(counts: list[int]) -> tuple[Nodes, float]:
        axes = [np.linspace(a, b, n) for (a, b), n in zip(box, counts, strict=True)]
        log_p = log_density(np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1))
        p = np.exp(log_p) * math.prod(float(axis[1] - axis[0]) for axis in axes)
        entropy = -float((p * np.where(p > 0, log_p, 0.0)).sum())
        return Nodes(axes, p), entropy

    # The coarsest grid that the next finer one does not improve on: for smooth densities the
    # error falls so fast that there is hardly anything between much too coarse and perfect.
    counts = [24] * len(box)
    found, entropy = on_grid(counts)
    while True:
        enough, total, coarse_entropy = counts, float(found.p.sum()), entropy
        counts = [math.ceil(1.3 * n) for n in counts]
        if math.prod(counts) > 4_000_000:
            raise InputError(
                f"the density integrates to {total:.9f} over its support on a grid of 4 million "
                "points; check log_density and support, or smooth the density"
            )
        found, entropy = on_grid(counts)
        if max(abs(total - 1), abs(entropy - coarse_entropy)) < 1e-7:
            break

    variance = 0.0
    for axis, x in enumerate(found.axes):
        marginal = found.p.sum(tuple(k for k in range(len(box)) if k != axis))
        variance += float(marginal @ (x - marginal @ x) ** 2)

    def nodes(spacing: float) -> Nodes:
        counts = [
            max(n, math.ceil((b - a) / spacing) + 1) for (a, b), n in zip(box, enough, strict=True)
        ]
        return on_grid(counts)[0]

    return Density(nodes, variance, entropy)


def gaussian_density(covariance: ArrayLike) -> Density:
    """Return the density of a Gaussian vector along its principal axes.

    Squared error is the same along any axes.

    Arguments:
        covariance: shape (d, d), d from 1 to 3.

    Raises:
        InputError: the covariance is singular or too large: there is no density to integrate.

    Example:
        >>> round(gaussian_density([[2.0, 1.0], [1.0, 2.0]]).variance, 6)
        4.0
    """
    variances = np.linalg.eigvalsh(np.asarray(covariance, dtype=float))
    if variances[0] <= 1e-6 * variances[-1]:
        raise InputError(
            f"the covariance has variances from {variances[0]:.3g} to {variances[-1]:.3g} along "
            "its axes: too flat for a grid; use bound=auto, which is exact"
        )
    constant = -0.5 * float(np.log(2 * math.pi * variances).sum())
    return vector_density(
        lambda x: constant - 0.5 * (x**2 / variances).sum(-1),
        np.sqrt(variances)[:, None] * [-6.5, 6.5],
    )
