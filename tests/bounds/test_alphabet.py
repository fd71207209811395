"""Discrete sources in space."""

import math

import numpy as np
import pytest
import torch

from ltc.bounds import AlphabetProblem, ParametricRateDistortion, bound_for
from ltc.bounds.alphabet_problem import Cloud, Path
from ltc.errors import InputError
from ltc.sources import IIDBernoulli, Sawbridge

pytestmark = pytest.mark.usefixtures("cache")


def sawbridge_one_shot(distortion):
    """The least entropy of any quantizer of the sawbridge, bits per vector.

    A cell where U has the probability p is best an interval, and adds p^2 / 6 to the distortion
    (Wagner and Balle 2021). Of all p with one sum of squares the least entropy has
    (a, ..., a, b) with b <= a (Harremoes and Topsoe 2001).
    """
    squares = 6 * distortion
    k = math.floor(1 / squares + 1e-12)
    a = (k + math.sqrt(max(k**2 - (k**2 + k) * (1 - squares), 0.0))) / (k**2 + k)
    b = max(1 - k * a, 0.0)
    return -k * a * math.log2(a) - (b * math.log2(b) if b > 0 else 0.0)


def sawbridge_lower_bound(distortion):
    """Shannon's lower bound for the sawbridge, bits per vector: -log2(e^2 D).

    Two paths with jumps at u and v are |u - v| apart, and an output is best t - F(t) with a
    distribution function F. Of all F on the line, integral exp(-s |x_u - y|^2) du is largest for
    the logistic one, F' = s F (1 - F), where it is e / s. Csiszar's dual with a constant lambda
    is then ln(s / e) - s D, largest at s = 1 / D.
    """
    return max(0.0, -math.log2(math.e**2 * distortion))


def binary_entropy(p):
    return -p * math.log2(p) - (1 - p) * math.log2(1 - p)


@pytest.mark.parametrize("distortion", [0.08, 0.02])
def test_sawbridge_between_its_lower_bound_and_one_shot(distortion):
    n = 128
    lower, upper = (n * rate for rate in bound_for(Sawbridge(n)).bracket(distortion))
    assert 0 < upper - lower < 0.02
    # The sampled path is a little easier to code than the continuous one: cells of k positions
    # have a distortion of (k^2 - 1) / 6kn, which is 1 - 1/k^2 times as much.
    assert lower < sawbridge_one_shot(distortion)
    assert sawbridge_lower_bound(distortion) - 0.01 < upper
    if distortion < 0.05:  # and the ends of the interval matter little
        assert upper < sawbridge_lower_bound(distortion) + 0.05


@pytest.mark.parametrize("distortion", [0.1, 0.05, 0.02])
def test_one_shot_by_brute_force(distortion):
    # The least entropy with this sum of squares, over random and over extreme distributions.
    rng = np.random.default_rng(0)
    best = sawbridge_one_shot(distortion)
    p = rng.dirichlet(np.full(12, 0.3), 200_000)
    enough = (p**2).sum(1) <= 6 * distortion
    entropy = -(p * np.log2(np.maximum(p, 1e-300))).sum(1)
    assert enough.sum() > 100
    assert entropy[enough].min() > best - 1e-9
    k = round(1 / (6 * distortion))
    assert sawbridge_one_shot(1 / (6 * k)) == pytest.approx(math.log2(k))


def test_paths_are_clouds():
    rng = torch.Generator().manual_seed(0)
    x = (torch.rand(50, 9, generator=rng) < 0.1).double().cumsum(0)
    y = torch.randn(7, 9, generator=rng, dtype=torch.float64)
    weights = torch.randn(50, generator=rng, dtype=torch.float64)
    path, cloud = Path(x), Cloud(x)
    assert path.distortions(y).allclose(cloud.distortions(y))
    for one, other in zip(
        path.kernel_sums(weights, y, 0.1), cloud.kernel_sums(weights, y, 0.1), strict=True
    ):
        assert one.allclose(other)


@pytest.mark.parametrize("distortion", [0.01, 0.1, 0.2])
def test_coin(distortion):
    lower, upper = bound_for(IIDBernoulli()).bracket(distortion)
    assert 0 <= upper - lower <= 1e-3
    # Where outputs are 0 and 1 alone, more is needed: Hamming's h(p) - h(D).
    assert lower <= 1 - binary_entropy(distortion)


def test_equal_values_are_one():
    twice = AlphabetProblem([[0.0], [1.0], [1.0]], [0.5, 0.25, 0.25])
    once = AlphabetProblem([[0.0], [1.0]], [0.5, 0.5])
    brackets = [ParametricRateDistortion(p).bracket(0.1) for p in (twice, once)]
    assert twice.key == once.key
    assert brackets[0] == pytest.approx(brackets[1])
    assert ParametricRateDistortion(once).bracket(0.0) == pytest.approx((1, 1))


@pytest.mark.parametrize(
    ("points", "p", "message"),
    [
        ([[1.0]], [1.0], "one value only"),
        ([[1.0], [1.0]], [0.5, 0.5], "one value only"),
        ([[1.0], [math.nan]], [0.5, 0.5], "finite"),
        ([[1.0], [2.0]], [0.5, 0.4], "add up to 0.9"),
        ([[1.0], [2.0]], [1.5, -0.5], "none negative"),
        (np.zeros((0, 1)), [], "add up to 0"),
    ],
)
def test_degenerate(points, p, message):
    with pytest.raises(InputError, match=message):
        AlphabetProblem(points, p)
