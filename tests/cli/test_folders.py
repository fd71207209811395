"""The folders of `ltc-train`: one run's alone, which can go on in it; those of a sweep too."""

import fcntl
import io
import json
import re

import pytest
from rich.console import Console

from ltc.cli.folders import new_folder
from ltc.cli.sweep import sweep_table
from ltc.cli.train import main
from ltc.runs.checkpoint import load

SMALL = [
    "steps=20",
    "refine.samples=20000",
    "evaluate.samples=2000",
    "trainer=cpu",
    "trainer.val_check_interval=10",
    "quantizer=scalar",
    "logger=csv",
]


@pytest.fixture
def run(call):
    """Run `ltc-train`; return its exit code and what it printed."""

    def run_main(*arguments):
        code, out, err = call(main, *arguments)
        return code, out + err

    return run_main


def only_metrics(folder):
    return [json.loads(path.read_text()) for path in sorted(folder.rglob("metrics.json"))]


def test_a_run_is_never_replaced(run, tmp_path):
    folder = f"hydra.run.dir={tmp_path / 'same'}"
    code, _ = run(folder, *SMALL, "lmbda=-1")  # a run that fails keeps nothing
    assert code == 2
    code, _ = run("lmbda=2", folder, *SMALL)
    assert code == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("same/**/*") if path.is_file()}
    code, output = run("lmbda=3", folder, *SMALL)
    assert code == 2
    assert "holds a run already" in output
    after = {path: path.read_bytes() for path in tmp_path.rglob("same/**/*") if path.is_file()}
    assert after == before
    assert load(tmp_path / "same").coder.lmbda == 2


def test_of_two_runs_in_a_folder_one_is_refused(run, tmp_path):
    folder = tmp_path / "same"
    folder.mkdir()
    (folder / "config.yaml").write_text("claimed by another process")
    code, output = run(f"hydra.run.dir={folder}", *SMALL)
    assert code == 2
    assert "under way" in output
    assert (folder / "config.yaml").read_text() == "claimed by another process"


def test_sweep_has_a_folder_for_each_run_and_survives_a_failure(run, tmp_path):
    code, output = run("-m", "lmbda=1,-1,4", *SMALL[:-1])  # TensorBoard
    assert code == 2
    assert "lmbda=-1; expected a positive number" in output
    metrics = only_metrics(tmp_path)
    assert sorted(m["lmbda"] for m in metrics) == [1, 4]
    names = {path.parent.name for path in tmp_path.rglob("metrics.json")}
    assert any("lmbda-1_quantizer-scalar" in name for name in names)
    assert list(tmp_path.glob("outputs/*/curves/events.out.tfevents*"))


def test_a_sweep_whose_folder_cannot_be_made_is_refused(run, tmp_path):
    (tmp_path / "taken").write_text("")
    code, output = run("-m", "lmbda=1,2", "hydra.sweep.dir=taken", *SMALL)
    assert code == 2
    assert output == "error: cannot use taken: File exists; choose another file or folder\n"


def test_folders_of_the_same_second_are_not_shared(tmp_path):
    folders = {new_folder(str(tmp_path), "2026-01-01_00-00-00") for _ in range(3)}
    assert len(folders) == 3


def test_an_interrupted_run_says_how_to_go_on_and_does(run, tmp_path, monkeypatch, end_training):
    with monkeypatch.context() as patch:
        end_training(patch, 15, KeyboardInterrupt)
        code, output = run(*SMALL, "hydra.run.dir=mine")
    folder = tmp_path / "mine"
    assert code == 130
    (line,) = (line for line in output.splitlines() if line.startswith("interrupted"))
    assert line == f"interrupted; go on with ltc-train resume={folder}"
    assert (folder / "checkpoints" / "last.ckpt").exists()
    code, output = run(*SMALL, "hydra.run.dir=mine")
    assert code == 2
    assert f"ltc-train resume={folder} goes on" in output
    for arguments, expected in (
        (["lmbda=3", "resume=mine"], "beside it would change lmbda; leave"),
        (["resume=mine", "hydra.run.dir=yours"], "leave out hydra.run.dir"),
        (["resume=nothing"], "there is no run in it to go on with"),
        (["-m", "resume=mine"], "resume= takes one run"),
    ):
        code, output = run(*arguments)
        assert (code, expected in output) == (2, True), output
    assert not (tmp_path / "nothing").exists()
    with (folder / "config.yaml").open() as claim:
        fcntl.flock(claim, fcntl.LOCK_EX)
        code, output = run("resume=mine")
        assert (code, "under way in another process" in output) == (2, True)
    claim = folder / "config.yaml"
    whole = claim.read_text()
    claim.write_text(re.sub("^(lmbda|steps): .*$", r"\1: 1000", whole, flags=re.M))
    code, output = run("resume=mine")
    assert (code, "trained with other values of lmbda, steps" in output) == (2, True), output
    claim.write_text(whole)
    (folder / "checkpoints" / ".unfinished.last.x.ckpt").write_text("half a checkpoint")
    code, output = run("resume=mine", "seed=0")  # what it says already
    assert code == 0, output
    assert not list(folder.rglob(".unfinished*"))
    before = (folder / "metrics.json").read_bytes()
    code, output = run("resume=mine")
    assert (code, "was finished before" in output) == (0, True)
    assert "this lattice at high rate" in output
    assert (folder / "metrics.json").read_bytes() == before
    for text in ('{"rate": 1}', "[]", "{"):
        (folder / "metrics.json").write_text(text)
        code, output = run("resume=mine")
        assert (code, "metrics.json is not as ltc-train wrote it" in output) == (2, True), output


