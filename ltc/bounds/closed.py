"""Rate-distortion functions in closed form."""

from __future__ import annotations

import math
from collections.abc import Callable

import scipy.integrate
import scipy.optimize

from ltc.bounds.curve import Bracket, RateDistortion, positive
from ltc.errors import InputError

__all__ = [
    "ClosedForm",
    "autoregressive",
    "bernoulli_hamming",
    "gaussian",
    "laplacian_absolute",
    "sawbridge_lower_bound",
    "sawbridge_one_shot",
    "shannon_lower_bound",
    "uniform_absolute",
]


class ClosedForm(RateDistortion):
    """R(D) by a formula.

    Arguments:
        rate: maps a distortion per scalar to bits per scalar.
        name: where the formula comes from, as shown in tables and figures.

    Example:
        >>> coin = ClosedForm(bernoulli_hamming, "1 - h(D)")
        >>> coin.bracket(0.5)
        Bracket(lower=0.0, upper=0.0)
    """

    def __init__(self, rate: Callable[[float], float], name: str) -> None:
        self.rate = rate
        self.name = name

    def bracket(self, distortion: float, tolerance: float | None = None) -> Bracket:
        """Return R(D) as both bounds."""
        rate = self.rate(positive("distortion", distortion))
        return Bracket(rate, rate)


def gaussian(distortion: float, variance: float = 1.0) -> float:
    """Return R(D) of a Gaussian under squared error, bits: 1/2 log2(variance / D).

    Arguments:
        distortion: mean squared error D > 0.
        variance: the variance.

    Raises:
        InputError: a number is not positive and finite.

    Reference:
        Shannon: Communication in the presence of noise (1949).

    Example:
        >>> gaussian(0.25)
        1.0
    """
    ratio = positive("variance", variance) / positive("distortion", distortion)
    return max(0.0, 0.5 * math.log2(ratio))


def laplacian_absolute(distortion: float, scale: float = 1.0) -> float:
    """Return R(D) of a Laplacian under absolute error, bits: log2(scale / D).

    Arguments:
        distortion: mean absolute error D > 0.
        scale: the mean absolute value of the source.

    Raises:
        InputError: a number is not positive and finite.

    Reference:
        Berger: Rate Distortion Theory (1971), section 4.3.

    Example:
        >>> laplacian_absolute(0.25)
        2.0
    """
    ratio = positive("scale", scale) / positive("distortion", distortion)
    return max(0.0, math.log2(ratio))


def uniform_absolute(distortion: float, half_width: float = 1.0) -> float:
    """Return R(D) of a uniform source on [-A, A] under absolute error, bits.

    With u = 1 - sqrt(1 - 2 D / A): R = -ln u - 1 + u nats. The best output has the source's own
    density up to a distance u A from the ends, and an atom of probability u / 2 there.

    Arguments:
        distortion: mean absolute error D > 0.
        half_width: A.

    Raises:
        InputError: a number is not positive and finite.

    Reference:
        Tan and Yao: Evaluation of rate-distortion functions for a class of independent
        identically distributed sources under an absolute-magnitude criterion (1975).

    Example:
        >>> uniform_absolute(0.5)
        0.0
        >>> round(uniform_absolute(0.05), 4)
        2.9158
    """
    relative = 2 * positive("distortion", distortion) / positive("half_width", half_width)
    if relative >= 1:
        return 0.0
    u = relative / (1 + math.sqrt(1 - relative))
    return (u - 1 - math.log(u)) / math.log(2)


def bernoulli_hamming(distortion: float, probability: float = 0.5) -> float:
    """Return R(D) of a coin under Hamming distortion, bits: h(p) - h(D).

    Arguments:
        distortion: the share of wrong bits, D >= 0.
        probability: that of a one.

    Raises:
        InputError: `distortion` is negative or no number, or `probability` is outside (0, 1).

    Reference:
        Shannon: Coding theorems for a discrete source with a fidelity criterion (1959).

    Example:
        >>> round(bernoulli_hamming(0.11), 4)
        0.5001
    """
    if not 0 < probability < 1:
        raise InputError(f"probability={probability}; expected a number between 0 and 1")
    if not distortion >= 0:
        raise InputError(f"distortion={distortion}; expected a number that is not negative")
    if distortion >= min(probability, 1 - probability):
        return 0.0
    return _binary_entropy(probability) - _binary_entropy(distortion)


def _binary_entropy(p: float) -> float:
    return 0.0 if p in (0, 1) else -p * math.log2(p) - (1 - p) * math.log2(1 - p)


