"""Brackets contain what is known in closed form."""

import numpy as np
import pytest
import scipy.stats

from ltc.bounds import ReverseWaterFilling, bound_for
from ltc.errors import InputError
from ltc.sources import IIDGaussian, IIDLaplacian, IIDUniform


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LTC_CACHE", str(tmp_path))


@pytest.mark.parametrize("rate", [0.1, 1.0, 2.5, 5.0])
def test_gaussian(rate):
    lower, upper = bound_for(IIDGaussian(4)).bracket(4.0**-rate)
    assert lower <= rate <= upper
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


class Correlated:
    """A Gaussian vector that is known by its density."""

    density = None
    dimension = 2
    key = {"source": "correlated"}  # noqa: RUF012
    covariance = np.array([[1.0, 0.9], [0.9, 1.0]])

    def log_density(self, x):
        return scipy.stats.multivariate_normal(cov=self.covariance).logpdf(x)

    def support(self):
        return np.array([[-6.5, 6.5]] * 2)


@pytest.mark.parametrize("distortion", [0.5, 0.15, 0.03])
def test_separable_kernel(distortion):
    lower, upper = bound_for(Correlated(), tolerance=2e-3).bracket(distortion)
    truth, _ = ReverseWaterFilling(Correlated.covariance).bracket(distortion)
    assert lower <= truth <= upper
    assert upper - lower < 2e-3


def test_second_time_from_cache():
    messages = []
    bound_for(IIDLaplacian(2), progress=messages.append).bracket(0.3)
    assert messages
    messages.clear()
    bound_for(IIDLaplacian(1), progress=messages.append).bracket(0.3)
    assert not messages


def test_bad_distortion():
    with pytest.raises(InputError, match="distortion"):
        bound_for(IIDGaussian()).bracket(0.0)
