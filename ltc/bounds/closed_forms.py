"""Closed forms: reverse water-filling, and Shannon's lower bound where it is attained."""

import math
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ltc.bounds.curve import Bracket, RateDistortion
from ltc.bounds.perception import GaussianPerception
from ltc.bounds.power_cost import Cost
from ltc.checks import number
from ltc.errors import InputError

__all__ = ["ReverseWaterFilling", "ShannonLowerBound"]

NATS = math.log(2)


class ReverseWaterFilling(RateDistortion):
    """R(D) of a Gaussian vector under squared error, or an upper bound of any other vector's.

    Each component of variance v gets the distortion min(level, v) and the rate
    max(0, 1/2 log2(v / level)); the level is where the distortions add up.
    (Shannon 1949; Kolmogorov 1956; Cover and Thomas, Elements of Information Theory, theorem
    10.3.3.) Among all sources with one covariance the Gaussian has the largest R(D) at every D
    (Berger 1971, chapter 4: the Gaussian test channel proves it),
    so the same formula bounds any source from above.

    Arguments:
        covariance: the covariance matrix, shape (d, d).
        exact: the source is Gaussian; otherwise only the upper bound holds.

    Raises:
        InputError: the matrix is not a finite, symmetric, positive semidefinite one, or it is
            zero (a constant source needs no bits at any distortion).

    Example:
        >>> bound = ReverseWaterFilling([[1.0, 0.9], [0.9, 1.0]])
        >>> lower, upper = bound.bracket(0.1)
        >>> lower == upper, round(lower, 4)
        (True, 1.062)
    """

    def __init__(self, covariance: ArrayLike | Any, exact: bool = True) -> None:
        matrix: NDArray[np.float64] = np.asarray(covariance, dtype=float)
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.size == 0:
            raise InputError(f"covariance has shape {matrix.shape}; expected (d, d)")
        if not np.isfinite(matrix).all() or not np.allclose(matrix, matrix.T):
            raise InputError("covariance is not a finite symmetric matrix; check it for NaN")
        variances = np.linalg.eigvalsh(matrix)
        if variances[-1] == 0 == variances[0]:
            raise InputError("the covariance is zero: a constant source has R(D) = 0 everywhere")
        if variances[0] < -1e-9 * max(variances[-1], 0.0):
            raise InputError(
                f"covariance has the eigenvalue {variances[0]:.3g}; expected none below zero"
            )
        self.variances = np.maximum(variances, 0.0)
        self.exact = exact
        if exact:
            self.name = "reverse water-filling"
            self.about = "closed form, which Blahut-Arimoto (bound=blahut_arimoto) tends to"
        else:
            self.name = "Gaussian upper bound"
            self.about = "closed form: no vector of this covariance needs more"
            self.note = (
                "only a Gaussian source is known to need as much; bound=samples finds a lower limit"
            )

    def at_perception(self, perception: float, common_bits: float) -> RateDistortion:
        """Return R(D, P) of Gaussian components that are alike, otherwise R(D)."""
        variance = float(self.variances[-1])
        if not self.exact or not np.allclose(self.variances, variance):
            return self
        return GaussianPerception(variance, perception, common_bits)

    def bracket(self, distortion: float, tolerance: float | None = None) -> Bracket:
        """Return R(D), or the upper bound alone where the source is not known to be Gaussian.

        At distortion zero that is infinity, or no bound at all.
        """
        if number("distortion", distortion, closed=True) == 0:
            return Bracket(math.inf, math.inf) if self.exact else Bracket(None, None)
        v = self.variances
        rate = float(np.log2(np.maximum(v / self._level(distortion), 1.0)).sum() / (2 * len(v)))
        return Bracket(rate if self.exact else None, rate)

    def dispersion(self, distortion: float) -> float | None:
        """Return V(D): log2(e)^2 / 2 times the mean of min(1, v / level)^2 over components.

        That is log2(e)^2 / 2 for i.i.d. scalars (Kostina and Verdu, IEEE Trans. Inform. Theory 58,
        2012); for components it is the formula of Tian and Kostina, *The dispersion of the
        Gauss-Markov source*, IEEE Trans. Inform. Theory 65, 2019.
        """
        if not self.exact:
            return super().dispersion(distortion)
        level = self._level(number("distortion", distortion))
        if level >= self.variances[-1]:
            return None
        return float((np.minimum(1.0, self.variances / level) ** 2).mean()) / (2 * NATS**2)

    def _level(self, distortion: float) -> float:
        """Return how high the water stands, at most as high as the largest variance."""
        # With the components in ascending order, try each as the first that the water leaves
        # dry: the smaller ones are covered and the level follows from what is left.
        v, count = self.variances, np.arange(len(self.variances), 0, -1)
        # What smaller ones take is summed without the component itself: adding it and taking it
        # away again would leave nothing of a distortion far below it.
        covered = np.concatenate([[0.0], np.cumsum(v[:-1])])
        levels = (distortion * len(v) - covered) / count
        level: float = next((w for w, dry in zip(levels, levels <= v, strict=True) if dry), v[-1])
        return level


class ShannonLowerBound(RateDistortion):
    """R(D) = 1/p log2(d_max / D) of i.i.d. scalars whose density falls like exp(-a cost).

    Noise of that density has the largest entropy of all that costs as much, and the source is the
    sum of an output and such noise: Laplacian under absolute error, where R(D) = log2(b / D), and
    Gaussian under squared error. (Shannon 1959; Berger 1971, section 4.3.)

    Arguments:
        cost: what an error costs.
        d_max: what the best constant costs, per scalar.

    Example:
        >>> from ltc.distortion import Absolute
        >>> ShannonLowerBound(Cost(Absolute()), 1.0).bracket(0.25)
        Bracket(lower=2.0, upper=2.0)
    """

    name = "Shannon's lower bound, attained"
    about = "closed form: the source is the sum of the reproduction and the likeliest noise"

    def __init__(self, cost: Cost, d_max: float) -> None:
        self.cost, self.d_max = cost, d_max

    @classmethod
    def of(cls, density: Any, cost: Cost) -> Self | None:
        """Return it for a `scipy.stats` distribution; None where it is not attained."""
        if density is None or not cost.decomposable:
            return None
        centre = float(density.median())
        away = float(density.ppf(0.84) - centre) * np.array([-3.0, -1.0, -0.2, 0.2, 1.0, 3.0])
        with np.errstate(all="ignore"):
            fall = (density.logpdf(centre) - density.logpdf(centre + away)) / cost(away)
        if not np.isfinite(fall).all() or not np.allclose(fall, fall[0], rtol=1e-9):
            return None
        return cls(cost, 1 / (cost.power * float(fall[0])))

    def bracket(self, distortion: float, tolerance: float | None = None) -> Bracket:
        """Return R(D); infinity at distortion zero."""
        distance = number("distortion", distortion, closed=True)
        if distance == 0:
            return Bracket(math.inf, math.inf)
        rate = max(0.0, math.log2(self.d_max / distance) / self.cost.power)
        return Bracket(rate, rate)

    def dispersion(self, distortion: float) -> float | None:
        """Return V(D) = log2(e)^2 / p.

        The d-tilted information is -log p(x) but for a constant (Kostina and Verdu, IEEE Trans.
        Inform. Theory 58, 2012): a times the cost of x, which has a gamma distribution of the
        shape 1 / p.
        """
        if number("distortion", distortion) >= self.d_max:
            return None
        return 1 / self.cost.power / NATS**2
