"""Discrete sources in space."""

import math

import numpy as np
import pytest
import torch

from ltc.bounds import AlphabetProblem, CertifiedRateDistortion, DiscreteProblem, bound_for
from ltc.bounds.alphabet import Cloud, Path
from ltc.bounds.closed import bernoulli_hamming, sawbridge_lower_bound, sawbridge_one_shot
from ltc.errors import InputError
from ltc.sources import IIDBernoulli, Sawbridge


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LTC_CACHE", str(tmp_path))


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
    assert path.squared_distances(y).allclose(cloud.squared_distances(y))
    for one, other in zip(path.serve(weights, y, 0.1), cloud.serve(weights, y, 0.1), strict=True):
        assert one.allclose(other)


@pytest.mark.parametrize("distortion", [0.01, 0.1, 0.2])
def test_coin(distortion):
    lower, upper = bound_for(IIDBernoulli()).bracket(distortion)
    assert 0 <= upper - lower <= 1e-3
    # Outputs on a fine grid are hardly worse than any outputs; 0 and 1 alone are.
    y = np.linspace(0, 1, 201)
    on_grid = DiscreteProblem([0.5, 0.5], [y**2, (1 - y) ** 2])
    grid_lower, grid_upper = CertifiedRateDistortion(on_grid).bracket(distortion)
    assert lower <= grid_upper
    assert grid_lower <= upper + 1e-3
    assert lower <= bernoulli_hamming(distortion)


def test_equal_values_are_one():
    twice = AlphabetProblem([[0.0], [1.0], [1.0]], [0.5, 0.25, 0.25], {"a": 1})
    once = AlphabetProblem([[0.0], [1.0]], [0.5, 0.5], {"a": 2})
    brackets = [CertifiedRateDistortion(p).bracket(0.1) for p in (twice, once)]
    assert brackets[0] == pytest.approx(brackets[1])
    assert CertifiedRateDistortion(once).bracket(0.0).upper == pytest.approx(1)


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
        AlphabetProblem(points, p, {})
