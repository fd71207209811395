"""Sources known by their density, in one to three dimensions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

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
Loss = Literal["squared", "absolute"]

# Kernel entries below exp(-CUT) are left out of sparse kernels; the lower bound accounts for it.
CUT = 30.0
# Probability beyond the outermost quadrature nodes of a scalar density.
TAIL = 1e-10


class Quadrature(NamedTuple):
    """Nodes and weights that turn expectations over a source into sums.

    Attributes:
        axes: ascending nodes along each axis, d arrays; the nodes are their product.
        lengths: the quadrature weight of each of them, d arrays.
        p: probability of each node, shape (n_1, ..., n_d).
        beyond: points that stand for the probability beyond the nodes, at least as far out as
            it is in the mean, shape (count, d).
        p_beyond: their probabilities, shape (count,).
    """

    axes: list[Array]
    lengths: list[Array]
    p: Array
    beyond: Array
    p_beyond: Array


class DensityProblem(Problem):
    """min R + s D for a density under squared or absolute error, for the continuous source.

    The source becomes quadrature nodes x. The output distribution lives on points y that start
    as a coarse grid; where the certificate is violated points are added and the weights solved
    for again (the exchange method for semi-infinite programmes, Hettich and Kortanek 1993; for
    mixtures Wang 2007), until the bounds meet. What is proof and what is quadrature:

    - Lower bound: Csiszar's dual (1974), E log lambda - log max_y c(y) with
      c(y) = E [lambda(x) exp(-s d(x, y))]. The maximum is over *all* y of R^d. For squared error
      c(y) exp(s |y|^2) is a Laplace transform, hence log-convex, so between points of a grid of
      spacing h log c exceeds the largest corner by d s h^2 / 4 at most; outside the box of the
      nodes moving y to the box increases c. For absolute error c'' >= -2 s p lambda along an
      axis, so c exceeds the largest corner by s h^2 / 4 times the largest p lambda, summed over
      the axes. These steps are proof.
    - Upper bound: F(q) of the discrete q that was found, which any code may use.
    - The unlikeliest source values, a small part of the tolerance in probability, count as coded
      for nothing in the lower bound and as sent to the nearest output point in the upper bound.
      That is proof, but for a density in more than one dimension the probability outside its
      stated support, below 1e-9, is neglected.
    - Expectations over the source are quadrature: Gauss-Legendre panels in one dimension, the
      trapezoidal rule in more, whose errors fall exponentially for smooth densities. They are
      not proof, but their error is far below the width of the bracket.

    Arguments:
        quadrature: returns nodes that are no further apart than it is told.
        entropy: differential entropy, nats per vector.
        key: all that the density depends on, as JSON values.
        loss: "squared" or "absolute", the distortion per vector being the sum over its scalars.
        device: where to compute.

    Raises:
        InputError: an unknown loss, or the source is constant or has infinite distortion.
    """

    version = 2

    def __init__(
        self,
        quadrature: Callable[[float], Quadrature],
        entropy: float,
        key: dict[str, Any],
        loss: Loss = "squared",
        device: torch.device | str = "cpu",
    ) -> None:
        if loss not in ("squared", "absolute"):
            raise InputError(f"loss={loss}; expected squared or absolute")
        self.quadrature = quadrature
        self.entropy = entropy
        self.loss = loss
        self.device = torch.device(device)
        self.key = {**key, "loss": loss, "version": self.version}
        axes, _, p, beyond, p_beyond = quadrature(math.inf)
        self.dimension = len(axes)
        self.d_min, self.r_max = 0.0, math.inf
        self.d_max = 0.0
        for axis, x in enumerate(axes):
            marginal = p.sum(tuple(k for k in range(self.dimension) if k != axis))
            nodes = np.concatenate([x, beyond[:, axis]])
            weights = np.concatenate([marginal, p_beyond])
            if loss == "squared":
                centre = weights @ nodes
            else:
                centre = x[int(np.searchsorted(np.cumsum(marginal), 0.5))]
            self.d_max += float(weights @ self._cost(nodes - centre))
        if not 0 < self.d_max < math.inf:
            raise InputError(
                f"the source has a mean {loss} error of {self.d_max:.3g} about its centre; "
                "R(D) needs a positive, finite one"
            )
        # The steepest slope whose nodes fit into memory: so many widths per axis.
        widths = {"squared": (2e5, 150.0, 30.0), "absolute": (1e4, 60.0, 12.0)}[loss]
        extent = max(float(x[-1] - x[0]) for x in axes)
        self.slope_max = self._slope(extent / widths[self.dimension - 1])

    def _cost(self, difference: Array) -> Array:
        return difference**2 if self.loss == "squared" else np.abs(difference)

    def _width(self, slope: float) -> float:
        """Return the width of the kernel: a standard deviation, or a decay length."""
        return math.sqrt(0.5 / slope) if self.loss == "squared" else 1 / slope

    def _slope(self, width: float) -> float:
        return 0.5 / width**2 if self.loss == "squared" else 1 / width

    def _radius(self, slope: float) -> float:
        """Return the distance at which the kernel has fallen to exp(-CUT)."""
        return math.sqrt(CUT / slope) if self.loss == "squared" else CUT / slope

    def known(self, distortion: float) -> tuple[float, float]:
        """Return Shannon's lower bound, and that of equal variance or spread from above.

        Among all densities with E |x_k| = D the Laplacian has the largest entropy, and among
        those with E x_k^2 = D the Gaussian, which gives the lower bound (Shannon 1959; Berger
        1971, section 4.3). Under squared error a Gaussian test channel gives
        d/2 log(d_max / D); under absolute error no such bound is used.
        """
        d = self.dimension
        if self.loss == "squared":
            noise = d / 2 * math.log(2 * math.pi * math.e * distortion / d)
            upper = d / 2 * math.log(self.d_max / distortion)
        else:
            noise = d * math.log(2 * math.e * distortion / d)
            upper = math.inf
        return max(0.0, self.entropy - noise), max(0.0, upper)

    def solve(self, slope: float, tolerance: float, start: Solution | None = None) -> Solution:
        """Bracket the minimum of R + slope * D by interior points and exchange."""
        width = self._width(slope)
        share = {"squared": 0.8, "absolute": 1 / 32}[self.loss]
        nodes, p_tail = _trim(self.quadrature(share * width), tolerance / 300)
        core = nodes.p > 0
        x = _points(nodes.axes)[core.ravel()]
        mass = float(nodes.p.sum())
        p = torch.from_numpy(nodes.p[core] / mass).to(self.device)
        y = self._coarse(nodes.axes, x, width)
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
        for _ in range(20):
            kernel = Kernel(self._exponents(slope, x, y), self.device)
            q = torch.from_numpy(output).to(self.device)
            best = interior_point(p, kernel, q, tolerance / 4)
            weights = np.zeros_like(nodes.p)
            weights[core] = best.weights.cpu().numpy()
            largest, new = self._violations(slope, nodes, weights, tolerance / 4)
            value = float(p @ (best.weights / p).log())
            lower = max(lower, mass * (value - math.log(largest)))
            if mass * best.upper - lower <= tolerance or not len(new):
                break
            output = best.output.cpu().numpy()
            keep = output > 1e-3 * tolerance / len(output)
            y = np.concatenate([y[keep], new])
            output = np.concatenate([0.9 * output[keep], np.full(len(new), 0.1 / len(new))])
        output = best.output.cpu().numpy()
        points = []
        # Each unlikely node gets an output of its own, with its own probability; what is beyond
        # all nodes is sent to the nearest likely output. The others are as much less likely.
        rare = np.concatenate([p_tail, nodes.p_beyond])
        extra_rate = -mass * math.log1p(-float(rare.sum())) - float(rare @ np.log(rare))
        norm = 2.0 if self.loss == "squared" else 1.0
        distance, _ = cKDTree(y[output > 1e-3 / len(output)]).query(nodes.beyond, p=norm)
        extra_distortion = float(nodes.p_beyond @ distance**norm)
        for factor in (0.97, 1.0, 1.03):
            rate, distortion = kernel.point(p, best.output, factor)
            distortion = mass * distortion / slope + extra_distortion
            points.append((distortion, max(mass * rate + extra_rate, 0.0)))
        alive = output > 1e-6 / len(output)
        return Solution(slope, lower, np.array(points), np.column_stack([y, output])[alive])

    def _coarse(self, axes: list[Array], x: Array, width: float) -> Array:
        """Return a grid, one kernel width apart, of the outputs that are near the source."""
        grid = [
            np.linspace(a[0], a[-1], max(2, math.ceil((a[-1] - a[0]) / width) + 1)) for a in axes
        ]
        y = _points(grid)
        reach = width / 2 + max(float(np.diff(a).max(initial=0.0)) for a in axes)
        distance, _ = cKDTree(x).query(y, distance_upper_bound=reach * math.sqrt(len(axes)))
        return y[np.isfinite(distance)]

    def _exponents(self, slope: float, x: Array, y: Array) -> Any:
        """Return s d(x, y) of the pairs below CUT, a CSR matrix of shape (n, m)."""
        if x.shape[1] == 1:
            return _banded(x[:, 0], y[:, 0], self._radius(slope), lambda u: slope * self._cost(u))
        norm = 2.0 if self.loss == "squared" else 1.0
        near = cKDTree(x).sparse_distance_matrix(
            cKDTree(y), self._radius(slope), p=norm, output_type="coo_matrix"
        )
        near = scipy.sparse.csr_matrix(near)
        near.data = slope * near.data**norm
        return near

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
        width, axes, d = self._width(slope), quadrature.axes, self.dimension
        if self.loss == "squared":
            fine = math.sqrt(4 * tolerance / (d * slope))
        else:
            peaks = sum(
                float(self._smooth(slope, axes, axes, weights, (k, quadrature.lengths[k])).max())
                for k in range(d)
            )
            fine = math.sqrt(4 * tolerance / (slope * peaks))
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

    def _smooth(
        self,
        slope: float,
        grid: list[Array],
        axes: list[Array],
        weights: Array,
        density: tuple[int, Array] | None = None,
    ) -> Array:
        """Return sum_x weights(x) exp(-s d(x, y)) on a product grid, one axis after the other.

        With `density = (k, lengths)` the kernel of axis k is replaced by a point evaluation.
        """
        result = torch.from_numpy(weights).to(self.device)
        for axis, (y, x) in enumerate(zip(grid, axes, strict=True)):
            moved = result.movedim(axis, 0)
            flat = moved.reshape(len(x), -1)
            if density is not None and density[0] == axis:
                flat = flat / torch.from_numpy(density[1]).to(flat)[:, None]
            elif self.dimension == 1:
                matrix = _banded(y, x, self._radius(slope), lambda u: slope * self._cost(u))
                matrix.data = np.exp(-matrix.data)
                flat = torch.from_numpy(matrix @ flat.cpu().numpy()).to(flat)
            else:
                exponents = slope * self._cost(y[:, None] - x)
                flat = torch.from_numpy(np.exp(-exponents)).to(flat) @ flat
            result = flat.reshape(-1, *moved.shape[1:]).movedim(0, axis)
        return result.cpu().numpy()


def _points(axes: list[Array]) -> Array:
    """Return the product of axes as points, shape (n_1 ... n_d, d)."""
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))


def _banded(x: Array, y: Array, radius: float, exponent: Callable[[Array], Array]) -> Any:
    """Return the exponents of scalar pairs closer than a radius, a CSR matrix of shape (n, m)."""
    order = np.argsort(y)
    first = np.searchsorted(y, x - radius, sorter=order)
    count = np.searchsorted(y, x + radius, side="right", sorter=order) - first
    rows = np.concatenate([[0], np.cumsum(count)])
    columns = order[np.arange(rows[-1]) - np.repeat(rows[:-1] - first, count)]
    values = exponent(np.repeat(x, count) - y[columns])
    return scipy.sparse.csr_matrix((values, columns, rows), shape=(len(x), len(y)))


def _trim(quadrature: Quadrature, share: float) -> tuple[Quadrature, Array]:
    """Set the unlikeliest nodes, of this probability in all, to zero, and shrink the box.

    They are where lambda is largest and hardest to get right, and matter least.

    Returns:
        What is left, and the probabilities of the nodes that were taken away.
    """
    axes, lengths, p = list(quadrature.axes), list(quadrature.lengths), quadrature.p.copy()
    flat = p.ravel()
    order = np.argsort(flat)
    out = order[: int(np.searchsorted(np.cumsum(flat[order]), share))]
    removed = flat[out][flat[out] > 0]
    flat[out] = 0.0
    for axis in range(p.ndim):
        used = np.flatnonzero(p.any(axis=tuple(k for k in range(p.ndim) if k != axis)))
        inside = slice(used[0], used[-1] + 1)
        axes[axis], lengths[axis] = axes[axis][inside], lengths[axis][inside]
        p = p[(slice(None),) * axis + (inside,)]
    left = quadrature._replace(axes=axes, lengths=lengths, p=np.ascontiguousarray(p))
    return left, removed


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
    density: Any,
    key: dict[str, Any],
    loss: Loss = "squared",
    device: torch.device | str = "cpu",
) -> DensityProblem:
    """Return the problem of a scalar source.

    Arguments:
        density: a frozen continuous `scipy.stats` distribution.
        key: all that it depends on, as JSON values.
        loss: "squared" or "absolute" error.
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
    # What is beyond the nodes is put where it is in the root mean square, no nearer to any output
    # than is true: E (X - end)^2 beyond the end is 2 int u P(X > end + u) du.
    beyond, p_beyond = [], []
    if (p_low := float(density.cdf(low))) > 0:
        moment = 2 * scipy.integrate.quad(lambda u: u * density.cdf(low - u), 0, math.inf)[0]
        beyond.append([low - math.sqrt(moment / p_low)])
        p_beyond.append(p_low)
    if (p_high := float(density.sf(high))) > 0:
        moment = 2 * scipy.integrate.quad(lambda u: u * density.sf(high + u), 0, math.inf)[0]
        beyond.append([high + math.sqrt(moment / p_high)])
        p_beyond.append(p_high)
    nodes, node_weights = np.polynomial.legendre.leggauss(6)
    # A panel ends at the median, where symmetric densities have their kink.
    ends = [low, float(density.median()), high]

    def quadrature(spacing: float) -> Quadrature:
        # The nodes of a panel are at most a quarter of its width apart.
        edges = np.concatenate(
            [
                np.linspace(a, b, max(32, math.ceil((b - a) / (4 * spacing))) + 1)[i:]
                for i, (a, b) in enumerate(itertools.pairwise(ends))
            ]
        )
        half = np.diff(edges)[:, None] / 2
        x = (edges[:-1, None] + half + half * nodes).ravel()
        lengths = (half * node_weights).ravel()
        p = lengths * density.pdf(x)
        return Quadrature([x], [lengths], p, np.array(beyond).reshape(-1, 1), np.array(p_beyond))

    found = float(quadrature(math.inf).p.sum()) + sum(p_beyond)
    if abs(found - 1) > 1e-7:
        raise InputError(
            f"quadrature finds a total probability of {found:.9f} for {key}: its density is too "
            "rough; describe it as a mixture of smoother ones"
        )
    return DensityProblem(quadrature, float(density.entropy()), key, loss, device)


