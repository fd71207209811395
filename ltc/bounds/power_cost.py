"""What bounds need to know of a distortion, all of it from its cost."""

import math
from typing import Any

import numpy as np
import scipy.optimize
import torch
from numpy.typing import NDArray
from torch import Tensor

from ltc.checks import digest
from ltc.distortion import Distortion, Squared
from ltc.errors import InputError

__all__ = ["Cost"]

Array = NDArray[np.float64]


class Cost:
    """The cost of an error, c |e|^p, where c may depend on the sign of e.

    Noise of the density exp(-s cost(e)) / (C s^(-1/p)) has the largest entropy of all errors that
    cost as much; it is what a bound at the slope s blurs with.

    Attributes:
        power: p; 0 for a cost of being wrong at all (Hamming).
        squared: the cost is e^2.
        decomposable: such noise is noise of a steeper slope plus something independent, as
            Gaussian and Laplacian noise are: Shannon's lower bound is then attained by sources of
            that density, and R(D) + d/p ln D never rises with D.
        key: for the cache.

    Arguments:
        distortion: only its cost is asked for.

    Raises:
        InputError: the cost is not homogeneous.

    Example:
        >>> from ltc.distortion import Absolute
        >>> cost = Cost(Absolute())
        >>> cost.power, cost(np.array([-2.0, 1.0]))
        (1.0, array([2., 1.]))
    """

    def __init__(self, distortion: Distortion | None = None) -> None:
        self.distortion = distortion or Squared()
        at = np.array([-4.0, -2.0, -1.0, 0.0, 1.0, 2.0, 4.0])
        found = self(at)
        self.below, self.above = float(found[2]), float(found[4])
        power = math.log2(found[5] / found[4]) if min(found[4], found[5]) > 0 else math.nan
        expected = np.where(at < 0, self.below, self.above) * np.where(at, np.abs(at) ** power, 0)
        if not power >= 0 or not self.below > 0 or not np.allclose(found, expected):
            raise InputError(
                f"distortion={getattr(self.distortion, 'name', self.distortion)} costs {found} for "
                f"errors of {at}; a bound needs a cost like c |e|^p"
            )
        self.power = round(power, 9)
        self.squared = self.power == 2 and self.below == self.above == 1
        symmetric = self.below == self.above
        self.decomposable = self.power == 1 or (self.power == 2 and symmetric)
        self.key = digest(found)

    def __call__(self, error: Array) -> Array:
        """Return what each error costs, any shape."""
        cost: Array = self.distortion.cost(torch.from_numpy(np.asarray(error, float))).numpy()
        return cost

    def between(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the distortions d(x, y) of vectors, shapes (n, d) and (k, d) to (n, k)."""
        if self.below == self.above and self.power > 0:
            return self.above * torch.cdist(x, y, self.power).pow(self.power)
        total = x.new_zeros(len(x), len(y))
        for a, b in zip(x.T, y.T, strict=True):
            total += self.distortion.cost(a[:, None] - b)
        return total

    def width(self, slope: float) -> float:
        """Return the scale of exp(-slope cost): the standard deviation if the error is squared."""
        if self.power == 0:
            return 0.0
        return float((self.power * slope * min(self.below, self.above)) ** (-1 / self.power))

    def slope(self, width: float) -> float:
        """Return the slope of a width."""
        return 1 / ((self.power or 1) * min(self.below, self.above) * width**self.power)

    def reach(self, exponent: float, slope: float) -> float:
        """Return the error from which on slope * cost is above an exponent."""
        least = min(self.below, self.above)
        return float((exponent / (slope * least)) ** (1 / self.power))

    def spacing(self, excess: float, slope: float, extent: float) -> float:
        """Return how close points must be so that log c between them exceeds theirs by `excess`.

        c(y) = sum_x w(x) exp(-slope cost(x - y)). For y between a and b, by Hoelder's inequality,
        log c(y) is at most the larger of log c(a), log c(b) plus slope times what the cost's chord
        from a to b is above the cost: (h / 2)^p at most for p <= 2, about the error zero.

        Arguments:
            excess: nats.
            slope: nats per unit of distortion.
            extent: the largest error.
        """
        p, most = self.power, max(self.below, self.above)
        if p <= 2:
            return 2 * float((excess / (slope * most)) ** (1 / p))
        return math.sqrt(8 * excess / (slope * most * p * (p - 1) * extent ** (p - 2)))

    def entropy(self, distortion: float) -> float:
        """Return the largest entropy of an error that costs `distortion` in the mean, nats."""
        p = self.power
        constant = math.gamma(1 + 1 / p) * (self.below ** (-1 / p) + self.above ** (-1 / p))
        return math.log(constant) + math.log(math.e * p * distortion) / p

    def of_gaussian(self, variance: float, rates: Array) -> Array:
        """Return where Shannon's lower bound of a Gaussian source is so many bits per scalar.

        Example:
            >>> Cost().of_gaussian(1.0, np.array([0.5, 1.0]))
            array([0.5 , 0.25])
        """
        if self.power == 0:
            return 2.0**-rates
        most = 0.5 * math.log(2 * math.pi * math.e * variance)
        found: Array = np.exp(self.power * (most - self.entropy(1.0))) * 2 ** (-self.power * rates)
        return found

    def centre(self, x: Array, p: Array) -> tuple[float, float]:
        """Return the best constant for values x of weights p, shapes (n,), and what it costs."""
        if self.squared:
            mean = float(p @ x / p.sum())
            return mean, float(p @ (x - mean) ** 2)
        x, index = np.unique(x, return_inverse=True)
        p = np.bincount(index, p).astype(float)

        def total(y: float) -> float:
            return float(p @ self(x - y))

        # The best of so many values, and of what is between its neighbours.
        some = x[np.unique(np.linspace(0, len(x) - 1, 257).astype(int))]
        costs = [total(y) for y in some]
        best = int(np.argmin(costs))
        around = float(some[max(best - 1, 0)]), float(some[min(best + 1, len(some) - 1)])
        found = float(some[best]), costs[best]
        if around[0] == around[1]:
            return found
        inner: Any = scipy.optimize.minimize_scalar(total, bounds=around, method="bounded")
        return min(found, (float(inner.x), float(inner.fun)), key=lambda pair: pair[1])
