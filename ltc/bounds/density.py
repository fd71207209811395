"""Sources known by their density, in one to three dimensions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy.integrate
import scipy.sparse
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ltc.bounds.interior import Kernel, interior_point
from ltc.bounds.problem import Problem, Solution
from ltc.errors import InputError

__all__ = ["DensityProblem", "Quadrature", "problem_of_density", "problem_of_scalar"]

Array = NDArray[np.float64]

# Kernel entries below exp(-CUT) are left out of sparse kernels; the lower bound accounts for it.
CUT = 25.0
# Probability beyond the outermost quadrature nodes of a scalar density.
TAIL = 1e-10


class Quadrature(NamedTuple):
    """Nodes and weights that turn expectations over a source into sums.

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


class DensityProblem(Problem):
    """min R + s D for a density under squared error: for the continuous source, not a histogram.

    The source becomes quadrature nodes x. The output distribution lives on points y that start
    as a coarse grid; where the certificate is violated points are added and the weights solved
    for again (the exchange method for semi-infinite programmes, Hettich and Kortanek 1993; for
    mixtures Wang 2007), until the bounds meet. What is proof and what is quadrature:

    - Lower bound: Csiszar's dual (1974), E log lambda - log max_y c(y) with
      c(y) = E [lambda(x) exp(-s |x - y|^2)]. The maximum is over *all* y of R^d: because
      c(y) exp(s |y|^2) is a Laplace transform, hence log-convex, log c between the points of a
      grid of spacing h exceeds its largest corner by d s h^2 / 4 at most, and outside the box of
      the nodes moving y to the box increases c. These steps are proof.
    - Upper bound: F(q) of the discrete q that was found, which any code may use.
    - The unlikeliest source values, a small part of the tolerance in probability, count as coded
      for nothing in the lower bound; in the upper bound each node has an output of its own, and
      beyond all nodes there is a uniform quantizer. That is proof, but for a density in more
      than one dimension the probability outside its stated support, below 1e-9, is neglected.
    - Expectations over the source are quadrature: Gauss-Legendre panels in one dimension, the
      trapezoidal rule in more, whose errors fall exponentially for smooth densities. They are
      not proof, but their error is far below the width of the bracket.

    Arguments:
        quadrature: returns nodes that are no further apart than it is told.
        variance: of a vector, the sum over its scalars.
        entropy: differential entropy, nats per vector.
        key: all that the density depends on, as JSON values.
        device: where to compute.
    """

    version = 2

    def __init__(
        self,
        quadrature: Callable[[float], Quadrature],
        variance: float,
        entropy: float,
        key: dict[str, Any],
        device: torch.device | str = "cpu",
    ) -> None:
        self.quadrature = quadrature
        self.entropy = entropy
        self.device = torch.device(device)
        self.key = {**key, "loss": "squared", "version": self.version}
        axes = quadrature(math.inf).axes
        self.dimension = len(axes)
        self.d_min, self.d_max, self.r_max = 0.0, variance, math.inf
        # The steepest slope whose nodes fit into memory: so many kernel widths along each axis.
        extent = max(float(x[-1] - x[0]) for x in axes)
        self.slope_max = 0.5 * ((2e5, 300.0, 30.0)[self.dimension - 1] / extent) ** 2

    def known(self, distortion: float) -> tuple[float, float]:
        """Return Shannon's lower bound, and the rate of a Gaussian of the same variance."""
        d = self.dimension
        noise = d / 2 * math.log(2 * math.pi * math.e * distortion / d)
        return max(0.0, self.entropy - noise), max(0.0, d / 2 * math.log(self.d_max / distortion))

    def solve(self, slope: float, tolerance: float, start: Solution | None = None) -> Solution:
        """Bracket the minimum of R + slope * D by interior points and exchange."""
        width = math.sqrt(0.5 / slope)  # of the kernel, a Gaussian
        nodes, p_tail = _trim(self.quadrature(0.8 * width), tolerance / 300)
        core = nodes.p > 0
        x = _points(nodes.axes)[core.ravel()]
        mass = float(nodes.p.sum())
        p = torch.from_numpy(nodes.p[core] / mass).to(self.device)
        y = _coarse(nodes.axes, x, width)
        output = np.full(len(y), 1 / len(y))
        if start is not None and start.output is not None:
            # Of the coarse grid only what the neighbour's output leaves uncovered.
            old = start.output[:, :-1]
            y = y[cKDTree(old).query(y)[0] > width]
            output = np.concatenate(
                [0.9 * start.output[:, -1], np.full(len(y), 0.1 / (len(y) + 1))]
            )
            y = np.concatenate([old, y])
        lower = -math.inf
        for rounds_left in reversed(range(20)):
            kernel = Kernel(_exponents(slope, x, y), self.device)
            q = torch.from_numpy(output).to(self.device)
            best = interior_point(p, kernel, q, tolerance / 4)
            weights = np.zeros_like(nodes.p)
            weights[core] = best.weights.cpu().numpy()
            largest, new = self._violations(slope, nodes, weights, tolerance / 4)
            value = float(p @ (best.weights / p).log())
            lower = max(lower, mass * (value - math.log(largest)))
            output = best.output.cpu().numpy()
            if mass * best.upper - lower <= tolerance or not len(new) or not rounds_left:
                break
            keep = output > 1e-3 * tolerance / len(output)
            y = np.concatenate([y[keep], new])
            output = np.concatenate([0.9 * output[keep], np.full(len(new), 0.1 / len(new))])
        # Each unlikely node has an output of its own, as likely as itself; beyond all nodes a
        # uniform quantizer takes over. The other outputs are as much less likely.
        apart = float(p_tail.sum()) + nodes.p_beyond
        extra_rate = nodes.h_beyond - nodes.p_beyond * math.log(width)
        extra_rate -= mass * math.log1p(-apart) + float(p_tail @ np.log(p_tail))
        extra_distortion = nodes.p_beyond * width**2 / 4
        points = []
        for factor in (0.97, 1.0, 1.03):
            rate, distortion = kernel.point(p, best.output, factor)
            distortion = mass * distortion / slope + extra_distortion
            points.append((distortion, max(mass * rate + extra_rate, 0.0)))
        alive = output > 1e-6 / len(output)
        return Solution(slope, lower, np.array(points), np.column_stack([y, output])[alive])

    def _violations(
        self, slope: float, quadrature: Quadrature, weights: Array, tolerance: float
    ) -> tuple[float, Array]:
        """Bound max_y c(y) over all y, and find outputs where c is above one.

        Arguments:
            slope: s.
            quadrature: where the weights sit.
            weights: p(x) lambda(x) of the nodes, shape (n_1, ..., n_d).
            tolerance: how much may be lost to what c may do between grid points, nats.

        Returns:
            The bound, and output points to add, shape (count, d).
        """
        width, axes, d = math.sqrt(0.5 / slope), quadrature.axes, self.dimension
        fine = math.sqrt(4 * tolerance / (d * slope))
        # A coarse look first: while c is far above one there is no point in a fine one.
        for spacing in (max(fine, width / 10), fine):
            grid = [np.linspace(a[0], a[-1], math.ceil((a[-1] - a[0]) / spacing) + 1) for a in axes]
            log_c = np.log(self._smooth(slope, grid, axes, weights) + 1e-300)
            peak = float(log_c.max())
            if peak > 2 * tolerance:
                break
        excess = tolerance * (spacing / fine) ** 2
        bound = math.exp(peak) * math.exp(excess) + math.exp(-CUT) * float(weights.sum())
        above = _block_maxima(log_c, max(1, int(width / spacing)))
        above = above[log_c[tuple(above.T)] > max(tolerance, peak / 20)]
        return bound, np.column_stack(
            [_refined(log_c, above, k) * (g[1] - g[0]) + g[0] for k, g in enumerate(grid)]
        )

    def _smooth(self, slope: float, grid: list[Array], axes: list[Array], weights: Array) -> Array:
        """Return sum_x weights(x) exp(-slope |x - y|^2) on a product grid, axis after axis."""
        if self.dimension == 1:
            matrix = _banded(slope, grid[0], axes[0])
            matrix.data = np.exp(-matrix.data)
            return np.asarray(matrix @ weights)
        result = torch.from_numpy(weights).to(self.device)
        for axis, (y, x) in enumerate(zip(grid, axes, strict=True)):
            factor = torch.from_numpy(np.exp(-slope * (y[:, None] - x) ** 2)).to(self.device)
            moved = result.movedim(axis, 0)
            result = (factor @ moved.flatten(1)).reshape(-1, *moved.shape[1:]).movedim(0, axis)
        return result.cpu().numpy()


