"""`ltc-report`."""

import csv
import json
import os

import pytest

from ltc.cli import report, train


@pytest.fixture
def sweep(call, tmp_path):
    """Train a few steps with two quantizers and two lmbdas, and fail once."""
    arguments = (
        "steps=2",
        "evaluate.samples=10000",
        "logger=csv",
        "refine.samples=20000",
        "hydra.sweep.dir=sweep",
    )
    code, *_ = call(train.main, "-m", "quantizer=scalar,a2", "lmbda=2,8", *arguments)
    assert code == 0
    code, *_ = call(train.main, "-m", "quantizer=scalar", "quantizer.scale=-1", *arguments)
    assert code == 2
    return tmp_path / "sweep"


def test_a_sweep_becomes_a_page_tables_and_figures(sweep, call, run, tmp_path):
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
    page = (out / "index.html").read_text(encoding="utf-8")
    assert "quantizer.scale=-1; expected a positive number" in page
    assert "<svg" in (out / "curves.svg").read_text()
    code, printed, said = call(report.main, "sweep", "--json", "--out", "elsewhere")
    assert code == 0
    found = json.loads(printed)  # and nothing else
    assert "elsewhere" in said
    assert (tmp_path / "elsewhere" / "index.html").is_file()
    assert [curve["label"] for curve in found["settings"][0]["curves"]] == ["scalar", "a2"]
    assert [run["state"] for run in found["unfinished"]] == ["failed"]
    assert {run["folder"] for run in found["runs"]} == set(runs)


def test_folders_without_runs_are_refused(run, tmp_path):
    (tmp_path / "empty").mkdir()
    for folder, expected in (("empty", "no run of ltc-train there"), ("nowhere", "no such folder")):
        code, printed = run(folder)
        assert code == 2
        assert expected in printed
    assert not (tmp_path / "empty" / "report").exists()


def test_curves_laid_beside(write_run, tmp_path, run):
    write_run("runs/a")
    (tmp_path / "mine.csv").write_text("rate,snr_db\n1,5\n2,11\n")
    code, printed = run("runs", "--with", "mine=mine.csv", "--with", "paper", "--bytes")
    assert code == 0
    assert "mine" in printed
    assert "LTC, leech (2025)" in printed
    assert "warning" not in printed
    (tmp_path / "mine.csv").write_text("rate,snr_db,source\n1,5,banana\n2,11,banana\n")
    code, printed = run("runs", "--with", "mine=mine.csv")
    assert code == 0
    assert "warning: no run to lay beside, so left out: mine (source=banana)" in printed
    code, printed = run("runs", "--with", "mine=none.csv", "--out", "none")
    assert code == 2
    assert "cannot read none.csv" in printed
    assert not (tmp_path / "none").exists()


def test_markup_in_names_is_shown_as_it_is(write_run, run):
    write_run("runs/a", quantizer="[bold]e8[/]")
    write_run("runs/b", "{")
    code, printed = run("runs")
    assert code == 0
    assert "[bold]e8[/]" in printed
    assert "failed: " in printed


def test_follow_writes_whenever_a_run_ends(write_run, tmp_path, run, monkeypatch):
    (tmp_path / "runs").mkdir()
    page = tmp_path / "runs" / "report" / "index.html"
    seen = []

    def wait(seconds):
        seen.append(page.stat().st_mtime_ns if page.exists() else None)
        if len(seen) in (1, 3):
            write_run(f"runs/{len(seen)}", lmbda=len(seen))
        if len(seen) == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(report.time, "sleep", wait)
    code, printed = run("runs", "--follow")
    assert code == 0
    assert seen[0] is None  # there was none yet, which is no error
    assert seen[1] == seen[2] != seen[3] == seen[4]
    assert printed.count("e8") == 2


def test_names_that_are_no_text_end_nothing(write_run, run, monkeypatch):
    name = os.fsdecode(b"run-\xff")
    try:
        folder = write_run(name)
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    monkeypatch.chdir(folder)
    code, printed = run(str(folder))
    assert code == 0, printed
    assert (folder / "report" / "index.html").exists()
