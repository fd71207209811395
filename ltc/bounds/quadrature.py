"""Sources with a density: expectations as sums over nodes."""

import functools
import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple, Self

import numpy as np
import scipy.integrate
import scipy.special
import scipy.stats
from numpy.typing import ArrayLike, NDArray

from ltc.bounds.power_cost import Cost
from ltc.errors import InputError

__all__ = ["Density", "Nodes", "gaussian_density", "scalar_density", "variance_of",
           "vector_density"]  # fmt: skip

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
        edges: of the panels along each axis, where the nodes come in panels.
    """

    axes: list[Array]
    p: Array
    p_beyond: float = 0.0
    h_beyond: float = 0.0
    edges: tuple[Array, ...] = ()

    def d_max(self, cost: Cost) -> float:
        """Return what the best constant costs."""
        others = [tuple(k for k in range(self.p.ndim) if k != i) for i in range(self.p.ndim)]
        marginals = [self.p.sum(other) for other in others]
        return sum(cost.centre(x, p)[1] for x, p in zip(self.axes, marginals, strict=True))

    def trim(self, share: float) -> tuple[Self, Array]:
        """Set the unlikeliest nodes, of this probability in all, to zero, and shrink the box.

        They are where lambda is largest and hardest to get right, and matter least. Returned are
        what is left and the probabilities of those nodes.

        Example:
            >>> Nodes([np.arange(4.0)], np.array([0.01, 0.5, 0.48, 0.01])).trim(0.03)[0].p
            array([0.5 , 0.48])
        """
        axes, p, edges = list(self.axes), self.p.copy(), list(self.edges)
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
            if edges:
                ends = np.searchsorted(edges[axis], axes[axis][[0, -1]])
                edges[axis] = edges[axis][ends[0] - 1 : ends[1] + 1]
        return self._replace(axes=axes, p=np.ascontiguousarray(p), edges=tuple(edges)), removed


class Density(NamedTuple):
    """What the bounds need to know of a density.

    Attributes:
        nodes: returns nodes that are no further apart than it is told.
        panels: returns nodes in panels that are no wider than it is told: for integrands with
            kinks at the edges of panels.
        d_max: returns what the best constant costs.
        entropy: differential entropy, nats per vector.
    """

    nodes: Callable[[float], Nodes]
    panels: Callable[[float], Nodes]
    d_max: Callable[[Cost], float]
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
    variance = variance_of(distribution)
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
        return Nodes([x], p, p_beyond, h_beyond, (edges,))

    def d_max(cost: Cost) -> float:
        if cost.squared:
            return variance
        constant, found = cost.centre(coarse.axes[0], coarse.p)

        def expense(x: float) -> float:
            return float(cost(np.array(x - constant)) * distribution.pdf(x))

        ends = [(-math.inf, low)] * (p_low > 0) + [(high, math.inf)] * (p_high > 0)
        return found + sum(scipy.integrate.quad(expense, *end)[0] for end in ends)

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
    return Density(nodes, lambda width: nodes(width / 4), d_max, entropy)


def variance_of(distribution: Any) -> float:
    """Return the variance of a `scipy.stats` distribution.

    scipy integrates the quantiles of a class that does not state its moments, for a minute where
    it does not state them either; its density will do.

    Example:
        >>> import scipy.stats
        >>> class Logistic(scipy.stats.rv_continuous):
        ...     def _pdf(self, x):
        ...         return 0.25 / np.cosh(x / 2) ** 2
        >>> round(3 * variance_of(Logistic()()) / math.pi**2, 6)
        1.0
    """
    kind, generic = type(getattr(distribution, "dist", distribution)), scipy.stats.rv_continuous
    if kind._stats is not generic._stats or kind._munp is not generic._munp:
        return float(distribution.var())
    median = float(distribution.median())
    moments = [
        sum(
            scipy.integrate.quad(lambda x, k=k: (x - median) ** k * distribution.pdf(x), *half)[0]
            for half in ((-math.inf, median), (median, math.inf))
        )
        for k in (1, 2)
    ]
    return float(moments[1] - moments[0] ** 2)


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
        >>> round(density.d_max(Cost()), 6), round(density.entropy, 6)
        (2.0, 2.837877)
    """
    box = np.asarray(support, dtype=float)
    if box.ndim != 2 or box.shape[1] != 2 or not 1 <= len(box) <= 3:
        raise InputError(f"support has shape {box.shape}; expected (d, 2) with d from 1 to 3")
    if not (np.isfinite(box).all() and (box[:, 0] < box[:, 1]).all()):
        raise InputError("support must hold finite intervals (low, high) with low < high")

    def on_grid(axes: list[Array], weights: list[Array], edges: tuple[Array, ...] = ()) -> Nodes:
        log_p = log_density(np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1))
        return Nodes(
            axes, np.exp(log_p) * functools.reduce(np.multiply.outer, weights), edges=edges
        )

    def trapezoid(counts: list[int]) -> Nodes:
        axes = [np.linspace(a, b, n) for (a, b), n in zip(box, counts, strict=True)]
        return on_grid(axes, [np.full(len(x), x[1] - x[0]) for x in axes])

    def entropy(nodes: Nodes) -> float:
        cell = math.prod(float(x[1] - x[0]) for x in nodes.axes)
        return -float(scipy.special.xlogy(nodes.p, nodes.p / cell).sum())

    # The coarsest grid that the next finer one does not improve on: for smooth densities the
    # error falls so fast that there is hardly anything between much too coarse and perfect.
    counts = [24] * len(box)
    found = trapezoid(counts)
    while True:
        enough, coarse = counts, found
        counts = [math.ceil(1.3 * n) for n in counts]
        if math.prod(counts) > 4_000_000:
            raise InputError(
                f"the density integrates to {coarse.p.sum():.9f} over its support on a grid of 4 "
                "million points; check log_density and support, or smooth the density"
            )
        found = trapezoid(counts)
        if max(abs(coarse.p.sum() - 1), abs(entropy(found) - entropy(coarse))) < 1e-7:
            break

    def at_least(spacing: float) -> list[int]:
        pairs = zip(box, enough, strict=True)
        return [max(n, math.ceil((b - a) / spacing) + 1) for (a, b), n in pairs]

    def panels(width: float) -> Nodes:
        """Two nodes of Gauss and Legendre in each panel, at 1/2 -+ 1/sqrt(12) of its width."""
        pairs = zip(box, at_least(width), strict=True)
        edges = tuple(np.linspace(low, high, n) for (low, high), n in pairs)
        at = 0.5 + np.array([-1, 1]) / math.sqrt(12)
        axes = [(e[:-1, None] + (e[1] - e[0]) * at).ravel() for e in edges]
        return on_grid(
            axes,
            [np.full(len(x), (e[1] - e[0]) / 2) for x, e in zip(axes, edges, strict=True)],
            edges,
        )

    def d_max(cost: Cost) -> float:
        return (found if cost.squared else panels(math.inf)).d_max(cost)

    return Density(lambda spacing: trapezoid(at_least(spacing)), panels, d_max, entropy(found))


def gaussian_density(covariance: ArrayLike, turned: bool = True) -> Density:
    """Return the density of a Gaussian vector.

    Arguments:
        covariance: shape (d, d), d from 1 to 3.
        turned: along its principal axes: squared error is the same along any axes.

    Raises:
        InputError: the covariance is singular or too large: there is no density to integrate.

    Example:
        >>> density = gaussian_density([[2.0, 1.0], [1.0, 2.0]])
        >>> round(density.d_max(Cost()), 6)
        4.0
    """
    matrix = np.asarray(covariance, dtype=float)
    variances, axes = np.linalg.eigh(matrix)
    if variances[0] <= 1e-6 * variances[-1]:
        raise InputError(
            f"the covariance has variances from {variances[0]:.3g} to {variances[-1]:.3g} along "
            "its axes: too flat for a grid; use bound=auto, which is exact"
        )
    axes = np.eye(len(axes)) if turned else axes
    constant = -0.5 * float(np.log(2 * math.pi * variances).sum())
    return vector_density(
        lambda x: constant - 0.5 * ((x @ axes) ** 2 / variances).sum(-1),
        np.sqrt(variances if turned else np.diag(matrix))[:, None] * [-6.5, 6.5],
    )