def _points(axes: list[Array]) -> Array:
    """Return the product of axes as points, shape (n_1 ... n_d, d)."""
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))


def _coarse(axes: list[Array], x: Array, spacing: float) -> Array:
    """Return a grid of outputs near the nodes.

    Sums of Gaussian kernels one standard deviation apart are smooth to nine digits: where the
    best output distribution is a density, nothing finer is needed.
    """
    grid = [np.linspace(a[0], a[-1], max(2, math.ceil((a[-1] - a[0]) / spacing) + 1)) for a in axes]
    y = _points(grid)
    reach = spacing / 2 + max(float(np.diff(a).max(initial=0.0)) for a in axes)
    distance, _ = cKDTree(x).query(y, distance_upper_bound=reach * math.sqrt(len(axes)))
    return y[np.isfinite(distance)]


def _exponents(slope: float, x: Array, y: Array) -> Any:
    """Return slope |x - y|^2 of the pairs below CUT, a CSR matrix of shape (n, m)."""
    if x.shape[1] == 1:
        return _banded(slope, x[:, 0], y[:, 0])
    pairs = cKDTree(x).sparse_distance_matrix(
        cKDTree(y), math.sqrt(CUT / slope), output_type="coo_matrix"
    )
    matrix = scipy.sparse.csr_matrix(pairs)
    matrix.data = slope * matrix.data**2
    return matrix


