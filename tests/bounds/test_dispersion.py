"""The rate dispersion is the variance of the d-tilted information, found in other ways."""

import math

import numpy as np
import pytest
import scipy.integrate

from ltc.bounds import (
    AlphabetProblem,
    ParametricRateDistortion,
    ReverseWaterFilling,
    bound_by_blahut_arimoto,
    bound_for,
    bound_from_samples,
)
from ltc.distortion import Absolute, Distortion
from ltc.errors import InputError
from ltc.sources import Banana, CorrelatedVector, IIDBernoulli, IIDGaussian, IIDLaplacian

pytestmark = pytest.mark.usefixtures("cache")

BITS = 1 / math.log(2)


class Hamming(Distortion):
    name = "hamming"

    def cost(self, error):
        return (error != 0).to(error.dtype)

    def centre(self, values):
        raise AssertionError("a bound asks for the cost alone")


@pytest.mark.parametrize("distortion", [0.9, 0.1])
def test_gaussian_vector_against_samples_of_its_optimal_channel(distortion):
    covariance = CorrelatedVector(3, 0.8).covariance.numpy()
    bound = ReverseWaterFilling(covariance)
    variances = np.linalg.eigvalsh(covariance)
    # By bisection, not by the bound's own way.
    low, high = 0.0, variances[-1]
    for _ in range(100):
        level = (low + high) / 2
        less = np.minimum(level, variances).mean() < distortion
        low, high = (level, high) if less else (low, level)
    slope, output = 1 / (2 * level), np.maximum(variances - level, 0)
    x = np.random.default_rng(0).normal(size=(1_000_000, 3)) * np.sqrt(variances)
    # E exp(-s (x - Y)^2) of a Gaussian Y, component by component.
    spread = 1 + 2 * slope * output
    information = (0.5 * np.log(spread) + slope * x**2 / spread).sum(1)
    expected = information.var() / 3 * BITS**2
    assert bound.dispersion(distortion) == pytest.approx(expected, rel=0.01)
    rate = (information.mean() - slope * 3 * distortion) / 3 * BITS
    assert bound.bracket(distortion).lower == pytest.approx(rate, abs=0.003)


@pytest.mark.parametrize("distortion", [0.5, 0.01])
def test_gaussian_scalar_in_closed_form(distortion):
    truth = 0.5 * BITS**2
    assert bound_for(IIDGaussian(8)).dispersion(distortion) == pytest.approx(truth)
    numerical = bound_by_blahut_arimoto(IIDGaussian())
    assert numerical.dispersion(distortion) == pytest.approx(truth, rel=0.01)
    # Of pairs of independent scalars it is the same, per scalar.
    pairs = bound_by_blahut_arimoto(CorrelatedVector(2, 0.0), 2e-3)
    assert pairs.dispersion(distortion) == pytest.approx(truth, rel=0.02)


@pytest.mark.parametrize("distortion", [0.15, 0.05])
def test_bits_under_hamming_distortion(distortion):
    p = 0.2
    bound = bound_for(IIDBernoulli(4, p), distortion=Hamming())
    truth = p * (1 - p) * math.log2((1 - p) / p) ** 2
    assert bound.dispersion(distortion) == pytest.approx(truth, rel=0.01)
    assert bound_for(IIDBernoulli(), distortion=Hamming()).dispersion(distortion) < 1e-3


def test_near_distortion_zero_it_is_the_varentropy():
    p = np.array([0.5, 0.3, 0.2])
    bound = ParametricRateDistortion(AlphabetProblem([[0.0], [1.0], [2.5]], p))
    truth = p @ np.log2(p) ** 2 - (p @ np.log2(p)) ** 2
    assert bound.dispersion(1e-4) == pytest.approx(truth, rel=0.01)


@pytest.mark.parametrize("distortion", [0.3, 0.05])
def test_laplacian_under_absolute_error_against_quadrature(distortion):
    source = IIDLaplacian()
    scale = math.sqrt(0.5)

    def tilted(x):
        # The output is zero with probability (D / b)^2, and else Laplacian like the source.
        slope, atom = 1 / distortion, (distortion / scale) ** 2

        def kernel(y):
            return math.exp(-slope * abs(x - y)) * source.density.pdf(y)

        blurred, _ = scipy.integrate.quad(kernel, -12, 12, points=sorted({0.0, x}), limit=200)
        return -math.log(atom * math.exp(-slope * abs(x)) + (1 - atom) * blurred)

    x, weights = np.polynomial.laguerre.laggauss(20)  # of |x| / b
    information = np.array([tilted(scale * value) for value in x])
    variance = weights @ (information - weights @ information) ** 2
    bound = bound_for(source, distortion=Absolute())
    assert bound.dispersion(distortion) == pytest.approx(variance * BITS**2, rel=1e-3)
    numerical = bound_by_blahut_arimoto(source, 2e-3, Absolute())
    assert numerical.dispersion(distortion) == pytest.approx(variance * BITS**2, rel=0.02)


def test_laplacian_under_squared_error_tends_to_the_varentropy():
    # -log p(x) is |x| / b, which has variance one, but for a constant.
    assert bound_for(IIDLaplacian()).dispersion(1e-4) == pytest.approx(BITS**2, rel=0.01)


def test_the_second_time_it_comes_from_the_cache():
    messages = []
    first = bound_for(IIDLaplacian()).dispersion(0.3)
    again = bound_for(IIDLaplacian(), progress=lambda *m: messages.append(m)).dispersion(0.3)
    assert (again, messages) == (first, [])


@pytest.mark.parametrize("source", [IIDGaussian(), IIDLaplacian(), IIDBernoulli()])
def test_where_nothing_is_sent_there_is_none(source):
    assert bound_for(source).dispersion(1.001 * source.variance) is None
    with pytest.raises(InputError, match="distortion=0"):
        bound_for(source).dispersion(0)


def test_laplacian_median_alone():
    assert bound_for(IIDLaplacian(), distortion=Absolute()).dispersion(0.8) is None


def test_samples_do_not_tell():
    for bound in (
        ReverseWaterFilling([[1.0]], exact=False),
        bound_from_samples(Banana(), components=2, count=400),
    ):
        with pytest.raises(InputError, match="leave n out"):
            bound.dispersion(0.1)