def test_a_configuration_of_somebody_else_builds_only_what_is_known(run, tmp_path):
    code, _ = run(*SMALL, "hydra.run.dir=mine")
    config = (tmp_path / "mine" / "config.yaml").read_text()
    (tmp_path / "evil").mkdir()
    evil = config.replace("ltc.transforms.Linear", "os.system")
    assert evil != config
    (tmp_path / "evil" / "config.yaml").write_text(evil)
    code, output = run("resume=evil")
    assert code == 2
    assert "it asks for os.system" in output
    evil = config.replace("lmbda: ", f"lmbda: ${{new_folder:{tmp_path},made}}  # ", 1)
    assert evil != config
    (tmp_path / "evil" / "config.yaml").write_text(evil)
    code, output = run("resume=evil")
    assert code == 2
    assert "evil/config.yaml: it holds '${new_folder" in output
    assert not (tmp_path / "made").exists()


def lines(shown):
    """Return the lines of a table's body."""
    console = Console(width=300, file=io.StringIO())
    console.print(shown)
    return [line for line in console.file.getvalue().splitlines() if line.startswith("│")]


def test_broken_metrics_do_not_end_the_table_of_a_sweep(tmp_path):
    (tmp_path / "sweep" / "one").mkdir(parents=True)
    (tmp_path / "sweep" / "one" / "metrics.json").write_text("{")
    assert list(sweep_table(tmp_path / "sweep").columns[1].cells) == ["failed"]


def test_a_sweep_started_again_runs_what_is_missing_or_failed(
    run, tmp_path, monkeypatch, end_training
):
    sweep = ["lmbda=1,2", "-m", "hydra.sweep.dir=sweep", *SMALL]
    with monkeypatch.context() as patch:
        end_training(patch, 15, KeyboardInterrupt)
        code, output = run(*sweep)
    assert code == 130
    assert f"go on with the same sweep and hydra.sweep.dir={tmp_path / 'sweep'}" in output
    rows = [row.replace("│", " ").split() for row in lines(sweep_table(tmp_path / "sweep"))]
    assert rows == [["lmbda=1", "unfinished"], ["lmbda=2", "not", "started"]]
    with monkeypatch.context() as patch:
        end_training(patch, 5, ValueError("by mistake"))
        code, output = run(*sweep)
    assert code == 1
    first, second = sorted(path for path in (tmp_path / "sweep").iterdir() if path.is_dir())
    assert (first / "metrics.json").exists()  # gone on with from step 10, past the mistake
    assert not (second / "config.yaml").exists()
    rows = lines(sweep_table(tmp_path / "sweep"))
    assert "SNR (dB)" in output
    assert all(f" {name} " in row for name, row in zip(("lmbda=1", "lmbda=2"), rows, strict=True))
    assert ["failed" in row for row in rows] == [False, True]
    times = (first / "metrics.json").stat().st_mtime_ns
    code, output = run(*sweep)
    assert code == 0
    assert (first / "metrics.json").stat().st_mtime_ns == times
    metrics = only_metrics(tmp_path)
    assert sorted(m["lmbda"] for m in metrics) == [1, 2]
    assert "SNR (dB)" in output
    rows = lines(sweep_table(tmp_path / "sweep"))
    for m, row in zip(sorted(metrics, key=lambda m: m["lmbda"]), rows, strict=True):
        shown = (m["rate"], 4), (m["snr_db"], 3), (m["gap_bits"], 4), (m["seconds_total"], 1)
        assert row.replace("│", " ").split()[1:] == [f"{value:.{n}f}" for value, n in shown]
    code, output = run(*sweep, "evaluate.samples=4000")
    assert code == 0  # folders of their own: the overrides differ
    (first / "config.yaml").write_text("lmbda: 1\nseed: 3")
    code, output = run(*sweep)
    assert code == 2
    assert "another configuration, which differs in" in output
