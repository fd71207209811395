"""The Blahut-Arimoto algorithm."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.ndimage
import torch
from numpy.typing import NDArray
from torch import Tensor

from ltc.bounds.density import DensityProblem
from ltc.bounds.kernel import Operator, Optimum, ProductKernel, along_axes
from ltc.bounds.problem import Solution
from ltc.bounds.quadrature import Density, Nodes

__all__ = ["METHOD", "BlahutArimotoProblem", "blahut_arimoto"]

Array = NDArray[np.float64]

METHOD = "Blahut-Arimoto ran until Csiszár's two ends met"

# Called with how far apart the two ends are, and how far they may be, nats.
Report = Callable[[float, float], None]


def blahut_arimoto(
    p: Tensor,
    kernel: Operator,
    output: Tensor,
    tolerance: float,
    limit: int = 20_000,
    report: Report | None = None,
) -> Optimum:
    """Minimise F(q) = -E log sum_y q(y) exp(-s d(x, y)) over output distributions q.

    Each iteration multiplies q by c(y) = E [exp(-s d(x, y)) / Z(x)], Z(x) being the sum above
    (Blahut 1972; Arimoto 1972). Csiszar's two ends (1974), F(q) from above and
    F(q) - log max_y c(y) from below, say when to stop. Every second iterate is extrapolated in
    log q from the last two (SQUAREM: Varadhan and Roland 2008), and the extrapolation is kept
    only if F falls: F falls in every step, as it does without, in a tenth of the iterations.

    Arguments:
        p: the source distribution, shape (n,), sum 1.
        kernel: exp(-s d(x, y)).
        output: where to start, shape (m,).
        tolerance: stop when the ends are this close, nats.
        limit: evaluations of c at most.
        report: called in each iteration with the distance of the ends and the tolerance, nats.

    Returns:
        The best output distribution, and the best lower bound with its lambda.

    Example:
        >>> from ltc.bounds.kernel import Kernel
        >>> p = torch.tensor([0.5, 0.5], dtype=torch.float64)
        >>> kernel = Kernel(2.0 * (1 - np.eye(2)))  # Hamming distortion, slope 2
        >>> best = blahut_arimoto(p, kernel, torch.tensor([0.9, 0.1], dtype=torch.float64), 1e-9)
        >>> [round(float(q), 4) for q in best.output]
        [0.5, 0.5]
        >>> bool(best.lower <= -np.log((1 + np.exp(-2)) / 2) <= best.upper)
        True
    """
    best = Optimum(output, math.inf, -math.inf, p)

    def evaluate(log_q: Tensor) -> tuple[Tensor, Tensor, float]:
        """Return log q, log c and F, and remember them if they are the best so far."""
        nonlocal best
        log_q = (log_q - log_q.logsumexp(0)).clamp_min(-300.0)
        q = log_q.exp()
        mass = kernel.forward(q).clamp_min(1e-300)
        log_c = kernel.adjoint(p / mass).clamp_min(1e-300).log()
        value = -float(p @ mass.log())
        lower = value - float(log_c.max())
        if value < best.upper:
            best = best._replace(output=q, upper=value)
        if lower > best.lower:
            best = best._replace(lower=lower, weights=p / mass)
        return log_q, log_c, value

    log_q, log_c, _ = evaluate(output.clamp_min(1e-300).log())
    for _ in range(limit // 3):
        if best.upper - best.lower <= tolerance:
            break
        if report:
            report(best.upper - best.lower, tolerance)
        once = evaluate(log_q + log_c)
        # The change of the change says how far to go.
        turn = once[1] - log_c
        weights = once[0].exp()
        length = float((weights @ log_c.square()) / (weights @ turn.square()).clamp_min(1e-300))
        length = max(1.0, math.sqrt(length))
        while True:
            far = evaluate(log_q + 2 * length * log_c + length**2 * turn)
            if far[2] <= once[2] or length == 1.0:
                break
            length = (length + 1) / 2 if length > 2 else 1.0
        log_q, log_c, _ = far if far[2] <= once[2] else once
    return best


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
