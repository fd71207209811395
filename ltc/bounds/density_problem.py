"""Sources with a density, in one to three dimensions."""

import math
from typing import Any, NamedTuple

import numpy as np
import scipy.ndimage
import scipy.sparse
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ltc.bounds.interior_point import METHOD, interior_point
from ltc.bounds.kernel import Kernel, Operator, along_axes
from ltc.bounds.power_cost import Cost
from ltc.bounds.problem import Problem, Solution
from ltc.bounds.quadrature import Density, Nodes
from ltc.checks import digest

__all__ = ["DensityProblem"]

Array = NDArray[np.float64]

# Kernel entries below exp(-CUT) are left out of sparse kernels; the lower bound accounts for it.
CUT = 25.0


class Found(NamedTuple):
    """The best output distribution of a density at one slope.

    Attributes:
        nodes: the source as quadrature nodes, without the unlikely ones.
        tail: the probabilities of those.
        p: of the nodes that the kernel knows, adding up to one, shape (n,).
        kernel: of these nodes and the outputs.
        output: the output distribution, shape (m,).
        lower: the lower bound of the minimum, nats.
        start: what a neighbouring slope can start from.
    """

    nodes: Nodes
    tail: Array
    p: Array
    kernel: Operator
    output: Array
    lower: float
    start: Any


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
        density: the source, in one to three dimensions.
        cost: squared error, which is the default; `GridProblem` takes others.

    Example:
        >>> import scipy.stats
        >>> from ltc.bounds.quadrature import scalar_density
        >>> problem = DensityProblem(scalar_density(scipy.stats.norm()))
        >>> solution = problem.solve(2.0, 1e-3)  # Gaussian: R + s D is least at D = 1 / 2s
        >>> truth = 0.5 * math.log(4.0) + 0.5
        >>> solution.lower < truth < solution.lower + 1e-3
        True
    """

    name = "interior-point bracket"
    about = f"{METHOD}; bound=blahut_arimoto runs that"
    version = 3
    # So many kernel widths fit along an axis, for one, two and three dimensions.
    widths = (2e5, 300.0, 30.0)

    def __init__(self, density: Density, cost: Cost | None = None) -> None:
        self.density, self.cost = density, cost or Cost()
        coarse = density.nodes(math.inf)
        self.dimension = len(coarse.axes)
        self.lossless = math.inf
        self.d_max = density.d_max(self.cost)
        # The nodes follow the density closely enough to integrate it: they say all of it.
        self.key = {
            "problem": type(self).__name__,
            "version": self.version,
            "density": digest(*coarse.axes, coarse.p),
            "cost": self.cost.key,
        }
        extent = max(float(x[-1] - x[0]) for x in coarse.axes)
        most = self.widths[self.dimension - 1]
        self.slope_max = self.cost.slope(extent / most)
        self.note = f"grids of more than {most:g} kernel widths along an axis are not computed"

    def shannon(self, distortion: float) -> float:
        """Return the entropy less the largest that an error of this size can have, nats."""
        d = self.dimension
        return max(0.0, self.density.entropy - d * self.cost.entropy(distortion / d))

    def solve(self, slope: float, tolerance: float, start: Solution | None = None) -> Solution:
        """Bracket the minimum of R + slope * D."""
        nodes, tail, p, kernel, output, lower, again = self._minimise(slope, tolerance, start)
        width, mass = self.cost.width(slope), float(nodes.p.sum())
        # Each unlikely node has an output of its own, as likely as itself; beyond all nodes a
        # uniform quantizer takes over. The other outputs are as much less likely.
        apart = float(tail.sum()) + nodes.p_beyond
        extra_rate = nodes.h_beyond - nodes.p_beyond * math.log(width)
        extra_rate -= mass * math.log1p(-apart) + float(tail @ np.log(tail))
        extra_distortion = nodes.p_beyond * float(self.cost(np.array([-width, width]) / 2).max())
        rates, distortions = kernel.points(p, output)
        distortions = mass * distortions / slope + extra_distortion
        points = np.column_stack([distortions, np.maximum(mass * rates + extra_rate, 0.0)])
        information = np.log(kernel.forward(output))
        dispersion = float(p @ (information - p @ information) ** 2)
        return Solution(slope, lower, points, again, dispersion)

    def _minimise(self, slope: float, tolerance: float, start: Solution | None) -> Found:
        """Find the best output distribution, by interior points and exchange."""
        width = self.cost.width(slope)
        nodes, tail = self.density.nodes(0.8 * width).trim(tolerance / 300)
        core = nodes.p > 0
        x = _points(nodes.axes)[core.ravel()]
        mass = float(nodes.p.sum())
        p = nodes.p[core] / mass
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
            kernel = Kernel(_exponents(slope, x, y))
            best = interior_point(p, kernel, output, tolerance / 4)
            weights = np.zeros_like(nodes.p)
            weights[core] = best.weights
            largest, new = self._violations(slope, nodes.axes, weights, tolerance / 4)
            value = float(p @ np.log(best.weights / p))
            lower = max(lower, mass * (value - math.log(largest)))
            if mass * best.upper - lower <= tolerance or not len(new) or not rounds_left:
                break
            keep = best.output > 1e-3 * tolerance / len(y)
            y = np.concatenate([y[keep], new])
            output = np.concatenate([0.9 * best.output[keep], np.full(len(new), 0.1 / len(new))])
        alive = best.output > 1e-6 / len(y)
        again = np.column_stack([y, best.output])[alive]
        return Found(nodes, tail, p, kernel, best.output, lower, again)

    def _violations(
        self,
        slope: float,
        axes: list[Array],
        weights: Array,
        tolerance: float,
        thorough: bool = False,
    ) -> tuple[float, Array]:
        """Bound max_y c(y) over all y, and find outputs where c is above one, shape (count, d).

        The weights are p(x) lambda(x) of the nodes, shape (n_1, ..., n_d). No more than
        `tolerance`, nats, is lost to what c may do between grid points; unless `thorough`, more
        where c is far above one.
        """
        width, d = self.cost.width(slope), self.dimension
        fine = self.cost.spacing(tolerance / d, slope, math.inf)
        # A coarse look first: while c is far above one there is no point in a fine one.
        for spacing in (fine,) if thorough else (max(fine, width / 10), fine):
            grid = grid_over(axes, spacing)
            log_c = np.log(self._blur(slope, grid, axes, weights) + 1e-300)
            peak = float(log_c.max())
            if peak > 2 * tolerance:
                break
        excess = tolerance * (spacing / fine) ** 2
        bound = math.exp(peak) * math.exp(excess) + math.exp(-CUT) * float(weights.sum())
        nearby = scipy.ndimage.maximum_filter(log_c, max(1, int(width / spacing)) | 1)
        above = np.argwhere((log_c == nearby) & (log_c > max(tolerance, peak / 20)))
        return bound, np.column_stack(
            [_refined(log_c, above, k) * (g[1] - g[0]) + g[0] for k, g in enumerate(grid)]
        )

    def _blur(self, slope: float, grid: list[Array], axes: list[Array], weights: Array) -> Array:
        """Return c(y) = sum_x weights(x) exp(-slope d(x, y)) on a product grid."""
        if self.dimension == 1:
            matrix = banded(slope, axes[0], grid[0], self.cost).T
            matrix.data = np.exp(-matrix.data)
            return np.asarray(matrix @ weights)
        pairs = zip(grid, axes, strict=True)
        return along_axes([np.exp(-slope * self.cost(x - y[:, None])) for y, x in pairs], weights)


def _points(axes: list[Array]) -> Array:
    """Return the product of axes as points, shape (n_1 ... n_d, d)."""
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))


def grid_over(axes: list[Array], spacing: float) -> list[Array]:
    """Return axes from end to end of others, whose points are so far apart at most."""
    ends = [(axis[0], axis[-1]) for axis in axes]
    return [np.linspace(a, b, max(2, math.ceil((b - a) / spacing) + 1)) for a, b in ends]


def _coarse(axes: list[Array], x: Array, spacing: float) -> Array:
    """Return a grid of outputs near the nodes.

    Sums of Gaussian kernels one standard deviation apart are smooth to nine digits: where the
    best output distribution is a density, nothing finer is needed.
    """
    y = _points(grid_over(axes, spacing))
    reach = spacing / 2 + max(float(np.diff(a).max(initial=0.0)) for a in axes)
    distance, _ = cKDTree(x).query(y, distance_upper_bound=reach * math.sqrt(len(axes)))
    return y[np.isfinite(distance)]


def _exponents(slope: float, x: Array, y: Array) -> Any:
    """Return slope |x - y|^2 of the pairs below CUT, a CSR matrix of shape (n, m)."""
    if x.shape[1] == 1:
        return banded(slope, x[:, 0], y[:, 0], Cost())
    pairs = cKDTree(x).sparse_distance_matrix(
        cKDTree(y), math.sqrt(CUT / slope), output_type="coo_matrix"
    )
    matrix = scipy.sparse.csr_matrix(pairs)
    matrix.data = slope * matrix.data**2
    return matrix


def banded(slope: float, x: Array, y: Array, cost: Cost) -> Any:
    """Return slope d(x, y) of scalars below CUT, shapes (n,) and (m,), a CSR matrix (n, m)."""
    order = np.argsort(y)
    reach = cost.reach(CUT, slope)
    first = np.searchsorted(y, x - reach, sorter=order)
    count = np.searchsorted(y, x + reach, side="right", sorter=order) - first
    rows = np.concatenate([[0], np.cumsum(count)])
    columns = order[np.arange(rows[-1]) - np.repeat(rows[:-1] - first, count)]
    values = slope * cost(np.repeat(x, count) - y[columns])
    return scipy.sparse.csr_matrix((values, columns, rows), shape=(len(x), len(y)))


def _refined(values: Array, index: NDArray[np.int64], axis: int) -> Array:
    """Return the top of the parabola through three neighbours along an axis, in grid steps."""
    middle = index.copy()
    middle[:, axis] = np.clip(index[:, axis], 1, max(values.shape[axis] - 2, 1))
    step = np.zeros(index.shape[1], dtype=int)
    step[axis] = 1
    a, b, c = (values[tuple((middle + k * step).T)] for k in (-1, 0, 1))
    bend = np.minimum(a - 2 * b + c, -1e-300)
    return middle[:, axis] + np.clip(0.5 * (a - c) / bend, -1, 1)