def _banded(slope: float, x: Array, y: Array) -> Any:
    """Return the same for scalars, shapes (n,) and (m,)."""
    order = np.argsort(y)
    radius = math.sqrt(CUT / slope)
    first = np.searchsorted(y, x - radius, sorter=order)
    count = np.searchsorted(y, x + radius, side="right", sorter=order) - first
    rows = np.concatenate([[0], np.cumsum(count)])
    columns = order[np.arange(rows[-1]) - np.repeat(rows[:-1] - first, count)]
    values = slope * (np.repeat(x, count) - y[columns]) ** 2
    return scipy.sparse.csr_matrix((values, columns, rows), shape=(len(x), len(y)))


def _trim(quadrature: Quadrature, share: float) -> tuple[Quadrature, Array]:
    """Set the unlikeliest nodes, of this probability in all, to zero, and shrink the box.

    They are where lambda is largest and hardest to get right, and matter least.

    Returns:
        What is left, and the probabilities of the nodes that were taken away.
    """
    axes, p = list(quadrature.axes), quadrature.p.copy()
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
    return quadrature._replace(axes=axes, p=np.ascontiguousarray(p)), removed


def _block_maxima(values: Array, size: int) -> NDArray[np.int64]:
    """Return where each block of `size` in every dimension is largest, shape (blocks, d)."""
    d = values.ndim
    padding = [(0, -n % size) for n in values.shape]
    padded = np.pad(values, padding, constant_values=-np.inf)
    split = [part for n in padded.shape for part in (n // size, size)]
    blocks = padded.reshape(split).transpose(*range(0, 2 * d, 2), *range(1, 2 * d, 2))
    count = blocks.shape[:d]
    inner = np.unravel_index(blocks.reshape(*count, -1).argmax(-1), (size,) * d)
    corner = np.meshgrid(*(size * np.arange(n) for n in count), indexing="ij")
    return np.stack([(a + b).ravel() for a, b in zip(corner, inner, strict=True)], axis=-1)


def _refined(values: Array, index: NDArray[np.int64], axis: int) -> Array:
    """Return the top of the parabola through three neighbours along an axis, in grid steps."""
    middle = index.copy()
    middle[:, axis] = np.clip(index[:, axis], 1, max(values.shape[axis] - 2, 1))
    step = np.zeros(index.shape[1], dtype=int)
    step[axis] = 1
    a, b, c = (values[tuple((middle + k * step).T)] for k in (-1, 0, 1))
    bend = np.minimum(a - 2 * b + c, -1e-300)
    return middle[:, axis] + np.clip(0.5 * (a - c) / bend, -1, 1)


def problem_of_scalar(
    density: Any, key: dict[str, Any], device: torch.device | str = "cpu"
) -> DensityProblem:
    """Return the problem of a scalar source.

    Arguments:
        density: a frozen continuous `scipy.stats` distribution.
        key: all that it depends on, as JSON values.
        device: where to compute.

    Raises:
        InputError: its variance is not positive and finite, or quadrature misses some of its
            probability.

    Example:
        >>> import scipy.stats
        >>> problem = problem_of_scalar(scipy.stats.norm(), {"density": "norm"})
        >>> solution = problem.solve(2.0, 1e-3)  # Gaussian: R + s D is least at D = 1 / 2s
        >>> truth = 0.5 * math.log(4.0) + 0.5
        >>> solution.lower < truth < solution.lower + 1e-3
        True
    """
    variance = float(density.var())
    if not 0 < variance < math.inf:
        raise InputError(
            f"the source has variance {variance:.3g}; a rate-distortion function needs a "
            "positive, finite one"
        )
    low, high = density.support()
    low, high = max(low, float(density.ppf(TAIL / 2))), min(high, float(density.isf(TAIL / 2)))
    p_low, p_high = float(density.cdf(low)), float(density.sf(high))
    h_beyond = 0.0

    def surprise(x: float) -> float:
        log_p = float(density.logpdf(x))
        return -math.exp(log_p) * log_p if log_p > -700 else 0.0

    if p_low > 0:
        h_beyond += scipy.integrate.quad(surprise, -math.inf, low)[0]
    if p_high > 0:
        h_beyond += scipy.integrate.quad(surprise, high, math.inf)[0]
    p_beyond = p_low + p_high
    nodes, node_weights = np.polynomial.legendre.leggauss(6)
    # A panel ends at the median, where symmetric densities have their kink.
    ends = [low, float(density.median()), high]

    def quadrature(spacing: float) -> Quadrature:
        # The nodes of a panel are at most a quarter of its width apart.
        edges = np.concatenate(
            [
                np.linspace(a, b, max(panels, math.ceil((b - a) / (4 * spacing))) + 1)[i:]
                for i, (a, b) in enumerate(itertools.pairwise(ends))
            ]
        )
        half = np.diff(edges)[:, None] / 2
        x = (edges[:-1, None] + half + half * nodes).ravel()
        p = (half * node_weights).ravel() * density.pdf(x)
        return Quadrature([x], p, p_beyond, h_beyond)

    panels = 32
    while abs(found := float(quadrature(math.inf).p.sum()) + p_beyond - 1) > 1e-8:
        panels *= 2
        if panels > 1 << 15:
            raise InputError(
                f"quadrature finds a total probability of {1 + found:.9f} for {key}: its density "
                "is too rough or its tails are too heavy"
            )
    nodes_p = quadrature(math.inf)
    log_p = density.logpdf(nodes_p.axes[0])
    entropy = h_beyond - float(nodes_p.p @ np.where(nodes_p.p > 0, log_p, 0.0))
    return DensityProblem(quadrature, variance, entropy, key, device)


def problem_of_density(
    log_density: Callable[[Array], Array],
    support: Array,
    key: dict[str, Any],
    device: torch.device | str = "cpu",
) -> DensityProblem:
    """Return the problem of a smooth density in one to three dimensions.

    Arguments:
        log_density: maps points of shape (..., d) to nats, shape (...).
        support: the box outside which less than 1e-9 of the probability lies, shape (d, 2).
        key: all that the density depends on, as JSON values.
        device: where to compute.

    Raises:
        InputError: `support` is no box, or the density does not integrate to one on a grid of
            four million points.

    Example:
        >>> def two_gaussians(x):
        ...     return -0.5 * (x**2).sum(-1) - math.log(2 * math.pi)
        >>> box = np.array([[-6.5, 6.5], [-6.5, 6.5]])
        >>> problem = problem_of_density(two_gaussians, box, {"density": "two gaussians"})
        >>> round(problem.d_max, 6), round(problem.entropy, 6)
        (2.0, 2.837877)
    """
    box = np.asarray(support, dtype=float)
    if box.ndim != 2 or box.shape[1] != 2 or not 1 <= len(box) <= 3:
        raise InputError(f"support has shape {box.shape}; expected (d, 2) with d from 1 to 3")
    if not (np.isfinite(box).all() and (box[:, 0] < box[:, 1]).all()):
        raise InputError("support must hold finite intervals (low, high) with low < high")

    def on_grid(counts: list[int]) -> tuple[Quadrature, float]:
        axes = [np.linspace(a, b, n) for (a, b), n in zip(box, counts, strict=True)]
        log_p = log_density(np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1))
        p = np.exp(log_p) * math.prod(float(axis[1] - axis[0]) for axis in axes)
        entropy = -float((p * np.where(p > 0, log_p, 0.0)).sum())
        return Quadrature(axes, p), entropy

    # The coarsest grid that the next finer one does not improve on: for smooth densities the
    # error falls so fast that there is hardly anything between much too coarse and perfect.
    counts = [24] * len(box)
    nodes, entropy = on_grid(counts)
    while True:
        enough, total, coarse_entropy = counts, float(nodes.p.sum()), entropy
        counts = [math.ceil(1.3 * n) for n in counts]
        if math.prod(counts) > 4_000_000:
            raise InputError(
                f"the density of {key} integrates to {total:.9f} over its support on a grid of "
                "4 million points; check log_density and support, or smooth the density"
            )
        nodes, entropy = on_grid(counts)
        if max(abs(total - 1), abs(entropy - coarse_entropy)) < 1e-7:
            break

    variance = 0.0
    for axis, x in enumerate(nodes.axes):
        marginal = nodes.p.sum(tuple(k for k in range(len(box)) if k != axis))
        variance += float(marginal @ (x - marginal @ x) ** 2)

    def quadrature(spacing: float) -> Quadrature:
        counts = [
            max(n, math.ceil((b - a) / spacing) + 1) for (a, b), n in zip(box, enough, strict=True)
        ]
        return on_grid(counts)[0]

    return DensityProblem(quadrature, variance, entropy, key, device)
