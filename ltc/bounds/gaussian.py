"""Gaussian sources: reverse water-filling."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ltc.bounds.curve import Bracket, RateDistortion
from ltc.checks import number
from ltc.errors import InputError

__all__ = ["ReverseWaterFilling"]


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
        if variances[0] < -1e-9 * max(variances[-1], 0.0) or variances[-1] < 0:
            raise InputError(
                f"covariance has the eigenvalue {variances[0]:.3g}; expected none below zero"
            )
        if variances[-1] == 0:
            raise InputError("the covariance is zero: a constant source has R(D) = 0 everywhere")
        self.variances = np.maximum(variances, 0.0)
        self.exact = exact
        self.about = "closed form: no vector of this covariance needs more"
        if exact:
            self.about = (
                "closed form, the optimum that Blahut-Arimoto (bound=blahut_arimoto) tends to"
            )
        else:
            self.note = (
                "only a Gaussian source is known to need as much; bound=samples finds a lower limit"
            )
        self.name = "reverse water-filling" if exact else "Gaussian upper bound"

    def bracket(self, distortion: float, tolerance: float | None = None) -> Bracket:
        """Return R(D), or the upper bound alone where the source is not known to be Gaussian.

        At distortion zero that is infinity, or no bound at all.
        """
        if number("distortion", distortion, closed=True) == 0:
            return Bracket(math.inf, math.inf) if self.exact else Bracket(None, None)
        # With the components in ascending order, try each as the first that the water leaves
        # dry: the smaller ones are covered and the level follows from what is left.
        v = self.variances
        count = np.arange(len(v), 0, -1)
        covered = np.concatenate([[0.0], np.cumsum(v)[:-1]])
        levels = (distortion * len(v) - covered) / count
        first = int(np.argmax(levels <= v)) if (levels <= v).any() else len(v)
        if first == len(v):
            return Bracket(0.0 if self.exact else None, 0.0)
        rate = float(np.log2(v[first:] / levels[first]).sum() / (2 * len(v)))
        return Bracket(rate if self.exact else None, rate)
