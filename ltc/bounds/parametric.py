"""R(D) between the lines that support it and the points that can be reached."""

import logging
import math
import zipfile

import numpy as np
from numpy.typing import NDArray

from ltc.bounds.curve import Bracket, Progress, RateDistortion, checked
from ltc.bounds.problem import Problem, Solution
from ltc.checks import number
from ltc.errors import InputError
from ltc.files import atomic_write, cache_file

__all__ = ["ParametricRateDistortion"]

NATS = math.log(2)
log = logging.getLogger("ltc")


class ParametricRateDistortion(RateDistortion):
    """R(D) along its slopes: bracketed by minimising R + s D at as many slopes s as it takes.

    Each slope yields a supporting line R >= lower - s D and reachable points (D, R). At any D the
    largest line is a lower bound, and so is Shannon's. The lower convex hull of the points is an
    upper bound, because one may code a part of the time at one point and the rest at another.
    Left of the hull's first point (D0, R0) the upper bound is R0 + d/p ln(D0 / D), which goes on
    convex: the minimum of R + s D is d/p ln s plus a constant and the least cross-entropy between
    the source and a distribution blurred by noise of the density exp(-s cost), which falls as
    there is less of it if it is `decomposable`; hence -dR/dD = s <= d / pD, for every source and
    its unrestricted outputs. For other distortions there is no upper bound left of that point.

    Slopes are added where a bracket is asked for until it is narrow enough, and kept in the disk
    cache.

    Arguments:
        problem: the source and the way in which the minimum is found.
        tolerance: how wide a bracket may be, bits per scalar.
        progress: called with a line of text and the share of the work at this slope that is done.

    Raises:
        InputError: `tolerance` is not a positive number.

    Reference:
        Berger: Rate Distortion Theory (1971), section 2.5: the parametric representation.

    Example:
        >>> import scipy.stats
        >>> from ltc.bounds import DensityProblem
        >>> from ltc.bounds.quadrature import scalar_density
        >>> problem = DensityProblem(scalar_density(scipy.stats.norm()))
        >>> lower, upper = ParametricRateDistortion(problem).bracket(0.25)
        >>> lower <= 1 <= upper, upper - lower < 0.0005
        (True, True)
    """

    def __init__(
        self, problem: Problem, tolerance: float = 5e-4, progress: Progress | None = None
    ) -> None:
        self.problem = problem
        self.name, self.names = problem.name, problem.names
        self.note, self.about = problem.note, problem.about
        self.tolerance = number("tolerance", tolerance)
        # R(D) falls at high rate like so many times the logarithm of D.
        self.order = problem.dimension / problem.cost.power if problem.cost.power else math.inf
        self.progress = progress
        self.solutions: dict[float, Solution] = {}
        self._asked: dict[float, float] = {}
        self.file = cache_file("bounds", problem.key, ".npz")
        self.stores = True  # until it turns out that the cache cannot be written
        self._load()

    def bracket(self, distortion: float, tolerance: float | None = None) -> Bracket:
        """Return bounds on R(D), solving for new slopes where they are too far apart.

        Raises:
            InputError, RuntimeError: the bounds contradict each other (see `checked`).
        """
        problem = self.problem
        tolerance = self.tolerance if tolerance is None else number("tolerance", tolerance)
        total = number("distortion", distortion, closed=True) * problem.dimension
        if total == 0:
            rate = problem.lossless and problem.lossless / (problem.dimension * NATS)
            return Bracket(rate, rate)
        before = len(self.solutions)
        try:
            lower, upper = self._narrow(total, tolerance)
        finally:
            if self.progress and len(self.solutions) > before:
                self.progress(f"{len(self.solutions)} slopes", 1.0)
        return checked(lower, None if upper == math.inf else upper, self.name, problem.proof)

    def dispersion(self, distortion: float) -> float | None:
        """Return V(D), interpolated between slopes whose distortions are close."""
        problem = self.problem
        if not problem.proof:
            return super().dispersion(distortion)
        total = number("distortion", distortion) * problem.dimension
        if total >= problem.d_max:
            return None
        for attempt in range(8):
            known = [s.middle[0] for s in self.solutions.values()]
            if any(abs(math.log(d / total)) < 0.02 for d in known if d > 0):
                break
            slope = problem.choose(self._next(total, attempt))
            if slope in self.solutions:
                break  # the steepest that there is
            self._solve(slope, self.tolerance * problem.dimension * NATS / 2)
        found = sorted((s.middle[0], s.dispersion) for s in self.solutions.values())
        nats = np.interp(total, *np.array(found).T)
        return float(nats) / (problem.dimension * NATS**2)

    def estimate(self, distortion: float) -> float | None:
        """Return a lower bound; None where a slope takes more time than a progress bar has."""
        if not self.problem.proof:
            return None
        shown, self.progress = self.progress, None  # one progress bar is enough
        try:
            return super().estimate(distortion)
        finally:
            self.progress = shown

    def _narrow(self, total: float, tolerance: float) -> tuple[float, float]:
        """Solve for slopes until the bounds are close enough, and return them."""
        problem = self.problem
        # The rest of the tolerance is for the way from a slope's own distortion to this one.
        accuracy = 0.7 * tolerance * problem.dimension * NATS
        lower, upper = self._known(total)
        slope = problem.choose(self.order / total)
        for attempt in range(20):
            if upper - lower <= tolerance:
                break
            slope = problem.choose(self._next(total, attempt))
            if slope in self.solutions and (not problem.proof or slope == problem.slope_max):
                break  # all that there is
            closest = min((abs(math.log(slope / s)) for s in self.solutions), default=math.inf)
            if closest < 1e-3:
                asked, reached = self._nearest(slope)
                if asked <= accuracy and reached > 2 * asked:
                    break  # all that the problem can do
                accuracy /= 2
                if accuracy < 0.05 * tolerance * problem.dimension * NATS:
                    break
            # Far from the goal a rough answer will do, to find the slope.
            near = any(abs(s.middle[0] - total) < 0.5 * total for s in self.solutions.values())
            self._solve(slope, accuracy if near else 10 * accuracy)
            lower, upper = self._known(total)
        # Confidence limits are loose at steep slopes: the lines of flatter ones may say more.
        best = -math.inf
        while not problem.proof and lower > best:
            best = lower
            slope = problem.choose(slope / 1.5)
            if slope not in self.solutions:
                self._solve(slope, accuracy)
            lower, upper = self._known(total)
        return lower, upper

    def _known(self, total: float) -> tuple[float, float]:
        """Return the bounds, in bits per scalar, that the solved slopes give."""
        problem = self.problem
        if total >= problem.d_max:
            return 0.0, 0.0
        lines = [s.lower - s.slope * total for s in self.solutions.values()]
        lower = max([0.0, problem.shannon(total), *lines])
        hull = self._hull()
        (d0, r0), scale = hull[0], problem.dimension * NATS
        if total >= d0:
            upper = float(np.interp(total, *hull.T))
        elif problem.cost.decomposable:
            upper = r0 + self.order * math.log(d0 / total)
        else:
            upper = math.inf
        return float(lower) / scale, float(upper) / scale

    def _nearest(self, slope: float) -> tuple[float, float]:
        """Return how close the ends should be at the solved slope next to one, and are, nats."""
        found = min(self.solutions.values(), key=lambda s: abs(math.log(s.slope / slope)))
        reached = float(found.middle @ [found.slope, 1.0]) - found.lower
        return self._asked.get(found.slope, math.inf), reached

    def _hull(self) -> NDArray[np.float64]:
        """Return the corners (D, R) of the lower convex hull of all that can be reached."""
        problem = self.problem
        points = [(problem.d_max, 0.0)]
        if problem.lossless is not None and problem.lossless < math.inf:
            points.append((0.0, problem.lossless))
        for solution in self.solutions.values():
            points.extend((float(d), float(r)) for d, r in solution.points)
        hull: list[tuple[float, float]] = []
        for d, r in sorted(points):
            while len(hull) > 1 and (hull[-1][1] - hull[-2][1]) * (d - hull[-2][0]) >= (
                r - hull[-2][1]
            ) * (hull[-1][0] - hull[-2][0]):
                hull.pop()
            hull.append((d, r))
        # A first corner above what the second one implies would make the continuation concave.
        while len(hull) > 1 and hull[0][0] > 0:
            (d0, r0), (d1, r1) = hull[:2]
            if r0 <= r1 + self.order * math.log(d1 / d0):
                break
            del hull[0]
        return np.array(hull)

    def _next(self, total: float, attempt: int) -> float:
        """Return a slope whose point should lie close to this total distortion."""
        known = sorted((s, v.middle[0]) for s, v in self.solutions.items())
        flatter = [(s, d) for s, d in known if d > total]
        steeper = [(s, d) for s, d in known if d <= total]
        if not known:
            # As if every dimension had a share in the rate.
            return min(self.order, self.problem.lossless or self.order) / total
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
            return steeper[0][0] * min(max(steeper[0][1] / total, 0.05), 0.9)
        if not steeper:
            return flatter[-1][0] * max(flatter[-1][1] / total, 1.1)
        (s0, d0), (s1, d1) = flatter[-1], steeper[0]
        share = math.log(d0 / total) / math.log(d0 / max(d1, 1e-12 * self.problem.d_max))
        return float(s0 * (s1 / s0) ** share)

    def _solve(self, slope: float, accuracy: float) -> None:
        near = [s for s in self.solutions if 0.7 < s / slope < 1.4]
        nearest = min(near, key=lambda s: abs(math.log(s / slope)), default=None)
        start = None if nearest is None else self.solutions[nearest]
        if self.progress:
            self.progress(f"slope {slope:.4g}", 0.0)
        self._keep(self.problem.solve(slope, accuracy, start))
        self._asked[slope] = accuracy
        self._store()

    def _store(self) -> None:
        if not self.stores:
            return
        self._load()  # what other processes have found meanwhile
        known = list(self.solutions.values())
        try:
            with atomic_write(self.file) as path, path.open("wb") as file:
                np.savez(
                    file,
                    lines=np.array([(s.slope, s.lower, s.dispersion) for s in known]),
                    points=np.array([s.points for s in known]),
                )
        except (InputError, OSError) as error:  # nobody loses a result for want of a cache
            self.stores = False
            log.warning("R(D) is not kept for the next time, which LTC_CACHE=DIR does: %s", error)

    def _keep(self, solution: Solution) -> None:
        old = self.solutions.get(solution.slope)
        if old is None or solution.lower > old.lower:
            self.solutions[solution.slope] = solution

    def _load(self) -> None:
        try:
            with np.load(self.file, allow_pickle=False) as data:
                lines, points = data["lines"], data["points"]
            if lines.shape != (len(points), 3) or points.ndim != 3:
                return
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, RuntimeError):
            return  # nothing there yet, or nothing that can be used: of a later zip, encrypted
        for (slope, lower, dispersion), reached in zip(lines, points, strict=True):
            self._keep(Solution(float(slope), float(lower), reached, None, float(dispersion)))
