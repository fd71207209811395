"""Brackets contain what is known in closed form."""

import numpy as np
import pytest
import scipy.stats

from ltc.bounds import (
    Bracket,
    DensityProblem,
    Narrowest,
    ParametricRateDistortion,
    RateDistortion,
    ReverseWaterFilling,
    bound_by_blahut_arimoto,
    bound_for,
    bound_from_samples,
)
from ltc.bounds.problem import Problem, Solution
from ltc.bounds.quadrature import scalar_density
from ltc.errors import InputError
from ltc.sources import (
    Array,
    Banana,
    CorrelatedVector,
    IIDBernoulli,
    IIDGaussian,
    IIDLaplacian,
    IIDMixture,
    IIDUniform,
    Sawbridge,
)

pytestmark = pytest.mark.usefixtures("cache")


@pytest.mark.parametrize("rate", [0.1, 1.0, 2.5, 5.0])
def test_gaussian(rate):
    assert bound_for(IIDGaussian(4)).bracket(4.0**-rate) == pytest.approx((rate, rate))
    problem = DensityProblem(scalar_density(IIDGaussian.density))
    lower, upper = ParametricRateDistortion(problem).bracket(4.0**-rate)
    assert lower - 1e-9 <= rate <= upper + 1e-9
    assert upper - lower < 0.0005


@pytest.mark.parametrize("source", [IIDLaplacian(), IIDUniform()], ids=lambda s: s.name)
def test_above_shannon(source):
    for distortion in (0.8, 0.2, 0.01):
        lower, upper = bound_for(source).bracket(distortion)
        shannon = (source.density.entropy() - 0.5 * np.log(2 * np.pi * np.e * distortion)) / np.log(
            2
        )
        assert upper - lower < 0.0005
        assert max(shannon, 0) <= upper < -0.5 * np.log2(distortion) + 0.0005


class Correlated(CorrelatedVector):
    """A Gaussian vector that is known by its density alone."""

    gaussian = False

    def __init__(self):
        super().__init__(2, 0.9)

    def log_density(self, x):
        return scipy.stats.multivariate_normal(cov=self.covariance.numpy()).logpdf(x)

    def support(self):
        return np.array([[-6.5, 6.5]] * 2)


@pytest.mark.parametrize("distortion", [0.5, 0.15, 0.03])
def test_separable_kernel(distortion):
    lower, upper = bound_for(Correlated(), tolerance=2e-3).bracket(distortion)
    truth, _ = ReverseWaterFilling(Correlated().covariance).bracket(distortion)
    assert lower <= truth <= upper
    assert upper - lower < 2e-3


def test_second_time_from_cache():
    messages = []
    for dimension in (2, 1):
        bound = bound_for(IIDLaplacian(dimension), progress=lambda *m: messages.append(m))
        bound.bracket(0.3)
        assert bool(messages) == (dimension == 2)
        messages.clear()


SOURCES = [
    (IIDGaussian(), 1e-3),
    (IIDLaplacian(), 1e-3),
    (IIDUniform(), 1e-3),
    (IIDMixture(), 1e-3),
    (IIDBernoulli(), 1e-3),
    (Sawbridge(16), 1e-3),
    (CorrelatedVector(2, 0.9), 1e-2),
    (Banana(), 1e-2),
]


@pytest.mark.parametrize(("source", "tolerance"), SOURCES, ids=lambda s: getattr(s, "name", ""))
@pytest.mark.parametrize("rate", [0.3, 1.5])
def test_blahut_arimoto_agrees(source, tolerance, rate):
    distortion = source.variance * 4.0**-rate
    auto, other = (
        bound(source, tolerance).bracket(distortion)
        for bound in (bound_for, bound_by_blahut_arimoto)
    )
    for lower, upper in (auto, other):
        assert -1e-9 <= upper - lower <= tolerance
    assert max(auto.lower, other.lower) <= min(auto.upper, other.upper) + 1e-9


def test_blahut_arimoto_needs_an_alphabet(tmp_path):
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).normal(size=(100, 2)))
    with pytest.raises(InputError, match="source=array: it needs finitely many values"):
        bound_by_blahut_arimoto(Array(tmp_path / "rows.npy"))
    with pytest.raises(InputError, match="bound=auto"):
        bound_by_blahut_arimoto(CorrelatedVector(16, 0.9))


def test_the_upper_end_is_convex_and_close_far_beyond_the_finest_grid():
    # The finest grid of the banana ends near 24 dB.
    bound = bound_for(Banana(), 4e-3)
    distortions = 10.0 ** -np.linspace(1.8, 5, 17)
    lower, upper = bound.curve(distortions, None)
    assert (upper - lower).max() <= 4e-3
    slopes = np.diff(upper) / np.diff(distortions)
    assert (np.diff(slopes) < 1e-9).all()  # steeper and steeper as D falls
    assert (np.diff(np.diff(bound._hull()[:, 1]) / np.diff(bound._hull()[:, 0])) >= 0).all()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (IIDGaussian(), (np.inf, np.inf)),
        (IIDLaplacian(), (np.inf, np.inf)),
        (IIDBernoulli(1, 0.25), (0.811278, 0.811278)),
        (Sawbridge(4), (2.25 / 4, 2.25 / 4)),
    ],
    ids=lambda s: getattr(s, "name", ""),
)
def test_distortion_zero_takes_the_entropy(source, expected):
    bound = bound_for(source)
    assert bound.bracket(0.0) == pytest.approx(expected)
    assert bound.estimate(0.0) == pytest.approx(expected[0])
    assert bound.estimate(float("nan")) is None
    assert bound_by_blahut_arimoto(source).bracket(0) == pytest.approx(expected)


def test_distortion_zero_of_samples_is_not_known(tmp_path):
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).integers(0, 9, size=(400, 2)))
    source = Array(tmp_path / "rows.npy")
    assert bound_for(source).bracket(0.0) == (None, None)
    assert bound_for(source).estimate(0.0) is None
    assert bound_from_samples(source, components=2).bracket(0.0) == (None, None)


class Contradiction(Problem):
    """A problem whose lower bound is above what it reaches."""

    name = note = about = "wrong"
    dimension, lossless, d_max, slope_max = 1, np.inf, 1.0, 1e9

    def __init__(self, proof):
        self.proof = proof
        self.key = {"proof": proof}

    def solve(self, slope, tolerance, start=None):
        point = (0.5 / slope, max(0.5 * np.log(2 * slope), 0.0))
        return Solution(slope, point[1] + 0.5 + 0.1, np.array([point]))


@pytest.mark.parametrize(("proof", "error"), [(True, RuntimeError), (False, InputError)])
def test_a_contradiction_is_an_error(proof, error):
    with pytest.raises(error, match="is above the upper end"):
        ParametricRateDistortion(Contradiction(proof)).bracket(0.25)

    class Fixed(RateDistortion):
        name = "fixed"

        def __init__(self, lower, upper):
            self.ends = Bracket(lower, upper)

        def bracket(self, distortion, tolerance=None):
            return self.ends

    with pytest.raises(error, match="is above the upper end"):
        Narrowest([Fixed(0.6, 1.0), Fixed(None, 0.5)], proof).bracket(0.25)


@pytest.mark.parametrize("bits", [0.5, 15, 30, 100])
def test_a_distortion_far_below_the_variances_costs_what_the_formula_says(bits):
    lower, upper = ReverseWaterFilling(np.diag([1.0, 4.0])).bracket(2.0 * 4.0**-bits)
    # Both are above the water: 1/2 log2 of their geometric mean over the level, which is D.
    assert lower == upper == pytest.approx(bits, rel=1e-12)
