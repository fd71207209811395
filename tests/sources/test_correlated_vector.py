"""The covariance of a file, checked."""

import numpy as np
import pytest
import torch

from ltc.errors import InputError
from ltc.sources import CorrelatedVector


@pytest.fixture
def save(tmp_path):
    def write(array):
        np.save(tmp_path / "covariance.npy", array, allow_pickle=True)
        return tmp_path / "covariance.npy"

    return write


def test_from_a_file(save):
    matrix = np.array([[2.0, 1.0], [1.0, 3.0]])
    source = CorrelatedVector(covariance=save(matrix))
    assert source.dimension == 2
    assert source.covariance.numpy() == pytest.approx(matrix)
    x = source.sample(100_000, torch.Generator().manual_seed(0)).double()
    assert torch.cov(x.T).numpy() == pytest.approx(matrix, abs=0.05)


def test_singular(save):
    source = CorrelatedVector(covariance=save(np.ones((3, 3))))
    x = source.sample(10, torch.Generator().manual_seed(0))
    assert x[:, 0].allclose(x[:, 1], atol=1e-5)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.eye(3)[:2], r"\(2, 3\).*square"),
        (np.ones(3), r"shape \(3,\)"),
        (np.array([[1.0, 0.5], [0.4, 1.0]]), "not symmetric.*0.5.*0.4"),
        (np.array([[1.0, 2.0], [2.0, 1.0]]), "eigenvalue -1"),
        (np.array([[1.0, np.nan], [0.0, 1.0]]), "NaN"),
        (np.zeros((2, 2)), "zero"),
        (np.eye(2) * 1j, "complex"),
        (np.array([[{}]]), "no .npy file of numbers"),
    ],
)
def test_refused(save, array, message):
    with pytest.raises(InputError, match=message):
        CorrelatedVector(covariance=save(array))


def test_not_an_array(tmp_path):
    (tmp_path / "text.npy").write_text("hello")
    with pytest.raises(InputError, match=r"no \.npy"):
        CorrelatedVector(covariance=tmp_path / "text.npy")
    np.savez(tmp_path / "a.npz", np.eye(2))
    with pytest.raises(InputError, match="archive"):
        CorrelatedVector(covariance=tmp_path / "a.npz")
