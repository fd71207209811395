"""Bjontegaard differences: closed cases, the library of that name, refusals."""

import bjontegaard
import numpy as np
import pytest

from ltc.report import Curve, Point, difference
from ltc.report.curves import Mean


def curve(label, rates, snr):
    points = zip(rates, snr, strict=True)
    return Curve(label, tuple(Point(Mean(float(r)), None, Mean(float(s)), None) for r, s in points))


RATES = np.array([0.3, 0.5, 0.9, 1.4, 2.0, 3.1])
SNR = np.array([1.5, 3.1, 5.2, 8.0, 11.5, 17.9])


@pytest.mark.parametrize("factor", [1.1, 0.9, 1.5])
def test_a_curve_moved_in_rate(factor):
    found = difference(curve("a", RATES, SNR), curve("b", factor * RATES, SNR))
    assert found.rate_pchip == pytest.approx(100 * (factor - 1), rel=1e-9)
    assert found.rate_cubic == pytest.approx(100 * (factor - 1), rel=1e-9)
    assert found.reason == ""
    assert (found.snr_pchip < 0) == (factor > 1)  # more rate for the same is worse


def test_a_curve_moved_in_snr():
    found = difference(curve("a", RATES, SNR), curve("b", RATES, SNR + 0.75))
    assert found.snr_pchip == pytest.approx(0.75, rel=1e-9)
    assert found.snr_cubic == pytest.approx(0.75, rel=1e-9)
    assert found.rate_pchip < 0


def test_a_curve_and_itself_or_shuffled():
    order = [3, 0, 5, 1, 4, 2]
    found = difference(curve("a", RATES, SNR), curve("b", RATES[order], SNR[order]))
    assert found.rate_pchip == found.snr_cubic == 0


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("counts", [(4, 4), (5, 9)])
def test_against_the_library(seed, counts):
    """Within 0.01 per cent and 0.001 dB of `bjontegaard` (Herglotz et al., 2022)."""
    rng = np.random.default_rng(seed)
    sides = []
    for count in counts:
        snr = np.sort(rng.uniform(2, 16, count)) + 0.3 * np.arange(count)
        sides.append((2 ** (snr / rng.uniform(5, 7) + rng.uniform(-2, -1.5)), snr))
    (rates_a, snr_a), (rates_b, snr_b) = sides
    # Where the ranges share little the library only warns.
    found = difference(curve("a", rates_a, snr_a), curve("b", rates_b, snr_b))
    compared = 0
    for method in ("pchip", "cubic"):
        options = {"method": method, "require_matching_points": False, "min_overlap": 0}
        for name, theirs, tolerance in (
            ("rate", bjontegaard.bd_rate, 0.01),
            ("snr", bjontegaard.bd_psnr, 0.001),
        ):
            ours = getattr(found, f"{name}_{method}")
            if ours is not None:
                expected = theirs(rates_a, snr_a, rates_b, snr_b, **options)
                assert ours == pytest.approx(expected, abs=tolerance)
                compared += 1
    assert compared >= 2


def test_fewer_than_four_points_are_refused():
    found = difference(curve("a", RATES, SNR), curve("b", RATES[:3], SNR[:3]))
    assert found.rate_pchip is found.snr_pchip is found.rate_cubic is found.snr_cubic is None
    assert found.reason == "b has 3 points, expected at least 4"
    # A point without a rate has no logarithm, and one without an SNR is of no use.
    silent = curve("c", [0, *RATES[:3]], [0, *SNR[:3]])
    assert "c has 3 points" in difference(silent, curve("a", RATES, SNR)).reason


def test_curves_that_share_too_little_are_refused():
    a = curve("a", RATES, SNR)
    # The same rates, far apart in SNR: what a rate saves is not known, what SNR is won is.
    found = difference(a, curve("b", RATES, SNR + 10))
    assert found.rate_pchip is found.rate_cubic is None
    assert found.snr_pchip == pytest.approx(10)
    assert found.reason == (
        "the curves share 39% of the smaller range of SNR, expected at least 50%"
    )
    apart = difference(a, curve("b", 100 * RATES, SNR + 100))
    assert apart.snr_pchip is None
    assert "0% of the smaller range of SNR" in apart.reason
    assert "0% of the smaller range of rate" in apart.reason
    # A short curve within a long one shares all of its own range.
    assert difference(a, curve("b", RATES[1:5], SNR[1:5])).reason == ""


def test_curves_that_turn_back_are_refused():
    turned = SNR.copy()
    turned[2] = turned[3] + 0.1
    found = difference(curve("a", RATES, SNR), curve("b", RATES, turned))
    assert found.rate_pchip is None
    assert found.reason == "the SNR of b does not rise everywhere with its rate"
