"""Limits from samples contain what is known in closed form, and refuse what says nothing."""

import math

import numpy as np
import pytest
import torch

from ltc.bounds import ReverseWaterFilling, SampleProblem, bound_from_samples
from ltc.errors import InputError
from ltc.sources import Banana, CorrelatedVector, IIDUniform

pytestmark = pytest.mark.usefixtures("cache")


SOURCE = CorrelatedVector(16, 0.9)


@pytest.fixture(scope="module")
def rows():
    rng = torch.Generator().manual_seed(0)
    return SOURCE.sample(4000, rng), SOURCE.held_out(8000, rng)


@pytest.mark.parametrize(
    ("level", "components", "spread"),
    [(1.5, 2, True), (0.9, 2, True), (0.5, 2, True), (0.9, 300, False)],  # 0.08 to 0.24 bits
    ids=str,
)
def test_reverse_water_filling_is_within_the_limits(rows, level, components, spread):
    variances = np.linalg.eigvalsh(SOURCE.covariance.numpy())
    slope = 1 / (2 * level)
    rate = np.maximum(0, 0.5 * np.log(variances / level)).sum()
    truth = rate + slope * np.minimum(level, variances).sum()
    solution = SampleProblem(*rows, components, spread).solve(slope, 0.0)
    distortion, upper = solution.middle
    reached = upper + slope * distortion
    assert solution.lower < truth < reached
    # They say something: within so many bits per sample.
    assert (reached - truth) / (16 * math.log(2)) < (0.01 if spread else 0.05)
    # Limits that hold at all slopes together are wider than at one.
    assert (truth - solution.lower) / (16 * math.log(2)) < 0.16
    # The reachable point is above the curve, too.
    exact, _ = ReverseWaterFilling(SOURCE.covariance).bracket(distortion / 16)
    assert upper / (16 * math.log(2)) > exact


def test_limits_are_named_and_in_order():
    bound = bound_from_samples(Banana(), components=8, count=4000)
    for distortion in (0.5, 0.2):
        lower, mixture, gaussian = bound.limits(distortion).values()
        assert 0 < lower < mixture < gaussian
        assert bound.bracket(distortion) == (lower, mixture)
    assert list(bound.limits(0.5)) == [
        "≥ dual lower limit",
        "≤ mixture upper limit",
        "≤ Gaussian upper bound",
    ]
    assert bound.estimate(0.3) is None  # too slow for a progress bar


def test_a_fresh_draw_of_the_same_source_agrees():
    # Another seed moves both limits, by no more than a few of their errors.
    brackets = [
        bound_from_samples(IIDUniform(2), components=4, count=4000, seed=seed).bracket(0.3)
        for seed in (0, 1)
    ]
    assert max(b.lower for b in brackets) < min(b.upper for b in brackets)
    assert brackets[0].upper == pytest.approx(brackets[1].upper, abs=0.1)
    assert brackets[0] != brackets[1]


def test_the_lower_limit_is_found_at_once():
    # At steep slopes the dual is loose; whatever is asked before changes little.
    bound = bound_from_samples(CorrelatedVector(8, 0.9), components=2, count=2000)
    first = bound.bracket(0.02).lower
    for distortion in (0.3, 0.1, 0.05):
        bound.bracket(distortion)
    assert bound.bracket(0.02).lower < 1.02 * first


def test_duplicated_rows():
    corners = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]).repeat(500, 1)
    solution = SampleProblem(corners, corners, 4).solve(4.0, 0.0)
    distortion, rate = solution.middle
    assert solution.lower < rate + 4 * distortion < 2.1 * math.log(2) + 4 * distortion
    assert np.isfinite([solution.lower, distortion, rate]).all()


@pytest.mark.parametrize(
    ("train", "held_out", "message"),
    [
        (torch.zeros(1, 2), torch.rand(100, 2), "at least 10 finite rows"),
        (torch.rand(100, 2), torch.zeros(1, 2), "at least 10 finite rows"),
        (torch.rand(100, 2), torch.ones(100, 2), "all the same"),
        (torch.rand(100, 2), torch.full((100, 2), math.nan), "finite"),
        (torch.full((100, 2), math.inf), torch.rand(100, 2), "finite"),
        (torch.rand(100, 2), torch.rand(100, 3), "2 columns, held-out rows 3"),
    ],
)
def test_degenerate(train, held_out, message):
    with pytest.raises(InputError, match=message):
        SampleProblem(train, held_out)
