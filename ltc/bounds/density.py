"""The rate-distortion Lagrangian of a source known by its density, at one slope."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy.integrate
import torch
from numpy.typing import NDArray
from torch import Tensor

from ltc.bounds.blahut_arimoto import blahut_arimoto, product
from ltc.errors import InputError

__all__ = ["DensityProblem", "Solution", "problem_of_density", "problem_of_scalar"]

Array = NDArray[np.float64]

# Torch warns that its sparse matrices are young; they are tested here.
warnings.filterwarnings("ignore", "Sparse (CSR tensor support|invariant checks)", UserWarning)

# Kernel entries below exp(-CUT) are left out of sparse kernels (and accounted for).
CUT = 40.0
# Probability that may lie off the grid of the source; it is accounted for in both bounds.
TAIL = 1e-10


class Solution(NamedTuple):
    """What one slope says of R(D), per vector and in nats.

    Attributes:
        slope: s; R is in nats per vector, D the total distortion of a vector.
        lower: R + s D is at least this for every (D, R) that can be reached.
        points: reachable pairs (D, R), shape (count, 2).
    """

    slope: float
    lower: float
    points: Array


class Grid(NamedTuple):
    """Quadrature nodes, one array per dimension, and the probability of each, a tensor."""

    nodes: list[Array]
    p: Tensor


def kernel_factor(x: Array, y: Array, slope: float, device: torch.device) -> Tensor:
    """Return exp(-slope (x - y)^2), sparse where most of it is below exp(-CUT).

    Arguments:
        x: ascending nodes, shape (n,).
        y: ascending nodes, shape (m,).
        slope: nats per squared error.
        device: where the matrix is to be.

    Returns:
        Matrix of shape (n, m), float64.
    """
    radius = math.sqrt(CUT / slope)
    first = np.searchsorted(y, x - radius)
    last = np.searchsorted(y, x + radius, side="right")
    count = last - first
    if len(x) * len(y) < 1 << 14 or count.sum() > 0.2 * len(x) * len(y):
        difference = torch.from_numpy(x).to(device)[:, None] - torch.from_numpy(y).to(device)
        return torch.exp(-slope * difference.square())
    rows = np.concatenate([[0], np.cumsum(count)])
    columns = np.arange(rows[-1]) - np.repeat(rows[:-1] - first, count)
    values = np.exp(-slope * (np.repeat(x, count) - y[columns]) ** 2)
    return torch.sparse_csr_tensor(
        torch.from_numpy(rows),
        torch.from_numpy(columns),
        torch.from_numpy(values),
        size=(len(x), len(y)),
        check_invariants=False,
    ).to(device)


class DensityProblem:
    """min R + s D for a density in d dimensions under squared error.

    The source is replaced by quadrature nodes, the output by a grid that is refined until the
    certificate is tight enough. What is proof and what is quadrature:

    - The lower bound is Csiszar's dual bound (1974): for lambda(x) = 1 / Z(x) it is
      E log lambda - log max_y c(y) with c(y) = E [lambda(x) exp(-s |x - y|^2)], and the maximum
      is over *all* of R^d: c is evaluated on a fine grid, and because c(y) exp(s |y|^2) is
      log-convex (a Laplace transform), log c between grid points of spacing h exceeds its
      largest corner by at most d s h^2 / 4. That step is proof.
    - The upper bound is F(q) for the discrete q on the output grid, which any code may use.
    - Source probability off the nodes counts as coded for nothing in the lower bound (proof),
      and as coded by the nearest end of the grid in the upper bound (one dimension; in more it
      is below 1e-9 and neglected).
    - Expectations over the source are quadrature: Gauss-Legendre panels in one dimension, the
      trapezoidal rule in more, whose error falls exponentially for smooth densities. They are
      not proof, but far more accurate than the bracket is wide.

    Arguments:
        grid: returns quadrature nodes no further apart than is asked for.
        tail: probability off the nodes.
        tail_distortion: expected squared distance of what is off the nodes to the grid, times
            its probability.
        entropy: differential entropy in nats per vector.
        key: all that the density depends on, as JSON values.
        device: where to compute.
    """

    version = 1

    def __init__(
        self,
        grid: Callable[[float], Grid],
        tail: float,
        tail_distortion: float,
        entropy: float,
        key: dict[str, Any],
        device: torch.device | str = "cpu",
    ) -> None:
        self.grid = grid
        self.tail = tail
        self.tail_distortion = tail_distortion
        self.entropy = entropy
        self.device = torch.device(device)
        nodes, p = grid(math.inf)
        self.dimension = len(nodes)
        self.key = {**key, "loss": "squared", "version": self.version}
        self.d_max = tail_distortion
        for axis, x in enumerate(nodes):
            marginal = p.numpy().sum(tuple(k for k in range(self.dimension) if k != axis))
            mean = marginal @ x
            self.d_max += float(marginal @ (x - mean) ** 2)
        positive_finite = 0 < self.d_max < math.inf
        if not positive_finite:
            raise InputError(
                f"the source has variance {self.d_max:.3g}; R(D) under squared error needs a "
                "positive, finite one"
            )
        self.box = [(float(x[0]), float(x[-1])) for x in nodes]

    @property
    def slope_max(self) -> float:
        """The largest slope whose grids are of a size that can be computed."""
        points = (3e5, 250.0, 40.0)[self.dimension - 1]
        width = max(high - low for low, high in self.box) / points
        return 0.5 / width**2

    def solve(
        self, slope: float, tolerance: float, start: tuple[list[Array], Tensor] | None = None
    ) -> tuple[Solution, tuple[list[Array], Tensor]]:
        """Bracket the minimum of R + slope * D.

        Arguments:
            slope: s, nats per unit of distortion.
            tolerance: how far apart the bounds may be, nats per vector. It is not promised:
                see `Solution.lower` and the points for what was reached.
            start: output nodes and distribution of a neighbouring slope.

        Returns:
            The solution, and the output nodes and distribution to start a neighbour from.
        """
        width = math.sqrt(0.5 / slope)
        x, p = self.grid(0.8 * width)
        p = p.to(self.device)
        lower, upper = -math.inf, math.inf
        spacings = [0.5, 0.25, 0.125, 0.0625, 0.03125]
        if start is not None:
            spacings = spacings[1:]
        for spacing in spacings:
            y = [self._axis(k, spacing * width) for k in range(self.dimension)]
            output = self._start(y, start)
            kernel = [kernel_factor(a, b, slope, self.device) for a, b in zip(x, y, strict=True)]
            back = [kernel_factor(b, a, slope, self.device) for a, b in zip(x, y, strict=True)]
            primal, dual = blahut_arimoto(p, kernel, back, output, tolerance / 3, 2000)
            start = (y, primal.output)
            upper = min(upper, primal.value)
            lower = max(lower, dual.value - self._slack(slope, tolerance / 4, x, dual.weights))
            if upper - lower <= tolerance:
                break
        assert start is not None
        return Solution(slope, lower, self._points(slope, x, p, *start)), start

    def _axis(self, axis: int, spacing: float) -> Array:
        low, high = self.box[axis]
        count = math.ceil((high - low) / spacing) + 1
        return np.linspace(low, high, count)

    def _start(self, y: list[Array], start: tuple[list[Array], Tensor] | None) -> Tensor:
        shape = [len(axis) for axis in y]
        uniform = torch.full(shape, 1 / math.prod(shape), dtype=torch.float64, device=self.device)
        if start is None:
            return uniform
        factors = []
        for new, old in zip(y, start[0], strict=True):
            place = np.interp(old, new, np.arange(len(new)))
            left = np.minimum(place.astype(int), len(new) - 2)
            factor = np.zeros((len(new), len(old)))
            factor[left, np.arange(len(old))] = 1 - (place - left)
            factor[left + 1, np.arange(len(old))] = place - left
            factors.append(torch.from_numpy(factor).to(self.device))
        return 0.999 * product(factors, start[1]) + 0.001 * uniform

    def _slack(self, slope: float, allowance: float, x: list[Array], weights: Tensor) -> float:
        """Return an upper bound of log max_y c(y) over all y, nats."""
        spacing = math.sqrt(4 * allowance / (self.dimension * slope))
        fine = [self._axis(k, spacing) for k in range(self.dimension)]
        factors = [kernel_factor(a, b, slope, self.device) for a, b in zip(fine, x, strict=True)]
        largest = float(product(factors, weights).max()) * math.exp(allowance)
        cut = math.exp(-CUT) * float(weights.sum())
        return math.log(largest + cut + self.tail)

    def _points(
        self, slope: float, x: list[Array], p: Tensor, y: list[Array], output: Tensor
    ) -> Array:
        """Return what this output distribution reaches at the slope and close to it."""
        points = []
        ends = float(torch.stack([output.flatten()[0], output.flatten()[-1]]).min())
        for factor in (0.97, 1.0, 1.03):
            s = slope * factor
            kernel = [kernel_factor(a, b, s, self.device) for a, b in zip(x, y, strict=True)]
            mass = product(kernel, output).clamp_min(1e-300)
            error = torch.zeros_like(mass)
            for axis, (a, b) in enumerate(zip(x, y, strict=True)):
                one = list(kernel)
                one[axis] = _times_squared_error(kernel[axis], a, b)
                error += product(one, output)
            distortion = float((p * error / mass).sum()) + self.tail_distortion
            rate = -float((p * mass.log()).sum()) - s * (distortion - self.tail_distortion)
            if self.tail and ends > 0:
                rate -= self.tail * math.log(ends)
            points.append((distortion, max(rate, 0.0)))
        return np.array(points)


def _times_squared_error(kernel: Tensor, x: Array, y: Array) -> Tensor:
    if kernel.layout == torch.strided:
        difference = torch.from_numpy(x)[:, None] - torch.from_numpy(y)
        return kernel * difference.square().to(kernel.device)
    rows, columns = kernel.crow_indices(), kernel.col_indices()
    row = torch.repeat_interleave(torch.arange(len(x), device=kernel.device), rows.diff())
    nodes = [torch.from_numpy(v).to(kernel.device) for v in (x, y)]
    values = kernel.values() * (nodes[0][row] - nodes[1][columns]).square()
    return torch.sparse_csr_tensor(rows, columns, values, size=kernel.shape)


def problem_of_scalar(
    density: Any, key: dict[str, Any], device: torch.device | str = "cpu"
) -> DensityProblem:
    """Return the problem of a scalar source.

    Arguments:
        density: a frozen continuous `scipy.stats` distribution.
        key: all that it depends on, as JSON values.
        device: where to compute.

    Raises:
        InputError: its variance is not positive and finite.
    """
    variance = float(density.var())
    if not 0 < variance < math.inf:
        raise InputError(
            f"the source has variance {variance:.3g}; R(D) under squared error needs a positive, "
            "finite one"
        )
    low, high = density.support()
    low = max(low, float(density.ppf(TAIL / 2)))
    high = min(high, float(density.isf(TAIL / 2)))
    tail = float(density.cdf(low) + density.sf(high))
    tail_distortion = 2 * (
        scipy.integrate.quad(lambda x: (x - high) * density.sf(x), high, math.inf)[0]
        + scipy.integrate.quad(lambda x: (low - x) * density.cdf(x), -math.inf, low)[0]
    )
    nodes, weights = np.polynomial.legendre.leggauss(6)
    # A panel ends at the median, where symmetric densities have their kink.
    ends = [low, float(density.median()), high]

    def grid(spacing: float) -> Grid:
        # The nodes of a panel are at most a quarter of its width apart.
        edges = np.concatenate(
            [
                np.linspace(a, b, max(32, math.ceil((b - a) / (4 * spacing))) + 1)[i:]
                for i, (a, b) in enumerate(itertools.pairwise(ends))
            ]
        )
        half = np.diff(edges)[:, None] / 2
        x = (edges[:-1, None] + half + half * nodes).ravel()
        return Grid([x], torch.from_numpy((half * weights).ravel() * density.pdf(x)))

    missing = abs(1 - tail - float(grid(math.inf).p.sum()))
    if missing > 1e-6:
        raise InputError(f"the density misses {missing:.1g} of its mass under quadrature")
    return DensityProblem(grid, tail, tail_distortion, float(density.entropy()), key, device)


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
        InputError: `support` has a wrong shape, or the density does not integrate to one on
            a grid of four million points.
    """
    box = np.asarray(support, dtype=float)
    if box.ndim != 2 or box.shape[1] != 2 or not 1 <= len(box) <= 3:
        raise InputError(f"support has shape {box.shape}; expected (d, 2) with d from 1 to 3")
    if not (np.isfinite(box).all() and (box[:, 0] < box[:, 1]).all()):
        raise InputError("support must hold finite intervals (low, high) with low < high")

    def evaluate(counts: list[int]) -> tuple[list[Array], Array, Array]:
        axes = [np.linspace(a, b, n) for (a, b), n in zip(box, counts, strict=True)]
        log_p = log_density(np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1))
        cell = math.prod(float(axis[1] - axis[0]) for axis in axes)
        return axes, np.exp(log_p) * cell, log_p

    counts = [32] * len(box)
    entropy = math.inf
    while True:
        if math.prod(counts) > 4_000_000:
            raise InputError(
                "the density does not integrate to one within 1e-8 over its support on a grid "
                "of 4 million points; check log_density and support, or smooth the density"
            )
        _, p, log_p = evaluate(counts)
        previous, entropy = entropy, float(-(p * np.where(p > 0, log_p, 0.0)).sum())
        if abs(p.sum() - 1) < 1e-8 and abs(entropy - previous) < 1e-7:
            break
        counts = [2 * n for n in counts]

    def grid(spacing: float) -> Grid:
        fine = [
            max(n, math.ceil((b - a) / spacing) + 1) for (a, b), n in zip(box, counts, strict=True)
        ]
        axes, p, _ = evaluate(fine)
        # The unlikeliest nodes, TAIL in all, are left out: rays far from everything would make
        # the dual bound loose. Then the box shrinks to what is left.
        order = np.sort(p, axis=None)
        p[p <= order[max(int(np.searchsorted(np.cumsum(order), TAIL)) - 1, 0)]] = 0.0
        for axis in range(len(box)):
            used = np.flatnonzero(p.any(axis=tuple(k for k in range(len(box)) if k != axis)))
            inside = slice(used[0], used[-1] + 1)
            axes[axis] = axes[axis][inside]
            p = p[(slice(None),) * axis + (inside,)]
        return Grid(axes, torch.from_numpy(np.ascontiguousarray(p)))

    return DensityProblem(grid, TAIL + 1e-9, 0.0, entropy, key, device)