def shannon_lower_bound(distortion: float, entropy: float, loss: str = "squared") -> float:
    """Return Shannon's lower bound of R(D), bits: h(X) less the largest entropy of the error.

    Arguments:
        distortion: D > 0, per scalar.
        entropy: differential entropy of the source, bits per scalar.
        loss: "squared" or "absolute" error.

    Raises:
        InputError: `distortion` is not positive and finite, or an unknown loss.

    Reference:
        Shannon: Coding theorems for a discrete source with a fidelity criterion (1959).

    Example:
        >>> round(shannon_lower_bound(0.25, 0.5 * math.log2(2 * math.pi * math.e)), 6)
        1.0
    """
    positive("distortion", distortion)
    if loss == "squared":
        noise = 0.5 * math.log2(2 * math.pi * math.e * distortion)
    elif loss == "absolute":
        noise = math.log2(2 * math.e * distortion)
    else:
        raise InputError(f"loss={loss}; expected squared or absolute")
    return max(0.0, entropy - noise)


def autoregressive(distortion: float, correlation: float) -> float:
    """Return R(D) of a stationary Gaussian AR(1) process of unit variance, bits per scalar.

    Reverse water-filling over the spectrum (1 - r^2) / (1 + r^2 - 2 r cos w): what a vector of
    dimension n of the process tends to as n grows.

    Arguments:
        distortion: mean squared error D > 0.
        correlation: r of neighbouring samples, |r| < 1.

    Raises:
        InputError: a number is out of its range.

    Reference:
        Kolmogorov: On the Shannon theory of information transmission in the case of continuous
        signals (1956); Berger: Rate Distortion Theory (1971), chapter 4.

    Example:
        >>> r = 0.9  # at small distortion: the prediction error's 1/2 log2((1 - r^2) / D)
        >>> round(autoregressive(0.01, r) - 0.5 * math.log2((1 - r**2) / 0.01), 9)
        0.0
    """
    if not abs(correlation) < 1:
        raise InputError(f"correlation={correlation}; expected a number between -1 and 1")
    r = abs(correlation)  # the sign mirrors the spectrum
    if positive("distortion", distortion) >= 1:
        return 0.0
    least, most = (1 - r) / (1 + r), (1 + r) / (1 - r)

    def spectrum(w: float) -> float:
        return (1 - r**2) / (1 + r**2 - 2 * r * math.cos(w))

    def edge(level: float) -> float:
        """Return the frequency from which on the spectrum is below the level."""
        cosine = (1 + r**2 - (1 - r**2) / level) / (2 * r)
        return math.acos(min(1.0, max(-1.0, cosine)))

    def error(level: float) -> float:
        # The spectrum above w integrates to a difference of arcs.
        w = edge(level)
        below = 2 * math.atan((1 + r) / (1 - r) * math.tan(w / 2)) if w < math.pi else math.pi
        return (level * w + math.pi - below) / math.pi

    if distortion <= least:
        return 0.5 * math.log2((1 - r**2) / distortion)
    level = scipy.optimize.brentq(lambda v: error(v) - distortion, least, most, xtol=1e-15)
    nats, _ = scipy.integrate.quad(lambda w: math.log(spectrum(w) / level), 0, edge(level))
    return float(nats) / (2 * math.pi * math.log(2))


def sawbridge_one_shot(distortion: float) -> float:
    """Return the least entropy of any quantizer of the sawbridge, bits per vector.

    A cell where U has the probability p is best an interval, and adds p^2 / 6 to the distortion.
    Of all p with one sum of squares the least entropy has (a, ..., a, b) with b <= a.

    Arguments:
        distortion: mean squared error D > 0, averaged over t.

    Raises:
        InputError: `distortion` is not positive and finite.

    Reference:
        Wagner and Ballé: Neural Networks Optimally Compress the Sawbridge. Data Compression
        Conference (2021). Harremoës and Topsøe: Inequalities between entropy and index of
        coincidence derived from information diagrams (2001).

    Example:
        >>> round(sawbridge_one_shot(1 / 24), 9)  # four equal cells
        2.0
    """
    squares = 6 * positive("distortion", distortion)
    if squares >= 1:
        return 0.0
    k = math.floor(1 / squares + 1e-12)
    a = (k + math.sqrt(max(k**2 - (k**2 + k) * (1 - squares), 0.0))) / (k**2 + k)
    b = max(1 - k * a, 0.0)
    return -k * a * math.log2(a) - (b * math.log2(b) if b > 0 else 0.0)


def sawbridge_lower_bound(distortion: float) -> float:
    """Return Shannon's lower bound for the sawbridge, bits per vector: -log2(e^2 D).

    Two paths with jumps at u and v are |u - v| apart, and an output is best t - F(t) with a
    distribution function F. Of all F on the line, integral exp(-s |x_u - y|^2) du is largest for
    the logistic one, F' = s F (1 - F), where it is e / s. Csiszar's dual with a constant lambda
    is then ln(s / e) - s D, largest at s = 1 / D. R(D) comes close to it as D falls: 0.3 bits
    below the best quantizer of one vector.

    Arguments:
        distortion: mean squared error D > 0, averaged over t.

    Raises:
        InputError: `distortion` is not positive and finite.

    Example:
        >>> round(sawbridge_lower_bound(math.exp(-2) / 8), 9)
        3.0
    """
    return max(0.0, -math.log2(math.e**2 * positive("distortion", distortion)))
