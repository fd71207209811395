"""Tables on disk."""

import csv
import importlib.util

import pyarrow.parquet
import pytest

from ltc.report import Report
from ltc.report.tables import has_parquet, write_tables


@pytest.fixture
def report(write_run, tmp_path):
    """Runs that differ in what they have, and in the type of it."""
    write_run("runs/a", lmbda=2, **{"quantizer.states": 8, "quantizer.matrix": [[1, 0], [0, 1]]})
    write_run("runs/b", lmbda=2.5, **{"quantizer.states": "many", "quantizer.rdo": True})
    write_run("runs/c", lmbda=4, quantizer='a "quoted", name\n', bitstream_rate=None)
    return Report.of([tmp_path / "runs"])


def test_csv_and_parquet_hold_the_same(report, tmp_path):
    files = write_tables(report, tmp_path / "out")
    names = ("runs", "points", "differences")
    expected = [f"{name}{suffix}" for name in names for suffix in (".csv", ".parquet")]
    assert [file.name for file in files] == expected
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == sorted(expected)
    for name in names:
        with (tmp_path / "out" / f"{name}.csv").open(newline="") as stream:
            rows = list(csv.DictReader(stream))
        other = pyarrow.parquet.read_table(tmp_path / "out" / f"{name}.parquet").to_pylist()
        assert [list(row) for row in rows] == [list(row) for row in other]
        for row, same in zip(rows, other, strict=True):
            assert row == {k: "" if v is None else str(v) for k, v in same.items()}


def test_what_is_of_several_types_is_json(report, tmp_path):
    write_tables(report, tmp_path)
    rows = pyarrow.parquet.read_table(tmp_path / "runs.parquet").to_pylist()
    assert [row["quantizer.states"] for row in rows] == ["8", '"many"', None]
    assert rows[0]["quantizer.matrix"] == "[[1, 0], [0, 1]]"
    assert [row["lmbda"] for row in rows] == [2.0, 2.5, 4.0]
    assert rows[2]["quantizer"] == 'a "quoted", name\n'
    assert rows[2]["bitstream_rate"] is None


def test_without_the_extra_there_is_no_parquet(report, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert not has_parquet()
    assert [file.suffix for file in write_tables(report, tmp_path / "out")] == [".csv"] * 3
