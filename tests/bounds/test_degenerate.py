"""Degenerate sources get a clear answer or a clear error."""

import numpy as np
import pytest
import scipy.stats

from ltc.bounds import ReverseWaterFilling, bound_for
from ltc.bounds.quadrature import gaussian_density, scalar_density, vector_density
from ltc.errors import InputError
from ltc.sources import Array, IIDGaussian


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("LTC_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.full((100, 2), 3.0), "constant|all the same"),
        (np.zeros((1, 2)), "row"),
        (np.zeros((0, 2)), "at least one"),
        (np.full((100, 2), np.nan), "NaN"),
    ],
    ids=["constant", "one sample", "none", "NaN"],
)
@pytest.mark.parametrize("from_samples", [False, True])
def test_arrays(rows, message, from_samples):
    np.save("rows.npy", rows)
    with pytest.raises(InputError, match=message):
        bound_for(Array("rows.npy"), from_samples=from_samples)


def test_duplicated_rows():
    np.save("rows.npy", np.repeat([[0.0, 1.0], [2.0, 5.0]], 500, axis=0))
    bound = bound_for(Array("rows.npy"), from_samples=True)
    lower, upper = bound.bracket(0.05)
    assert 0 <= lower <= upper < 1


@pytest.mark.parametrize("density", [scipy.stats.cauchy(), scipy.stats.t(1.5), scipy.stats.t(2)])
def test_infinite_variance(density):
    with pytest.raises(InputError, match=r"variance (inf|nan)"):
        scalar_density(density)


def test_densities():
    with pytest.raises(InputError, match=r"integrates to 0\.5"):
        vector_density(lambda x: np.full(x.shape[:-1], np.log(0.5)), [[0, 1], [0, 1]])
    for support in ([[0, 0]], [[0, np.inf]], [[0, 1]] * 4):
        with pytest.raises(InputError, match="support"):
            vector_density(lambda x: x.sum(-1), support)


def test_a_flat_gaussian_has_no_density():
    with pytest.raises(InputError, match="too flat for a grid"):
        gaussian_density([[1.0, 1.0], [1.0, 1.0]])


@pytest.mark.parametrize("covariance", [[[0.0]], [[np.nan]], [[1, 2], [2, 1]], [[1, 2]]])
def test_covariances(covariance):
    with pytest.raises(InputError, match="covariance"):
        ReverseWaterFilling(covariance)


@pytest.mark.parametrize("distortion", [-1.0, np.nan, np.inf])
def test_distortions(distortion):
    with pytest.raises(InputError, match="distortion"):
        bound_for(IIDGaussian()).bracket(distortion)
