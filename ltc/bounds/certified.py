"""R(D) between the lines that support it and the points that can be reached."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ltc.bounds.curve import Bracket, RateDistortion, positive
from ltc.bounds.problem import Problem, Solution
from ltc.errors import InputError
from ltc.files import atomic_write, cache_file

__all__ = ["CertifiedRateDistortion"]

NATS = math.log(2)


class CertifiedRateDistortion(RateDistortion):
    """R(D) bracketed by solving the Lagrangian at as many slopes as it takes.

    Each slope s yields a supporting line R >= lower - s D and reachable points (D, R). At any D
    the largest line is a lower bound; the lower convex hull of the points is an upper bound,
    because one may code a part of the time at one point and the rest at another. Slopes are
    added where a bracket is asked for until it is narrow enough, and kept in the disk cache.

    Arguments:
        problem: the source and the distortion measure.
        tolerance: how wide a bracket may be, bits per scalar.
        progress: called with a line of text at each new slope.

    Raises:
        InputError: `tolerance` is not a positive number.

    Example:
        >>> import scipy.stats
        >>> from ltc.bounds import problem_of_scalar
        >>> problem = problem_of_scalar(scipy.stats.norm(), {"density": "norm"})
        >>> lower, upper = CertifiedRateDistortion(problem).bracket(0.25)
        >>> lower <= 1 <= upper, upper - lower < 0.0005
        (True, True)
    """

    def __init__(
        self,
        problem: Problem,
        tolerance: float = 5e-4,
        progress: Callable[[str], None] | None = None,
    ) -> None:
        self.problem = problem
        self.name = problem.name
        self.tolerance = positive("tolerance", tolerance)
        self.progress = progress
        self.solutions: dict[float, Solution] = {}
        self.file = cache_file("bounds", problem.key, ".npz")
        self._load()

    def bracket(self, distortion: float, tolerance: float | None = None) -> Bracket:
        """Return bounds on R(D), solving for new slopes where they are too far apart.

        Arguments:
            distortion: D per scalar; zero is allowed for discrete sources.
            tolerance: how wide the bracket may be; None: as the object was made.

        Raises:
            InputError: `distortion` is no number, or no code has so small a distortion.
        """
        problem = self.problem
        tolerance = self.tolerance if tolerance is None else positive("tolerance", tolerance)
        total = distortion * problem.dimension
        least = problem.d_min
        if not least <= total < math.inf or (total == least and problem.r_max == math.inf):
            raise InputError(
                f"distortion={distortion}; expected a finite number "
                f"{'above' if problem.r_max == math.inf else 'of at least'} "
                f"{least / problem.dimension:g}"
            )
        # The rest of the tolerance is for the way from a slope's own distortion to this one.
        accuracy = 0.7 * tolerance * problem.dimension * NATS
        lower, upper = self._known(total)
        for attempt in range(20):
            slope = self._next(total, attempt)
            if slope > problem.slope_max:
                slope = problem.slope_max
                if problem.r_max == math.inf:
                    break  # the bounds that need no solving are all there is
            if upper - lower <= tolerance:
                break
            slope = problem.choose(slope)
            closest = min((abs(math.log(slope / s)) for s in self.solutions), default=math.inf)
            if closest < 0.05 and not problem.refinable:
                break
            if closest < 1e-3:
                accuracy /= 2
                if accuracy < 0.05 * tolerance * problem.dimension * NATS:
                    break
            # Far from the goal a rough answer will do, to find the slope.
            near = any(abs(s.middle[0] - total) < 0.5 * total for s in self.solutions.values())
            self._solve(slope, accuracy if near else 10 * accuracy)
            lower, upper = self._known(total)
        return Bracket(float(lower), float(upper))

    def limits(self, distortion: float, tolerance: float | None = None) -> dict[str, float]:
        """Return both bounds by the names that the problem gives them."""
        named = zip("≥≤", self.problem.names, self.bracket(distortion, tolerance), strict=True)
        return {f"{sign} {name}": value for sign, name, value in named if value is not None}

    def estimate(self, distortion: float) -> float | None:
        """Return a lower bound; None where a slope takes more time than a progress bar has."""
        return super().estimate(distortion) if self.problem.refinable else None

    def _known(self, total: float) -> tuple[float, float]:
        """Return the bounds, in bits per scalar, that the solved slopes give."""
        problem = self.problem
        if total >= problem.d_max:
            return 0.0, 0.0
        lower = max([0.0] + [s.lower - s.slope * total for s in self.solutions.values()])
        hull = self._hull()
        upper = float(np.interp(total, *hull.T)) if total >= hull[0, 0] else math.inf
        if self._guess(total) > problem.slope_max:  # perhaps too fine to compute
            without_solving = problem.known(total)
            lower, upper = max(lower, without_solving[0]), min(upper, without_solving[1])
        scale = problem.dimension * NATS
        # Sums in double precision; more than they lose is a contradiction.
        if lower > upper + 1e-6 * scale:
            reason = "a bug in ltc" if problem.refinable else "by chance: take more samples"
            raise RuntimeError(
                f"{self.name}: the lower limit, {lower / scale} bits, is above the upper one, "
                f"{upper / scale} bits, at distortion {total / problem.dimension}: {reason}"
            )
        return min(lower, upper) / scale, upper / scale

    def _guess(self, total: float) -> float:
        """Return the slope if every dimension had a share in the rate, as at high rate."""
        shares = min(self.problem.dimension / 2, self.problem.r_max)
        return shares / max(total - self.problem.d_min, 1e-300)

    def _hull(self) -> NDArray[np.float64]:
        """Return the corners (D, R) of the lower convex hull of all that can be reached."""
        points = [(self.problem.d_max, 0.0)]
        if self.problem.r_max < math.inf:
            points.append((self.problem.d_min, self.problem.r_max))
        for solution in self.solutions.values():
            points.extend((float(d), float(r)) for d, r in solution.points)
        hull: list[tuple[float, float]] = []
        for d, r in sorted(points):
            while len(hull) > 1 and (hull[-1][1] - hull[-2][1]) * (d - hull[-2][0]) >= (
                r - hull[-2][1]
            ) * (hull[-1][0] - hull[-2][0]):
                hull.pop()
            hull.append((d, r))
        return np.array(hull)

    def _next(self, total: float, attempt: int) -> float:
        """Return a slope whose point should lie close to this total distortion."""
        floor = self.problem.d_min
        known = sorted((s, v.middle[0] - floor) for s, v in self.solutions.items())
        target = max(total - floor, 1e-12 * self.problem.d_max)
        flatter = [(s, d) for s, d in known if d > target]
        steeper = [(s, d) for s, d in known if d <= target]
        if not known:
            return self._guess(total)
        if attempt % 2 and attempt > 2 and steeper:
            # The chord of the hull: its tangent touches R(D) between the chord's ends, so this
            # makes progress even where D jumps as the slope changes.
            hull = self._hull()
            right = min(max(int(np.searchsorted(hull[:, 0], total)), 1), len(hull) - 1)
            (d0, r0), (d1, r1) = hull[right - 1], hull[right]
            if r0 > r1:
                return float((r0 - r1) / (d1 - d0))
        # D falls as the slope grows, nearly as one over it: interpolate the logarithms.
        if not flatter:
            return steeper[0][0] * min(max(steeper[0][1] / target, 0.05), 0.9)
        if not steeper:
            return flatter[-1][0] * max(flatter[-1][1] / target, 1.1)
        (s0, d0), (s1, d1) = flatter[-1], steeper[0]
        share = math.log(d0 / target) / math.log(d0 / max(d1, 1e-12 * self.problem.d_max))
        return float(s0 * (s1 / s0) ** share)

    def _solve(self, slope: float, accuracy: float) -> None:
        near = [s for s in self.solutions if 0.7 < s / slope < 1.4]
        nearest = min(near, key=lambda s: abs(math.log(s / slope)), default=None)
        start = None if nearest is None else self.solutions[nearest]
        solution = self.problem.solve(slope, accuracy, start)
        self._keep(solution)
        if self.progress:
            d, r = solution.middle / self.problem.dimension
            self.progress(f"slope {slope:.4g}: D = {d:.4g}, R = {r / NATS:.4f} bits")
        self._store()

    def _store(self) -> None:
        self._load()  # what other processes have found meanwhile
        known = list(self.solutions.values())
        with atomic_write(self.file) as path, path.open("wb") as file:
            np.savez(
                file,
                lines=np.array([(s.slope, s.lower) for s in known]),
                points=np.array([s.points for s in known]),
            )

    def _keep(self, solution: Solution) -> None:
        old = self.solutions.get(solution.slope)
        if old is None or solution.lower > old.lower:
            self.solutions[solution.slope] = solution

    def _load(self) -> None:
        try:
            with np.load(self.file, allow_pickle=False) as data:
                lines, points = data["lines"], data["points"]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return  # nothing there yet, or nothing that can be used
        for (slope, lower), reached in zip(lines, points, strict=True):
            self._keep(Solution(float(slope), float(lower), reached))
