"""The best scalar quantizers against the literature and against brute force."""

import itertools
import math

import numpy as np
import pytest
import scipy.optimize
import scipy.stats

from ltc.baselines import ecsq
from ltc.errors import InputError


def gaussian_loss(inner, lmbda, odd):
    """Rate + lmbda * distortion of a symmetric quantizer of the Gaussian, by exact integrals."""
    outer = np.cumsum(np.abs(inner))
    ends = np.concatenate([[-np.inf], -outer[::-1], [0.0] * (not odd), outer, [np.inf]])
    p, first = np.diff(scipy.stats.norm.cdf(ends)), -np.diff(scipy.stats.norm.pdf(ends))
    first, p = first[p > 0], p[p > 0]
    return -(p @ np.log2(p)) + lmbda * (1 - (first**2 / p).sum())


@pytest.mark.parametrize("lmbda", [1.0, 2.262, 8.0])
def test_gaussian_optimum(lmbda):
    # Found another way: thresholds moved freely, for each number of cells.
    best = ecsq(scipy.stats.norm(), lmbda)
    losses = [
        scipy.optimize.minimize(
            gaussian_loss, np.full(count, 1.5 / lmbda**0.5), (lmbda, odd), method="Nelder-Mead"
        ).fun
        for odd in (True, False)
        for count in (1, 2, 3)
    ]
    found = best.rate + lmbda * best.distortion
    assert found == pytest.approx(min(losses), abs=2e-4)
    assert found < min(losses) + 2e-5


def test_gaussian_at_one_bit():
    best = ecsq(scipy.stats.norm(), 2.2616)
    assert best.rate == pytest.approx(1, abs=1e-3)
    # Along the slope to exactly one bit. 0.0023 bits are 0.014 dB.
    distortion = best.distortion + (best.rate - 1) / 2.2616
    assert -10 * math.log10(distortion) == pytest.approx(4.581, abs=0.002)


@pytest.mark.parametrize("lmbda", [0.3, 3.0, 20.0])
def test_brute_force(lmbda):
    x = np.random.default_rng(1).normal(size=11).round(2)
    values = np.unique(x)
    costs = []
    for count in range(len(values)):
        for cuts in itertools.combinations(range(1, len(values)), count):
            cells = np.split(values, cuts)
            members = [x[np.isin(x, cell)] for cell in cells]
            p = np.array([len(m) / len(x) for m in members])
            errors = sum(((m - m.mean()) ** 2).sum() for m in members) / len(x)
            costs.append(-(p @ np.log2(p)) + lmbda * errors)
    best = ecsq(x, lmbda)
    assert best.rate + lmbda * best.distortion == pytest.approx(min(costs), abs=1e-9)
    bits, errors = best.costs(x)
    assert bits.mean() == pytest.approx(best.rate)
    assert errors.mean() == pytest.approx(best.distortion)


def test_laplacian_has_equal_steps():
    # Sullivan (1996): beyond the dead zone all cells are equally wide.
    widths = np.diff(ecsq(scipy.stats.laplace(), 10).thresholds)
    positive = widths[len(widths) // 2 + 1 : len(widths) // 2 + 6]
    assert positive == pytest.approx(positive.mean(), rel=0.1)


def test_degenerate():
    one = ecsq(np.array([2.0]), 3)
    assert (one.rate, one.distortion, one.points.tolist()) == (0, 0, [2])
    assert ecsq(np.full(100, 2.0), 3).rate == 0
    twice = ecsq(np.repeat([0.0, 5.0], 50), 3)
    assert twice.rate == pytest.approx(1)
    assert twice.distortion == 0
    for bad in (np.array([]), np.array([1, np.nan]), np.array([np.inf, 1])):
        with pytest.raises(InputError, match="samples"):
            ecsq(bad, 3)
    with pytest.raises(InputError, match="variance"):
        ecsq(scipy.stats.cauchy(), 3)
    with pytest.raises(InputError, match="lmbda"):
        ecsq(scipy.stats.norm(), 0)
