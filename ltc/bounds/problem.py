"""One slope of a rate-distortion function: what is asked and what is answered."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Problem", "Solution", "steepest_slope"]

Array = NDArray[np.float64]


class Solution(NamedTuple):
    """What one slope says of R(D), per source vector and in nats.

    Attributes:
        slope: s, nats per unit of distortion.
        lower: R + s D is at least this for every code.
        points: pairs (D, R) that codes reach, shape (count, 2); the middle one is at this slope.
        output: the output distribution, to start a neighbouring slope from: letters or points
            with their probabilities in the last column, shape (m, ...).
    """

    slope: float
    lower: float
    points: Array
    output: Array | None = None

    @property
    def middle(self) -> Array:
        """The pair (D, R) at this slope."""
        point: Array = self.points[len(self.points) // 2]
        return point


def steepest_slope(distortions: Array) -> float:
    """Return the slope at which a matrix of distortions tells all of its values apart.

    Values that differ in the last places only are equal up to rounding.

    Arguments:
        distortions: of each source letter and output, any shape.

    Returns:
        Nats per unit of distortion: the least difference is worth 700 nats, e^-700 being the
        smallest float64 with all its digits.

    Example:
        >>> round(steepest_slope(np.array([0.0, 1.0, 1.0 + 1e-15, 3.0])), 6)
        700.0
    """
    gaps = np.diff(np.unique(distortions))
    return 700 / float(gaps[gaps > 1e-9 * gaps.max()].min())


class Problem(ABC):
    """A source with a distortion measure. All numbers are per source vector and in nats.

    Attributes:
        name: how the numbers come about, as shown in tables and figures.
        names: the same for the lower and for the upper bound.
        refinable: a smaller tolerance gives tighter bounds.
        dimension: scalars per source vector.
        d_min: no code has a smaller distortion.
        r_max: this rate suffices for `d_min`; infinite for a density.
        d_max: the least distortion at rate zero.
        slope_max: the steepest slope that can be computed.
        key: all that the rate-distortion function depends on, as JSON values.
    """

    name = "certified bracket"
    names = ("certified lower bound", "certified upper bound")
    refinable = True
    dimension: int
    d_min: float
    r_max: float
    d_max: float
    slope_max: float
    key: dict[str, Any]

    @abstractmethod
    def solve(self, slope: float, tolerance: float, start: Solution | None = None) -> Solution:
        """Bracket the minimum of R + slope * D.

        Arguments:
            slope: s > 0, nats per unit of distortion.
            tolerance: how far apart the bounds should be, nats. What was reached is in the
                solution, and is certified in any case.
            start: the solution at a slope nearby.
        """

    def choose(self, slope: float) -> float:
        """Return the slope to solve for when one is wanted: that itself, where any will do."""
        return slope

    def known(self, distortion: float) -> tuple[float, float]:
        """Return bounds of R(D), nats, that need no computation: a lower and an upper one.

        Arguments:
            distortion: D, per vector, above `d_min`.
        """
        return 0.0, math.inf
