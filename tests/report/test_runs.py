"""Which runs are found, and what is said of those without results."""

import json
import os

import pytest

from ltc.errors import InputError
from ltc.report import find_runs


def test_each_run_is_found_once_with_its_configuration(write_run, tmp_path):
    write_run("sweep/a", lmbda=2)
    write_run("sweep/deeper/b", lmbda=4)
    finished, unfinished = find_runs([tmp_path, tmp_path / "sweep"])
    assert [run.folder.name for run in finished] == ["a", "b"]
    assert finished[0].config == "lmbda: 2\nsteps: 20\n"
    assert finished[1].number("lmbda") == 4
    assert finished[1].number("quantizer") is None
    assert unfinished == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "metrics.json cannot be used: Expecting property name"),
        ("[]", "it holds no object"),
        ("{}", "it lacks source"),
        ('{"source": "x", "quantizer": 3}', "quantizer is 3, expected a name"),
        (
            '{"source": "x", "quantizer": "x", "lmbda": 1, "seed": 0, "rate": NaN}',
            "rate is null, expected a finite number",
        ),
        (
            '{"source": "x", "quantizer": "x", "lmbda": 1, "seed": 0, "rate": 1e999}',
            "rate is null, expected a finite number",
        ),
        (
            '{"source": "x", "quantizer": "x", "lmbda": 1' + 400 * "0" + "}",
            "expected a finite number",
        ),
        (
            '{"source": "\\ud800", "quantizer": "x", "lmbda": 1, "seed": 0, "rate": 1, '
            '"distortion": 1}',
            "surrogates not allowed",
        ),
        (
            '{"source": "x", "quantizer": "x", "lmbda": 1, "seed": 0, "rate": 1, "distortion": -1}',
            "distortion is -1, expected no negative number",
        ),
        (100_000 * "[", "metrics.json cannot be used: maximum recursion depth"),
    ],
)
def test_broken_metrics_are_listed_and_the_others_kept(write_run, tmp_path, text, reason):
    write_run("good")
    broken = write_run("broken", text)
    finished, unfinished = find_runs([tmp_path])
    assert [run.folder.name for run in finished] == ["good"]
    assert [(run.folder, run.state) for run in unfinished] == [(broken, "failed")]
    assert reason in unfinished[0].reason


def test_runs_without_results_tell_why(write_run, tmp_path):
    running = write_run("running")
    (running / "metrics.json").unlink()
    os.utime(running / "config.yaml", (1e9, 1e9))
    failed, silent = tmp_path / "failed", tmp_path / "silent"
    for folder in (failed, silent):
        folder.mkdir()
        (folder / "ltc-train.log").touch()
    (failed / "ltc-train.log").write_text("INFO: a\nERROR: diverged\nINFO: b\n")
    ended = write_run("ended")
    (ended / "metrics.json").unlink()
    (ended / "ltc-train.log").write_text("INFO: a\nERROR: no room\n")
    bound = tmp_path / "bound"  # of ltc-bound, which is no run
    bound.mkdir()
    (bound / "config.yaml").write_text("points: 20\n")
    (tmp_path / "log").mkdir()
    finished, unfinished = find_runs([tmp_path])
    assert finished == []
    assert {run.folder.name: run.state for run in unfinished} == {
        "failed": "failed",
        "silent": "failed",
        "running": "unfinished",
        "ended": "failed",
    }
    reasons = {run.folder.name: run.reason for run in unfinished}
    assert (reasons["failed"], reasons["ended"]) == ("diverged", "no room")
    assert "left no reason" in reasons["silent"]
    assert "no metrics.json yet, last change 2001-09-" in reasons["running"]


def test_runs_that_a_sweep_has_not_come_to(write_run, tmp_path):
    plan = {f"lmbda-{i}": [f"lmbda={i}"] for i in (1, 2)}
    write_run("sweep/lmbda-1")
    (tmp_path / "sweep" / "planned.json").write_text(json.dumps(plan))
    (tmp_path / "planned.json").write_text("[3]")  # somebody else's
    finished, unfinished = find_runs([tmp_path])
    assert [run.folder.name for run in finished] == ["lmbda-1"]
    assert [(run.folder.name, run.state) for run in unfinished] == [("lmbda-2", "not started")]


def test_no_such_folder(tmp_path):
    with pytest.raises(InputError, match="there is no such folder"):
        find_runs([tmp_path / "nowhere"])


def test_a_log_that_cannot_be_read_does_not_end_the_report(write_run, tmp_path):
    write_run("good", lmbda=2)
    (tmp_path / "failed" / "ltc-train.log").mkdir(parents=True)
    finished, (failed,) = find_runs([tmp_path])
    assert [run.folder.name for run in finished] == ["good"]
    assert failed.reason.startswith("ltc-train.log cannot be read: ")
