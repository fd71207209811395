"""One slope of a rate-distortion function: what is asked and what is answered."""

import math
from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ltc.bounds.power_cost import Cost

__all__ = ["Problem", "Solution"]

Array = NDArray[np.float64]


class Solution(NamedTuple):
    """What one slope says of R(D), per source vector and in nats.

    Attributes:
        slope: s, nats per unit of distortion.
        lower: R + s D is at least this for every code.
        points: pairs (D, R) that codes reach, shape (count, 2); the middle one is at this slope.
        output: the output distribution, for the same problem to start a neighbouring slope from.
        dispersion: the variance of the d-tilted information -log Z(x), nats squared; NaN where it
            is not computed.
    """

    slope: float
    lower: float
    points: Array
    output: Any = None
    dispersion: float = math.nan

    @property
    def middle(self) -> Array:
        """The pair (D, R) at this slope."""
        point: Array = self.points[len(self.points) // 2]
        return point


class Problem(ABC):
    """A source under a distortion, reproduced by any vectors: the minimum of R + s D.

    All numbers are per source vector and in nats.

    Attributes:
        name: how the numbers come about, as shown in tables and figures.
        names: the same for the lower and for the upper bound.
        about: what is done, in a line.
        note: why a bracket may be wider than what was asked for.
        proof: both ends are proof, and a smaller tolerance brings them closer; otherwise they
            are confidence limits.
        dimension: scalars per source vector.
        cost: what an error costs.
        lossless: the rate at distortion zero: the entropy of a discrete source, infinite for a
            density, None where it is not known.
        d_max: the least distortion at rate zero.
        slope_max: the steepest slope that can be computed.
        key: all that the answers depend on, as JSON values.
    """

    name: str
    names: tuple[str, str] = ("lower bound", "upper bound")
    about: str
    note: str
    proof = True
    dimension: int
    cost = Cost()
    lossless: float | None
    d_max: float
    slope_max: float
    key: dict[str, Any]

    @abstractmethod
    def solve(self, slope: float, tolerance: float, start: Solution | None = None) -> Solution:
        """Bracket the minimum of R + slope * D.

        Arguments:
            slope: s > 0, nats per unit of distortion.
            tolerance: how far apart the bounds should be, nats; what they say holds in any case.
            start: the solution at a slope nearby.
        """

    def choose(self, slope: float) -> float:
        """Return the slope that is solved where this one would serve best."""
        return min(slope, self.slope_max)

    def shannon(self, distortion: float) -> float:
        """Return Shannon's lower bound, nats per vector, at D > 0; zero without a density."""
        return 0.0
