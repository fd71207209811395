"""Discrete sources on product grids, with outputs on a grid: kernels that are products."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ltc.bounds.interior import interior_point
from ltc.bounds.problem import Problem, Solution, steepest_slope
from ltc.errors import InputError

__all__ = ["GridProblem"]

Array = NDArray[np.float64]


class _ProductKernel:
    """exp(-s d(x, y)) for a distortion that is a sum over axes: one small matrix an axis."""

    def __init__(self, distortions: list[Tensor], slope: float) -> None:
        self.distortions = distortions
        self.factors = [torch.exp(-slope * d) for d in distortions]
        self.shape_x = [len(d) for d in distortions]
        self.shape_y = [d.shape[1] for d in distortions]

    def forward(self, output: Tensor) -> Tensor:
        return _product(self.factors, output.reshape(self.shape_y)).flatten()

    def adjoint(self, weights: Tensor) -> Tensor:
        return _product([f.T for f in self.factors], weights.reshape(self.shape_x)).flatten()

    def adjoint_of_squares(self, weights: Tensor) -> Tensor:
        squares = [f.T.square() for f in self.factors]
        return _product(squares, weights.reshape(self.shape_x)).flatten()

    def point(self, p: Tensor, output: Tensor, slope: float) -> tuple[float, float]:
        """Return rate and distortion that an output distribution reaches at this kernel's slope."""
        mass = self.forward(output)
        errors = torch.zeros_like(mass)
        for axis, distortion in enumerate(self.distortions):
            factors = list(self.factors)
            factors[axis] = factors[axis] * distortion
            errors += _product(factors, output.reshape(self.shape_y)).flatten()
        d = float(p @ (errors / mass))
        return -float(p @ mass.log()) - slope * d, d


def _product(factors: list[Tensor], tensor: Tensor) -> Tensor:
    """Apply one matrix along each axis of a tensor."""
    for axis, factor in enumerate(factors):
        moved = tensor.movedim(axis, 0)
        result = factor @ moved.flatten(1) if moved.ndim > 1 else factor @ moved
        tensor = result.reshape(-1, *moved.shape[1:]).movedim(0, axis)
    return tensor


class GridProblem(Problem):
    """A discrete source on a product grid, reproduced on a product grid. Brackets are proof.

    The distortion is the squared or the absolute error, summed over axes, so that the matrix of
    all pairs (for 300 x 300 letters it has 8 billion entries) is never formed. Under absolute
    error the source's own grid loses nothing against outputs anywhere: between grid points
    c(y) = E [lambda(x) exp(-s d(x, y))] is convex along every axis.

    Arguments:
        p: probabilities, shape (n_1, ..., n_d).
        axes: source values along each axis, d arrays.
        outputs: output values along each axis; None: those of the source.
        loss: "squared" or "absolute".
        device: where to compute.

    Raises:
        InputError: shapes do not fit, probabilities do not add up to one, an unknown loss, or
            one output serves all.

    Example:
        >>> p = np.full((6, 6), 1 / 36)
        >>> problem = GridProblem(p, [np.arange(6.0)] * 2, loss="absolute")
        >>> solution = problem.solve(0.5, 1e-4)
        >>> reached = solution.middle @ [0.5, 1.0]
        >>> bool(solution.lower < reached < solution.lower + 1e-4)
        True
    """

    def __init__(
        self,
        p: ArrayLike,
        axes: Sequence[ArrayLike],
        outputs: Sequence[ArrayLike] | None = None,
        loss: str = "squared",
        device: torch.device | str = "cpu",
    ) -> None:
        if loss not in ("squared", "absolute"):
            raise InputError(f"loss={loss}; expected squared or absolute")
        table = np.asarray(p, dtype=float)
        x = [np.asarray(axis, dtype=float) for axis in axes]
        y = x if outputs is None else [np.asarray(axis, dtype=float) for axis in outputs]
        if table.shape != tuple(len(axis) for axis in x) or len(y) != len(x) or not table.size:
            raise InputError(
                f"p has shape {table.shape}, the axes have lengths {[len(a) for a in x]} and "
                f"there are {len(y)} output axes; they must fit"
            )
        if not all(np.isfinite(axis).all() for axis in x + y):
            raise InputError("an axis holds NaN or infinity")
        if not (table >= 0).all() or not abs(table.sum() - 1) < 1e-6:
            raise InputError(f"p adds up to {table.sum():.6g}; expected 1, nothing negative")
        power = 2 if loss == "squared" else 1
        self.distortions = [
            torch.from_numpy(np.abs(a[:, None] - b) ** power).to(device)
            for a, b in zip(x, y, strict=True)
        ]
        self.p = torch.from_numpy(np.ascontiguousarray(table / table.sum())).to(device)
        self.dimension = len(x)
        # Along each axis the best output for a letter is the nearest; for all letters at once,
        # the one with the least mean distortion.
        self.d_min = self.d_max = 0.0
        for axis, d in enumerate(self.distortions):
            marginal = self.p.sum([k for k in range(len(x)) if k != axis]) if len(x) > 1 else self.p
            self.d_min += float(marginal @ d.amin(1))
            self.d_max += float((marginal @ d).min())
        if self.d_max <= self.d_min:
            raise InputError("one output serves every source letter best: R(D) = 0")
        used = self.p[self.p > 0]
        self.r_max = -float(used @ used.log())
        self.slope_max = max(steepest_slope(d.cpu().numpy()) for d in self.distortions)
        content = hashlib.sha256(table.tobytes())
        for values in x + y:
            content.update(values.tobytes())
        self.key = {"grid": content.hexdigest(), "loss": loss, "shape": list(table.shape)}

    def solve(self, slope: float, tolerance: float, start: Solution | None = None) -> Solution:
        """Bracket the minimum of R + slope * D by the interior-point method."""
        # Each letter's row is shifted so that its largest entry is 1.
        nearest = [d.amin(1, keepdim=True) for d in self.distortions]
        shifted = [
            (d - n).clamp_max(700 / slope) for d, n in zip(self.distortions, nearest, strict=True)
        ]
        kernel = _ProductKernel(shifted, slope)
        p = self.p.flatten()
        size = math.prod(kernel.shape_y)
        output = p.new_full((size,), 1 / size)
        if start is not None and start.output is not None:
            output = 0.1 * output + 0.9 * torch.from_numpy(start.output[:, 0]).to(p)
        best = interior_point(p, kernel, output, tolerance)
        points = []
        for factor in (0.97, 1.0, 1.03):
            nearby = _ProductKernel(shifted, slope * factor)
            rate, distortion = nearby.point(p, best.output, slope * factor)
            points.append((distortion + self.d_min, max(rate, 0.0)))
        outputs = best.output.cpu().numpy()[:, None]
        return Solution(slope, best.lower + slope * self.d_min, np.array(points), outputs)
