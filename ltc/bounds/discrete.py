"""Any discrete source with any distortion matrix."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ltc.bounds.interior import Kernel, interior_point
from ltc.bounds.problem import Problem, Solution, steepest_slope
from ltc.errors import InputError

__all__ = ["DiscreteProblem"]


class DiscreteProblem(Problem):
    """A source with finitely many letters and a table of distortions. Its brackets are proof.

    Arguments:
        p: probabilities of the source letters, shape (n,).
        distortion: d(x, y) >= 0 for source letter x and output letter y, shape (n, m).
        device: where to compute.

    Raises:
        InputError: shapes do not fit, a number is NaN or negative, a source letter has no output
            letter at finite distortion, or one output letter does for all (R(D) is zero).

    Reference:
        Shannon: Coding theorems for a discrete source with a fidelity criterion (1959).
        Csiszar: On the computation of rate-distortion functions (1974).

    Example:
        >>> from ltc.bounds import CertifiedRateDistortion
        >>> coin = DiscreteProblem([0.5, 0.5], [[0, 1], [1, 0]])
        >>> lower, upper = CertifiedRateDistortion(coin).bracket(0.11)  # 1 - h(0.11) = 0.5001
        >>> round(lower, 3), round(upper, 3)
        (0.5, 0.5)
    """

    dimension = 1

    def __init__(
        self, p: ArrayLike, distortion: ArrayLike, device: torch.device | str = "cpu"
    ) -> None:
        self.p: NDArray[np.float64] = np.asarray(p, dtype=float)
        self.distortion: NDArray[np.float64] = np.asarray(distortion, dtype=float)
        self.device = torch.device(device)
        if self.p.ndim != 1 or self.distortion.shape[:1] != self.p.shape:
            raise InputError(
                f"p has shape {self.p.shape} and the distortion matrix {self.distortion.shape}; "
                "expected (n,) and (n, m)"
            )
        if self.distortion.ndim != 2 or not self.distortion.size:
            raise InputError("the distortion matrix is empty; expected shape (n, m)")
        if not (self.p >= 0).all() or not abs(self.p.sum() - 1) < 1e-6:
            raise InputError(
                f"p must hold probabilities; its sum is {self.p.sum():.6g} and its least "
                f"entry {self.p.min():.3g}"
            )
        if not (self.distortion >= 0).all():
            raise InputError("the distortion matrix holds NaN or a negative number")
        self.distortion = self.distortion[self.p > 0]
        self.p = self.p[self.p > 0] / self.p.sum()
        nearest = self.distortion.min(1)
        if not np.isfinite(nearest).all():
            raise InputError("a source letter has no output letter at finite distortion")
        if not np.isfinite(self.distortion).all(0).any():
            raise InputError("every output letter is infinitely far from some source letter")
        self.d_min = float(self.p @ nearest)
        self.d_max = float((self.p @ self.distortion).min())
        if self.d_max <= self.d_min:
            raise InputError("one output letter serves every source letter best: R(D) = 0")
        used = np.bincount(self.distortion.argmin(1), self.p)
        self.r_max = float(-(used[used > 0] * np.log(used[used > 0])).sum())
        self.slope_max = steepest_slope(self.distortion)
        content = hashlib.sha256(self.p.tobytes() + self.distortion.tobytes()).hexdigest()
        self.key = {"discrete": content}

    def solve(self, slope: float, tolerance: float, start: Solution | None = None) -> Solution:
        """Bracket the minimum of R + slope * D by the interior-point method."""
        # Every row is shifted so that its largest entry is 1; the shift is added again below.
        nearest = self.distortion.min(1, keepdims=True)
        exponents = slope * (self.distortion - nearest)
        kernel = Kernel(np.minimum(exponents, 740.0), self.device)
        p = torch.from_numpy(self.p).to(self.device)
        output = torch.full_like(p.new_empty(self.distortion.shape[1]), 1.0)
        output /= len(output)
        if start is not None and start.output is not None:
            output = 0.1 * output + 0.9 * torch.from_numpy(start.output[:, -1]).to(output)
        best = interior_point(p, kernel, output, tolerance)
        shift = slope * self.d_min
        points = []
        for factor in (0.97, 1.0, 1.03):
            rate, distortion = kernel.point(p, best.output, factor)
            points.append((distortion / slope + self.d_min, max(rate, 0.0)))
        return Solution(
            slope, best.lower + shift, np.array(points), best.output.cpu().numpy()[:, None]
        )