def problem_of_density(
    log_density: Callable[[Array], Array],
    support: Array,
    key: dict[str, Any],
    loss: Loss = "squared",
    device: torch.device | str = "cpu",
) -> DensityProblem:
    """Return the problem of a smooth density in one to three dimensions.

    Arguments:
        log_density: maps points of shape (..., d) to nats, shape (...).
        support: the box outside which less than 1e-9 of the probability lies, shape (d, 2).
        key: all that the density depends on, as JSON values.
        loss: "squared" or "absolute" error.
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
    nothing = np.empty((0, len(box))), np.empty(0)

    def on_grid(counts: list[int]) -> tuple[Quadrature, float]:
        axes = [np.linspace(a, b, n) for (a, b), n in zip(box, counts, strict=True)]
        log_p = log_density(np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1))
        lengths = [np.full(len(axis), axis[1] - axis[0]) for axis in axes]
        p = np.exp(log_p) * math.prod(float(length[0]) for length in lengths)
        entropy = -float((p * np.where(p > 0, log_p, 0.0)).sum())
        return Quadrature(axes, lengths, p, *nothing), entropy

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

    def quadrature(spacing: float) -> Quadrature:
        counts = [
            max(n, math.ceil((b - a) / spacing) + 1) for (a, b), n in zip(box, enough, strict=True)
        ]
        return on_grid(counts)[0]

    return DensityProblem(quadrature, entropy, key, loss, device)
