"""Sources with a density and any distortion, on product grids."""

import math
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import scipy.ndimage

from ltc.bounds.blahut import METHOD, Report, blahut_arimoto
from ltc.bounds.density_problem import CUT, DensityProblem, Found, banded, grid_over
from ltc.bounds.interior_point import interior_point
from ltc.bounds.kernel import Kernel, Operator, ProductKernel, along_axes
from ltc.bounds.power_cost import Array, Cost
from ltc.bounds.problem import Solution
from ltc.bounds.quadrature import Density, Nodes

__all__ = ["GridProblem"]

# Pairs of a node and an output beyond which no grid becomes finer: the next has four times as many.
MOST = 2e7


class Start(NamedTuple):
    """An output distribution q on a product of axes, `spacing` kernel widths apart."""

    axes: list[Array]
    q: Array
    spacing: float


class GridProblem(DensityProblem):
    """min R + s D for a density under any distortion, outputs on a product grid.

    A kernel that is a product over axes costs two small matrix products an axis. Both ends are
    those of `DensityProblem`; where the grid is what keeps them apart, its spacing is halved. A
    neighbouring slope starts from the output distribution of the last one.

    But for squared error the kernel has a kink, and so has what is integrated: at the outputs,
    which therefore are the edges of the panels of a Gauss-Legendre rule, and both ends are
    measured with panels of half the width. Between their edges c(y) is a parabola: this is no
    proof, but twice what the parabola adds is added.

    Arguments:
        density: the source, in one to three dimensions.
        cost: what an error costs, of power 1 and more; None: its square.
        interior: weigh the outputs by an interior-point method, not by Blahut-Arimoto.
        report: as of `blahut_arimoto`.

    Example:
        >>> import scipy.stats
        >>> from ltc.bounds.quadrature import scalar_density
        >>> problem = GridProblem(scalar_density(scipy.stats.norm()))
        >>> solution = problem.solve(2.0, 1e-3)  # Gaussian: R + s D is least at D = 1 / 2s
        >>> truth = 0.5 * math.log(4.0) + 0.5
        >>> solution.lower < truth < solution.lower + 1e-3
        True
    """

    widths = (1e3, 150.0, 25.0)

    def __init__(
        self,
        density: Density,
        cost: Cost | None = None,
        interior: bool = False,
        report: Report | None = None,
    ) -> None:
        if not (cost or Cost()).squared:  # kinks want many more nodes and outputs
            self.widths = (1e3, 48.0, 12.0)
        super().__init__(density, cost)
        self.interior, self.report = interior, report
        # The least spacing of outputs, in kernel widths.
        self.finest = 1 / 32 if self.cost.squared or self.dimension == 1 else 1 / 8
        if self.finest == 1 / 8:
            self.note += ", nor outputs that are closer than an eighth of one"
        self.key["interior"] = interior
        if not interior:
            self.name, self.about = "Blahut-Arimoto bracket", METHOD

    def shannon(self, distortion: float) -> float:
        """Return Shannon's lower bound where grids end; above it the algorithm has the word."""
        fine = self.interior or distortion < self.dimension / (self.cost.power * self.slope_max)
        return super().shannon(distortion) if fine else 0.0

    def _minimise(self, slope: float, tolerance: float, start: Solution | None) -> Found:
        """Find the best output distribution on finer and finer grids."""
        solve: Any = interior_point
        if not self.interior:
            solve = partial(blahut_arimoto, limit=200, report=self.report)
        squared = self.cost.squared
        old: Start | None = None if start is None else start.output
        spacing, goal, lower, largest = 0.5, 16 * tolerance, -math.inf, math.inf
        if old is not None:
            spacing, goal = min(0.5, 2 * old.spacing), 2 * tolerance
        for rounds_left in reversed(range(100)):
            nodes, tail, p, y, kernel = self._rule(slope, spacing, tolerance)
            shape = [len(axis) for axis in y]
            q = np.full(shape, 1 / math.prod(shape))
            if old is not None:
                hats = [_hats(new, known) for new, known in zip(y, old.axes, strict=True)]
                q = 1e-4 * q + along_axes(hats, old.q)
            best = solve(p, kernel, q.ravel(), goal)
            ends, upper, weights = best.upper - best.lower, best.upper, best.weights
            if not squared:
                nodes, tail, p, _, kernel = self._rule(slope, spacing / 2, tolerance, y)
                z = kernel.forward(best.output)
                upper, weights = -float(p @ np.log(z)), p / z
            mass, weights = float(nodes.p.sum()), weights.reshape(nodes.p.shape)
            used = nodes.p > 0  # elsewhere lambda is not known, and not needed
            for level in (False, True):
                candidate = self._levelled(slope, nodes, weights) if level else weights
                bound = self._largest(slope, nodes, candidate, tolerance / 4, level)
                value = float(nodes.p[used] @ np.log(candidate[used] * mass / nodes.p[used]))
                lower = max(lower, value - mass * math.log(bound))
                largest = largest if level else bound
            old = Start(y, best.output.reshape(shape), spacing)
            if mass * upper - lower <= tolerance or not rounds_left:
                break
            # Is c much larger between the outputs than at them? A coarse look allows for so much.
            between = math.log(largest) - self.dimension / 800 > 3 * ends
            if ends <= goal and (between or goal <= tolerance / 4):
                pairs = self.dimension == 1 and not squared  # else they are never formed
                if spacing <= self.finest or (pairs and len(p) * best.output.size > MOST):
                    break
                spacing /= 2
            elif ends <= goal:
                goal = max(goal / 2, tolerance / 4)
        return Found(nodes, tail, p, kernel, best.output, lower, old)

    def _rule(
        self, slope: float, spacing: float, tolerance: float, y: list[Array] | None = None
    ) -> tuple[Nodes, Array, Array, list[Array], Operator]:
        """Return nodes, what was trimmed, their probabilities, outputs and the kernel."""
        width = self.cost.width(slope)
        if self.cost.squared:
            nodes, tail = self.density.nodes(0.8 * width).trim(tolerance / 300)
            y = grid_over(nodes.axes, spacing * width)
        else:
            nodes, tail = self.density.panels(spacing * width).trim(tolerance / 300)
            y = y or list(nodes.edges)
        p = nodes.p.ravel() / nodes.p.sum()
        kernel: Operator
        if self.dimension == 1 and not self.cost.squared:
            kernel = Kernel(banded(slope, nodes.axes[0], y[0], self.cost))
        else:
            pairs = zip(nodes.axes, y, strict=True)
            kernel = ProductKernel([slope * self.cost(a[:, None] - b) for a, b in pairs])
        return nodes, tail, p, y, kernel

    def _largest(
        self, slope: float, nodes: Nodes, weights: Array, tolerance: float, thorough: bool
    ) -> float:
        """Bound max_y c(y) over all y."""
        if self.cost.squared:
            return self._violations(slope, nodes.axes, weights, tolerance, thorough)[0]
        c = self._blur(slope, list(nodes.edges), nodes.axes, weights)
        between = np.zeros_like(c)
        for axis in range(c.ndim):
            fall = np.maximum(-np.diff(c, 2, axis), 0) / 4
            between += np.pad(
                fall, [(1, 1) if k == axis else (0, 0) for k in range(c.ndim)], "edge"
            )
        return float((c + between).max()) + math.exp(-CUT) * float(weights.sum())

    def _levelled(self, slope: float, nodes: Nodes, weights: Array) -> Array:
        """Lower lambda where c is above one nearby, at most where few source values are.

        Outputs in the tails are the last to settle, and the largest c would charge all of the
        source for them. The lower bound holds for any lambda.
        """
        step = self.cost.width(slope) / 16
        grid = grid_over(nodes.axes, step)
        c = self._blur(slope, grid, nodes.axes, weights)
        nearby = scipy.ndimage.maximum_filter(
            c, 2 * math.ceil(self.cost.reach(4.5, slope) / step) + 1
        )
        pairs = zip(nodes.axes, grid, strict=True)
        index = [np.rint((x - g[0]) / (g[1] - g[0])).astype(int) for x, g in pairs]
        return weights / np.maximum(nearby[np.ix_(*index)], 1.0)


def _hats(new: Array, old: Array) -> Array:
    """Return what spreads weights from one grid to another, linearly, shape (new, old)."""
    reach = max(new[1] - new[0], old[1] - old[0])
    hats = np.maximum(0.0, 1 - np.abs(new[:, None] - old) / reach)
    return hats / np.maximum(hats.sum(0), 1e-300)
