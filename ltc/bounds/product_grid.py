"""Sources with a density, by the Blahut-Arimoto algorithm."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.ndimage
import torch
from numpy.typing import NDArray
from torch import Tensor

from ltc.bounds.blahut import METHOD, Report, blahut_arimoto
from ltc.bounds.density import DensityProblem
from ltc.bounds.kernel import Optimum, ProductKernel, along_axes
from ltc.bounds.problem import Solution
from ltc.bounds.quadrature import Density, Nodes

__all__ = ["BlahutArimotoProblem"]

Array = NDArray[np.float64]


class BlahutArimotoProblem(DensityProblem):
    """min R + s D for a density under squared error, by Blahut-Arimoto with a separable kernel.

    The outputs are a product grid, so that an iteration costs two small matrix products an axis.
    The lower bound is over all outputs, as in `DensityProblem`; where the grid is what keeps the
    ends apart, its spacing is halved. A neighbouring slope starts from the output distribution
    of the last one.

    Arguments:
        density: the source, in one to three dimensions.
        device: where to compute.
        report: as of `blahut_arimoto`.

    Example:
        >>> import scipy.stats
        >>> from ltc.bounds.quadrature import scalar_density
        >>> problem = BlahutArimotoProblem(scalar_density(scipy.stats.norm()))
        >>> solution = problem.solve(2.0, 1e-3)  # Gaussian: R + s D is least at D = 1 / 2s
        >>> truth = 0.5 * math.log(4.0) + 0.5
        >>> solution.lower < truth < solution.lower + 1e-3
        True
    """

    name = "Blahut-Arimoto bracket"
    about = METHOD
    widths = (1e3, 150.0, 25.0)
    finest = 1 / 32  # spacing of outputs, in kernel widths

    def __init__(
        self, density: Density, device: torch.device | str = "cpu", report: Report | None = None
    ) -> None:
        super().__init__(density, device)
        self.report = report

    def shannon(self, distortion: float) -> float:
        """Return Shannon's lower bound where grids end; above it the algorithm has the word."""
        fine = distortion < 0.5 * self.dimension / self.slope_max
        return super().shannon(distortion) if fine else 0.0

    def _minimise(
        self, slope: float, nodes: Nodes, tolerance: float, start: Solution | None
    ) -> tuple[Tensor, Any, Optimum, float, Any]:
        """Find the best output distribution for the nodes, by Blahut-Arimoto on finer grids."""
        width, mass = math.sqrt(0.5 / slope), float(nodes.p.sum())
        p = torch.from_numpy(nodes.p.ravel() / mass).to(self.device)
        used = nodes.p > 0  # elsewhere lambda is not known, and not needed
        largest = math.inf
        old = None if start is None else start.output
        spacing, goal, lower = (0.5, 16 * tolerance, -math.inf)
        if old is not None:
            spacing, goal = min(0.5, 2 * old[2]), 2 * tolerance
        for rounds_left in reversed(range(100)):
            axes = [
                np.linspace(a[0], a[-1], max(2, math.ceil((a[-1] - a[0]) / (spacing * width)) + 1))
                for a in nodes.axes
            ]
            kernel = ProductKernel(
                [
                    torch.from_numpy(slope * (x[:, None] - y) ** 2).to(self.device)
                    for x, y in zip(nodes.axes, axes, strict=True)
                ]
            )
            q = p.new_full([len(y) for y in axes], 1 / math.prod(len(y) for y in axes))
            if old is not None:
                hats = [
                    torch.from_numpy(_hats(y, x)).to(q) for y, x in zip(axes, old[0], strict=True)
                ]
                q = 1e-4 * q + along_axes(hats, old[1].to(q))
            best = blahut_arimoto(p, kernel, q.flatten(), goal, 200, self.report)
            weights = best.weights.reshape(nodes.p.shape).cpu().numpy()
            for level in (False, True):
                candidate = self._levelled(slope, nodes.axes, weights) if level else weights
                bound, _ = self._violations(slope, nodes.axes, candidate, tolerance / 4, level)
                value = float(nodes.p[used] @ np.log(candidate[used] * mass / nodes.p[used]))
                lower = max(lower, value - mass * math.log(bound))
                largest = largest if level else bound
            old = (axes, best.output.reshape([len(y) for y in axes]), spacing)
            ends = best.upper - best.lower
            if mass * best.upper - lower <= tolerance or not rounds_left:
                break
            # Is c much larger between the outputs than at them? A coarse look allows for so much.
            between = math.log(largest) - self.dimension / 800 > 3 * ends
            if ends <= goal and (between or goal <= tolerance / 4):
                if spacing <= self.finest:
                    break
                spacing /= 2
            elif ends <= goal:
                goal = max(goal / 2, tolerance / 4)
        return p, kernel, best, lower, old

    def _levelled(self, slope: float, axes: list[Array], weights: Array) -> Array:
        """Lower lambda where c is above one nearby, at most where few source values are.

        Outputs in the tails are the last to settle, and the largest c would charge all of the
        source for them. The lower bound holds for any lambda.

        Arguments:
            slope: s.
            axes: of the nodes where the weights sit.
            weights: p(x) lambda(x) of the nodes, shape (n_1, ..., n_d).
        """
        width = math.sqrt(0.5 / slope)
        grid = [np.linspace(a[0], a[-1], math.ceil(16 * (a[-1] - a[0]) / width) + 1) for a in axes]
        c = self._smooth(slope, grid, axes, weights)
        nearby = scipy.ndimage.maximum_filter(c, 2 * 48 + 1)  # three widths to each side
        steps = zip(axes, grid, strict=True)
        index = [np.rint((x - g[0]) / (g[1] - g[0])).astype(int) for x, g in steps]
        return weights / np.maximum(nearby[np.ix_(*index)], 1.0)


def _hats(new: Array, old: Array) -> Array:
    """Return what spreads weights from one grid to another, linearly, shape (new, old)."""
    reach = max(new[1] - new[0], old[1] - old[0])
    hats = np.maximum(0.0, 1 - np.abs(new[:, None] - old) / reach)
    return hats / np.maximum(hats.sum(0), 1e-300)
