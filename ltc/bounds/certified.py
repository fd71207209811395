"""R(D) between the lines that support it and the points that can be reached."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ltc.bounds.curve import Bracket, RateDistortion, positive
from ltc.bounds.density import DensityProblem, Solution
from ltc.files import atomic_write, cache_file

__all__ = ["CertifiedBlahutArimoto"]

NATS = math.log(2)


def _width(bracket: Bracket) -> float:
    lower, upper = bracket
    return math.inf if lower is None or upper is None else upper - lower


class CertifiedBlahutArimoto(RateDistortion):
    """R(D) bracketed by Blahut-Arimoto at as many slopes as it takes.

    Each slope s yields a supporting line R >= lower - s D and reachable points (D, R). At any D
    the largest line is a lower bound; the lower convex hull of the points is an upper bound,
    because one may code a part of the time at one point and the rest at another. Slopes are
    added where a bracket is asked for until it is narrow enough, and kept in the disk cache.

    Arguments:
        problem: the source and the distortion measure.
        tolerance: how wide a bracket may be, bits per scalar.
        progress: called with a line of text at each new slope.

    Example:
        >>> import scipy.stats
        >>> from ltc.bounds.density import problem_of_scalar
        >>> problem = problem_of_scalar(scipy.stats.norm(), {"density": "norm"})
        >>> lower, upper = CertifiedBlahutArimoto(problem).bracket(0.25)
        >>> lower <= 1 <= upper, upper - lower < 0.0005
        (True, True)
    """

    name = "certified Blahut-Arimoto"

    def __init__(
        self,
        problem: DensityProblem,
        tolerance: float = 5e-4,
        progress: Callable[[str], None] | None = None,
    ) -> None:
        self.problem = problem
        self.tolerance = positive("tolerance", tolerance)
        self.progress = progress
        self.solutions: dict[float, Solution] = {}
        self.outputs: dict[float, tuple[list[NDArray[np.float64]], Tensor]] = {}
        self.file = cache_file("bounds", problem.key, ".npz")
        self._load()

    def bracket(self, distortion: float, tolerance: float | None = None) -> Bracket:
        """Return bounds on R(D), solving for new slopes where they are too far apart."""
        tolerance = self.tolerance if tolerance is None else positive("tolerance", tolerance)
        total = positive("distortion", distortion) * self.problem.dimension
        accuracy = tolerance * self.problem.dimension * NATS / 2
        for _ in range(12):
            bracket = self._known(total)
            if _width(bracket) <= tolerance:
                break
            slope = self._next(total)
            if slope > self.problem.slope_max and _width(bracket) < math.inf:
                break
            if slope in self.solutions:
                accuracy /= 2
            self._solve(slope, accuracy)
        return bracket

    def _known(self, total: float) -> Bracket:
        """Return the bracket at a total distortion that the solved slopes give, in bits."""
        dimension, d_max = self.problem.dimension, self.problem.d_max
        if total >= d_max:
            return Bracket(0.0, 0.0)
        lines = [s.lower - s.slope * total for s in self.solutions.values()]
        lower, upper = max(0.0, 0.0, *lines), math.inf
        if dimension / 2 / total > self.problem.slope_max:
            # Too fine for a grid. Shannon's lower bound and the Gaussian upper bound remain,
            # and at such rates the first is nearly tight.
            shannon = self.problem.entropy - dimension / 2 * math.log(
                2 * math.pi * math.e * total / dimension
            )
            lower = max(lower, shannon)
            upper = dimension / 2 * math.log(d_max / total)
        points = [tuple(p) for s in self.solutions.values() for p in s.points] + [(d_max, 0.0)]
        hull: list[tuple[float, float]] = []
        for d, r in sorted(points):
            while len(hull) > 1 and (hull[-1][1] - hull[-2][1]) * (d - hull[-2][0]) >= (
                r - hull[-2][1]
            ) * (hull[-1][0] - hull[-2][0]):
                hull.pop()
            hull.append((d, r))
        if hull[0][0] <= total:
            upper = min(upper, float(np.interp(total, [d for d, _ in hull], [r for _, r in hull])))
        scale = dimension * NATS
        return Bracket(min(lower, upper) / scale, upper / scale)

    def _next(self, total: float) -> float:
        """Return a slope whose point should lie at this total distortion."""
        # D falls as the slope grows, nearly as 1 / slope: interpolate the logarithms.
        known = sorted((s, v.points[1, 0]) for s, v in self.solutions.items())
        below = [(s, d) for s, d in known if d > total]
        above = [(s, d) for s, d in known if d <= total]
        if not known:
            return self.problem.dimension / 2 / total
        if not below:
            return above[0][0] * min(above[0][1] / total, 0.9)
        if not above:
            return below[-1][0] * max(below[-1][1] / total, 1.1)
        (s0, d0), (s1, d1) = below[-1], above[0]
        t = math.log(d0 / total) / math.log(d0 / d1)
        return s0 * (s1 / s0) ** t

    def _solve(self, slope: float, accuracy: float) -> None:
        nearest = min(self.outputs, key=lambda s: abs(math.log(s / slope)), default=None)
        start = None if nearest is None else self.outputs[nearest]
        if nearest is not None and abs(math.log(nearest / slope)) > 1:
            start = None
        solution, output = self.problem.solve(slope, accuracy, start)
        self.solutions[slope], self.outputs[slope] = solution, output
        if self.progress:
            d, r = solution.points[1] / self.problem.dimension
            self.progress(f"slope {slope:.4g}: D = {d:.4g}, R = {r / NATS:.4f} bits")
        self._save()

    def _load(self) -> None:
        try:
            with np.load(self.file, allow_pickle=False) as data:
                table, points = data["table"], data["points"]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return  # nothing there yet, or nothing that can be used
        for (slope, lower), reached in zip(table, points, strict=True):
            old = self.solutions.get(slope)
            if old is None or lower > old.lower:
                self.solutions[float(slope)] = Solution(float(slope), float(lower), reached)

    def _save(self) -> None:
        self._load()  # what other processes have found meanwhile
        known = list(self.solutions.values())
        with atomic_write(self.file) as path, path.open("wb") as file:
            np.savez(
                file,
                table=np.array([(s.slope, s.lower) for s in known]),
                points=np.array([s.points for s in known]),
            )
