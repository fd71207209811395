"""Rows of a file: as they are, or refused."""

import numpy as np
import pytest

from ltc.errors import InputError
from ltc.sources import Array


@pytest.fixture
def save(tmp_path):
    def write(array, name="rows.npy"):
        np.save(tmp_path / name, array, allow_pickle=True)
        return tmp_path / name

    return write


@pytest.mark.parametrize("dtype", ["int16", "float16", "float64", "bool"])
def test_rows_as_they_are(save, dtype):
    rows = np.arange(200).reshape(100, 2).astype(dtype)
    source = Array(save(rows), held_out=0.25)
    assert (len(source.train), len(source.test)) == (75, 25)
    together = np.concatenate([source.train.numpy(), source.test.numpy()])
    assert np.sort(together, 0) == pytest.approx(np.sort(rows.astype(float), 0))
    assert source.train.equal(Array(save(rows), held_out=0.25).train)


def test_rows_of_a_class_are_in_both_sets(save):
    source = Array(save(np.repeat(np.arange(10), 100)[:, None]))
    assert set(source.test.flatten().tolist()) == set(range(10))


def test_test_path(save):
    source = Array(save(np.zeros((4, 2))), test_path=save(np.ones((3, 2)), "test.npy"))
    assert (source.train == 0).all()
    assert (source.test == 1).all()
    assert len(source.test) == 3
    with pytest.raises(InputError, match=r"has 2 columns.*test.* 3"):
        Array(save(np.zeros((4, 2))), test_path=save(np.ones((3, 3)), "test.npy"))


def test_two_rows(save):
    source = Array(save(np.eye(2)), held_out=0.99)
    assert len(source.train) == len(source.test) == 1


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(5), r"shape \(5,\); expected \(rows, columns\)"),
        (np.zeros((5, 2, 2)), r"shape \(5, 2, 2\)"),
        (np.zeros((0, 2)), r"shape \(0, 2\)"),
        (np.zeros((1, 2)), "1 row; expected two"),
        (np.array([[0], [np.nan], [1], [np.inf]]), r"2 of 4 rows.*: 1, 3 \(counted from 0\)"),
        (np.array([[0.0], [1e300]]), "beyond 32 bits"),
        (np.array([["a"], ["b"]]), "type <U1"),
        (np.array([[None], [1]]), "dtype is not object"),
        (np.zeros((3, 2), complex), "type complex128"),
        (np.zeros(3, dtype=[("a", float)]), "expected real numbers"),
    ],
)
def test_refused(save, array, message):
    with pytest.raises(InputError, match=message):
        Array(save(array))
