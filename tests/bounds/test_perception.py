"""R(D, P) of a Gaussian against numerical optimisation over Gaussian channels."""

import math

import numpy as np
import pytest
from scipy.optimize import minimize

from ltc.bounds import GaussianPerception, ReverseWaterFilling
from ltc.errors import InputError


def information(covariance, i, j):
    """Return the mutual information of two components of a Gaussian vector, bits."""
    part = covariance[np.ix_([i, j], [i, j])]
    return 0.5 * math.log2(part[0, 0] * part[1, 1] / np.linalg.det(part))


def least(objective, constraints, starts):
    """Return the least value of an objective found from several starts."""
    found = [
        minimize(
            objective,
            start,
            method="SLSQP",
            constraints=[{"type": "ineq", "fun": constraint} for constraint in constraints],
            options={"maxiter": 500, "ftol": 1e-12},
        )
        for start in starts
    ]
    values = [f.fun for f in found if all(constraint(f.x) > -1e-6 for constraint in constraints)]
    return min(values)


def channel(z):
    """Return the covariance of X and Y = a X + N, X of variance 2."""
    a, log_noise = np.clip(z, -9, 9)
    return np.array([[2, 2 * a], [2 * a, 2 * a * a + math.exp(2 * log_noise)]])


@pytest.mark.parametrize("distortion", [0.05, 0.5, 1.5, 2.5])
@pytest.mark.parametrize("perception", [0.0, 0.01, 0.2, 1.0])
def test_shared_randomness_needs_the_least_information_of_a_channel(distortion, perception):
    def expected(z):
        found = channel(z)
        return distortion - (found[0, 0] + found[1, 1] - 2 * found[0, 1])

    def near(z):
        return perception + 1e-9 - (2**0.5 - channel(z)[1, 1] ** 0.5) ** 2

    starts = [(a, math.log(s)) for a in (0.3, 0.9) for s in (0.1, 0.5, 1.0)]
    rate = least(lambda z: information(channel(z), 0, 1), (expected, near), starts)
    bracket = GaussianPerception(2.0, perception).bracket(distortion)
    assert bracket.lower == bracket.upper == pytest.approx(rate, abs=2e-3)


def chain(z):
    """Return the covariance of X, M = X + N and Y = a M + N', X of variance 2."""
    log_noise, a, log_own = np.clip(z[:3], -9, 9)
    m = 2 + math.exp(2 * log_noise)
    y = a * a * m + math.exp(2 * log_own)
    return np.array([[2, 2, 2 * a], [2, m, a * m], [2 * a, a * m, y]])


@pytest.mark.parametrize("distortion", [0.1, 0.5, 1.5])
@pytest.mark.parametrize("common", [0, 0.5, 1, 4])
def test_limited_randomness_needs_the_least_rate_of_a_chain(distortion, common):
    constraints = (
        lambda z: z[3] - information(chain(z), 0, 1),
        lambda z: z[3] + common - information(chain(z), 1, 2),
        lambda z: distortion - (chain(z)[0, 0] + chain(z)[2, 2] - 2 * chain(z)[0, 2]),
        lambda z: 1e-7 - (chain(z)[2, 2] - 2) ** 2,
    )
    starts = [(n, a, n - 0.5, 3.0) for n in (-1.5, -0.5, 0.3) for a in (0.5, 0.9)]
    rate = least(lambda z: z[3], constraints, starts)
    bracket = GaussianPerception(2.0, common_bits=common).bracket(distortion)
    assert bracket.lower == bracket.upper == pytest.approx(rate, abs=3e-3)


def test_limits_meet_at_the_ends():
    for distortion in (0.1, 0.7, 1.9):
        shared = GaussianPerception(1.0).bracket(distortion)
        many = GaussianPerception(1.0, common_bits=30).bracket(distortion)
        assert many.lower == pytest.approx(shared.lower, abs=1e-6)
        # Far from the source nothing but R(D) is asked for.
        far = GaussianPerception(1.0, 1.0).bracket(distortion)
        assert far == pytest.approx(ReverseWaterFilling([[1.0]]).bracket(distortion))
    assert GaussianPerception(1.0, common_bits=0).bracket(0.0).lower == math.inf
    assert GaussianPerception(1.0).bracket(2.0).lower == 0


def test_a_decoder_that_is_near_is_held_between_two_limits():
    for common in (0, 1):
        at_zero = [GaussianPerception(1.0, 0, common).bracket(d).lower for d in (0.3, 0.2)]
        near = (math.sqrt(0.3) - math.sqrt(0.2)) ** 2
        shared = GaussianPerception(1.0, near).bracket(0.2)
        lower, upper = GaussianPerception(1.0, near, common).bracket(0.2)
        assert lower == pytest.approx(max(at_zero[0], shared.lower))
        assert upper == at_zero[1]


def test_only_components_that_are_alike_have_it():
    alike = ReverseWaterFilling(2 * np.eye(3)).at_perception(0.0, 0.0)
    assert alike.bracket(1.0).lower == pytest.approx(1.0)
    other = ReverseWaterFilling(np.diag([1.0, 2.0]))
    assert other.at_perception(0.0, 0.0) is other
    with pytest.raises(InputError, match="variance"):
        GaussianPerception(0.0)
