"""`ltc-report`."""

import csv
import json

import pytest

from ltc.cli import train


@pytest.fixture
def sweep(call, tmp_path):
    """Train a few steps with two quantizers and two lmbdas, and fail once."""
    arguments = ("steps=2", "evaluate.samples=10000", "hydra.sweep.dir=sweep")
    code, *_ = call(train.main, "-m", "quantizer=scalar,a2", "lmbda=2,8", *arguments)
    assert code == 0
    code, *_ = call(train.main, "-m", "quantizer=scalar", "quantizer.scale=-1", *arguments)
    assert code == 2
    return tmp_path / "sweep"


def test_a_sweep_becomes_tables_and_figures(sweep, call, run):
    from ltc.cli.report import main

    code, printed = run("sweep")
    assert code == 0
    assert "a2" in printed
    assert "quantizer.scale=-1; expected a positive number" in printed  # as ltc-train said it
    out = sweep / "report"
    with (out / "points.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["curve"], row["lmbda"]) for row in rows] == [
        ("scalar", "2"), ("scalar", "8"), ("a2", "2"), ("a2", "8"),
    ]  # fmt: skip
    with (out / "runs.csv").open(newline="") as stream:
        runs = {row["folder"]: row for row in csv.DictReader(stream)}
    for folder, row in runs.items():
        with open(f"{folder}/metrics.json") as stream:
            assert float(row["rate"]) == json.load(stream)["rate"]
    assert (out / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (out / "curves.svg").read_text()
    code, printed, said = call(main, "sweep", "--json", "--out", "elsewhere")
    assert code == 0
    report = json.loads(printed)  # and nothing else
    assert "elsewhere" in said
    assert [curve["label"] for curve in report["settings"][0]["curves"]] == ["scalar", "a2"]
    assert [run["state"] for run in report["unfinished"]] == ["failed"]
    assert {run["folder"] for run in report["runs"]} == set(runs)


def test_folders_without_runs_are_refused(run, tmp_path):
    (tmp_path / "empty").mkdir()
    for folder, expected in (("empty", "no run of ltc-train there"), ("nowhere", "no such folder")):
        code, printed = run(folder)
        assert code == 2
        assert expected in printed
    assert not (tmp_path / "empty" / "report").exists()
