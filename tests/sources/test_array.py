"""Rows of a file: of variance one or as they are, split at random or by place, or refused."""

import logging

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


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("dtype", ["int16", "float16", "float64", "bool"])
def test_all_rows_come_back(save, dtype, normalise):
    rows = (np.arange(200) % 150).reshape(100, 2).astype(dtype)
    rows[::3, 1] = 0
    source = Array(save(rows), held_out=0.25, normalise=normalise)
    assert (len(source.train), len(source.test)) == (75, 25)
    together = np.concatenate([source.train.numpy(), source.test.numpy()]).astype(float)
    together = together * source.gain + source.offset
    assert np.sort(together, 0) == pytest.approx(np.sort(rows.astype(float), 0), abs=1e-4)
    assert source.train.equal(Array(save(rows), held_out=0.25, normalise=normalise).train)
    if not normalise:
        assert (source.offset, source.gain) == (0, 1)


def test_training_rows_have_variance_one_and_held_out_rows_the_same_map(save):
    rng = np.random.default_rng(0)
    # An offset that 32 bits could not hold beside the deviation.
    path = save(1.7e9 + rng.normal(0, 3, (5000, 4)))
    test = save(1.7e9 + rng.normal(0, 6, (5000, 4)), "test.npy")
    source = Array(path, test_path=test)
    assert float(source.train.mean()) == pytest.approx(0, abs=1e-5)
    assert float(source.train.var(correction=0)) == pytest.approx(1, abs=1e-5)
    assert source.variance == pytest.approx(4, rel=0.1)
    assert source.gain == pytest.approx(3, rel=0.1)
    assert Array(path).variance == pytest.approx(1, rel=0.1)


def test_split_by_place_holds_out_the_last_rows(save, caplog):
    rows = np.arange(100.0)[:, None]
    with caplog.at_level(logging.INFO, "ltc"):
        source = Array(save(rows), split="place", normalise=False)
    assert source.test.flatten().tolist() == list(range(90, 100))
    assert source.train.flatten().tolist() == list(range(90))
    assert source.split == "place"
    assert "10 of 100 rows held out (source.split=place" in caplog.text
    assert Array(save(rows)).split == "random"
    with pytest.raises(InputError, match="expected random or place"):
        Array(save(rows), split="time")
    with pytest.raises(InputError, match="expected true or false"):
        Array(save(rows), normalise=1)


def test_rows_of_a_class_are_in_both_sets(save):
    source = Array(save(np.repeat(np.arange(10), 100)[:, None]), normalise=False)
    assert set(source.test.flatten().tolist()) == set(range(10))


def test_test_path(save):
    train, test = np.arange(8.0).reshape(4, 2), np.arange(10.0, 16.0).reshape(3, 2)
    source = Array(save(train), test_path=save(test, "test.npy"), normalise=False)
    assert (source.train.numpy() == train).all()
    assert (source.test.numpy() == test).all()
    assert source.split == "file"
    with pytest.raises(InputError, match=r"has 2 columns.*test.* 3"):
        Array(save(train), test_path=save(np.ones((3, 3)), "test.npy"))


@pytest.mark.parametrize("rows", [3, 4, 10, 19])
def test_few_rows_have_a_variance(save, rows):
    source = Array(save(np.random.default_rng(0).normal(size=(rows, 8))))
    assert len(source.test) == 2
    assert len(source.train) == rows - 2
    assert source.variance > 0


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(5), r"shape \(5,\); expected \(rows, columns\)"),
        (np.zeros((5, 2, 2)), r"shape \(5, 2, 2\)"),
        (np.zeros((0, 2)), r"shape \(0, 2\)"),
        (np.zeros((1, 2)), "1 row; expected two"),
        (np.array([[0], [np.nan], [1], [np.inf]]), r"2 of 4 rows.*: 1, 3 \(counted from 0\)"),
        (np.arange(9.0)[:, None] * 1e300, "multiply them by a constant"),
        (np.full((100, 2), 0.1), "all training values are 0.1: a constant source"),
        (np.repeat(np.arange(2.0), [1, 99])[:, None], "held-out vectors do not differ"),
        (np.eye(2), "held-out vectors do not differ.*use more rows"),
        (np.array([["a"], ["b"]]), "type <U1"),
        (np.array([[None], [1]]), "numpy.save\\(FILE, array\\)"),
        (np.zeros((3, 2), complex), "type complex128"),
        (np.zeros(3, dtype=[("a", float)]), "expected real numbers"),
    ],
)
def test_refused(save, array, message):
    with pytest.raises(InputError, match=message):
        Array(save(array))


@pytest.mark.parametrize(("gain", "offset"), [(1e100, 0.0), (1e-30, 0.0), (1.0, 1e8)])
def test_numbers_that_32_bits_do_not_hold_are_refused_as_they_are(save, gain, offset):
    rows = save(gain * np.arange(9.0)[:, None] + offset)
    assert float(Array(rows).train.std(correction=0)) == pytest.approx(1)
    with pytest.raises(InputError, match=r"use source\.normalise=true"):
        Array(rows, normalise=False)


def test_held_out_numbers_beyond_32_bits_are_refused_as_they_are(save, tmp_path):
    np.save(tmp_path / "held_out.npy", np.arange(9.0)[:, None] * 1e100)
    with pytest.raises(InputError, match="beyond 32 bits"):
        Array(save(np.arange(9.0)[:, None]), tmp_path / "held_out.npy", normalise=False)
