"""Bjontegaard differences: what a curve saves over another, on average over what they share."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator, PPoly

from ltc.report.curves import Curve
from ltc.report.style import LABELS

__all__ = ["Difference", "difference"]

LEAST_POINTS = 4
LEAST_OVERLAP = 0.5

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """What a curve does better or worse than a reference; None: refused, see `reason`.

    Attributes:
        reference: label of the reference.
        curve: label of the curve.
        rate_pchip: mean difference of rate at equal SNR, per cent; negative: the curve saves.
        rate_cubic: the same, with one cubic polynomial through each curve.
        snr_pchip: mean difference of SNR at equal rate, dB; positive: the curve is better.
        snr_cubic: the same, with one cubic polynomial.
        reason: why something is refused; empty where nothing is.
    """

    reference: str
    curve: str
    rate_pchip: float | None = None
    rate_cubic: float | None = None
    snr_pchip: float | None = None
    snr_cubic: float | None = None
    reason: str = ""


def difference(
    reference: Curve, curve: Curve, axes: tuple[str, str] = ("rate", "snr_db")
) -> Difference:
    """Return the Bjontegaard differences of a curve from a reference.

    The logarithm of the rate is interpolated over the SNR, and the SNR over the logarithm of the
    rate: piecewise by PCHIP, and by one cubic polynomial (least squares, where there are more than
    four points), as in the original proposal (Bjontegaard, VCEG-M33, 2001). The mean is over the
    range that both curves have; less than half of the smaller range is no comparison, and is
    refused, as are fewer than four points. Points without a rate above zero have no logarithm and
    are left out.

    Arguments:
        reference: the curve to compare with.
        curve: the curve.
        axes: which numbers of a point are rate and SNR; of pictures the PSNR is taken as the SNR.

    Example:
        >>> from ltc.report.curves import Mean, Point
        >>> def line(factor):
        ...     points = [(factor * 2**k, 6.0 * k) for k in range(4)]
        ...     return Curve("", tuple(Point(Mean(r), None, Mean(s), None) for r, s in points))
        >>> round(difference(line(1.0), line(1.1)).rate_pchip, 6)
        10.0
    """
    sides = [_logarithms(one, *axes) for one in (reference, curve)]
    quality = LABELS[axes[1]].partition(" ")[0]
    named = list(zip((reference.label, curve.label), sides, strict=True))
    for label, (rates, _) in named:
        if len(rates) < LEAST_POINTS:
            reason = f"{label} has {len(rates)} points, expected at least {LEAST_POINTS}"
            return Difference(reference.label, curve.label, reason=reason)
    for label, (rates, snr) in named:
        if (np.diff(rates) <= 0).any() or (np.diff(snr) <= 0).any():
            reason = f"the {quality} of {label} does not rise everywhere with its rate"
            return Difference(reference.label, curve.label, reason=reason)
    found: dict[str, float] = {}
    reasons = []
    swapped = [(snr, rates) for rates, snr in sides]
    for name, pairs, abscissa in (("rate", swapped, quality), ("snr", sides, "rate")):
        (a, values_a), (b, values_b) = pairs
        low, high = max(a[0], b[0]), min(a[-1], b[-1])
        overlap = (high - low) / min(a[-1] - a[0], b[-1] - b[0])
        if overlap < LEAST_OVERLAP:
            share = f"{max(overlap, 0):.0%} of the smaller range of {abscissa}"
            reasons.append(f"the curves share {share}, expected at least {LEAST_OVERLAP:.0%}")
            continue
        for method, integral in (("pchip", _pchip), ("cubic", _cubic)):
            area = integral(b, values_b, low, high) - integral(a, values_a, low, high)
            apart = area / (high - low)
            found[f"{name}_{method}"] = (
                float(100 * np.expm1(apart * np.log(10))) if name == "rate" else float(apart)
            )
    return Difference(reference.label, curve.label, **found, reason="; ".join(reasons))


def _logarithms(curve: Curve, rate: str, quality: str) -> tuple[Array, Array]:
    """Return the logarithms (base 10) of a curve's rates, and its SNR, in the order of rates."""
    both = ((getattr(point, rate), getattr(point, quality)) for point in curve.points)
    points = sorted((x.value, y.value) for x, y in both if x and y and x.value > 0)
    rates, snr = np.array(points, dtype=np.float64).reshape(-1, 2).T
    return np.log10(rates), snr


def _pchip(x: Array, y: Array, low: float, high: float) -> float:
    interpolant: PPoly = PchipInterpolator(x, y)
    return float(interpolant.integrate(low, high))


def _cubic(x: Array, y: Array, low: float, high: float) -> float:
    # Centred and scaled by `Polynomial.fit`, so that many points close together do no harm.
    integral = np.polynomial.Polynomial.fit(x, y, 3).integ()
    return float(integral(high) - integral(low))
