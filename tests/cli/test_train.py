"""`ltc-train` from the command line's point of view."""

import fcntl
import io
import json
import math

import numpy as np
import pytest
import torch
from rich.console import Console

from ltc.cli.folders import new_folder
from ltc.cli.sweep import sweep_table
from ltc.cli.train import table
from ltc.runs.checkpoint import load
from ltc.training import CoderTraining

QUICK = ["steps=20", "refine.samples=20000", "evaluate.samples=20000", "trainer=cpu"]
QUICK += ["logger=csv"]


def only_metrics(folder):
    return [json.loads(path.read_text()) for path in sorted(folder.rglob("metrics.json"))]


def test_main_job(run, tmp_path, refine_whole):
    code, output = run("source=iid_gaussian", "quantizer=e8", *QUICK)
    assert code == 0
    (metrics,) = only_metrics(tmp_path)
    rate, distortion = metrics["rate"], metrics["distortion"]
    shannon = 0.5 * math.log2(1 / distortion)
    assert metrics["bound_rate_lower"] <= shannon <= metrics["bound_rate_upper"]
    assert metrics["gap_bits"] == pytest.approx(rate - metrics["bound_rate_lower"])
    assert metrics["gap_db"] == pytest.approx(20 * math.log10(2) * (rate - shannon), abs=0.02)
    assert metrics["gap_bits"] > 0
    assert metrics["bitstream_rate"] is None or metrics["bitstream_rate"] >= rate * 0.99
    assert {metrics[key] for key in ("source", "transform", "quantizer", "entropy")} == {
        "iid_gaussian",
        "linear",
        "e8",
        "exact",
    }
    assert "gap to R(D)" in output
    words = " ".join(output.split())
    assert "standard error over blocks" in words
    assert "counts the model's rate" in words
    assert "bound=samples" not in words


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({}, ["Held out: fresh samples", "of the bitstream 0.5000"]),
        ({"source.root": None}, ["Held out: files that were not trained on"]),
        (
            {"source.split": "place", "source.held_out": 0.1, "source.test_path": None},
            ["Held out: 10% of the rows, the last"],
        ),
        (
            {"source.split": "random", "source.test_path": "rows.npy"},
            ["Held out: the rows of rows"],
        ),
        (
            {"bound_rate_lower": None},
            ["rate over this bound 0.3000", "so no gap: bound=samples finds one"],
        ),
        (
            {"bound.tolerance": 1e-3, "bound": None}
            | dict.fromkeys(("bound_rate_lower", "bound_rate_upper", "gap_bits", "gap_db")),
            ["No limit of R(D) is known for this source and distortion"],
        ),
        ({"bitstream_rate": None}, ["rate of the bitstream - "]),
        ({"high_rate_gap": 0.1763}, ["this lattice at high rate, ½ log2(2πeG) 0.1763"]),
        ({"distortion_stderr": math.nan}, ["distortion 0.2 MSE"]),
    ],
)
def test_the_table_says_what_its_numbers_are(facts, said):
    metrics = {"source": "s", "transform": "t", "quantizer": "q", "entropy": "e", "lmbda": 8}
    metrics |= {"rate": 1.4, "rate_stderr": 0.01, "distortion": 0.2, "distortion_stderr": 0.01}
    metrics |= {"distortion_measure": "squared"}
    metrics |= {"snr_db": 7.0, "bound": "exact", "bound_rate_lower": 1.1, "bound_rate_upper": 1.1}
    metrics |= {"gap_bits": 0.3, "gap_db": 1.8, "bitstream_rate": 1.6}
    metrics |= {"seconds_train": 1.0, "seconds_total": 2.0, **facts}
    console = Console(width=100, file=io.StringIO())
    console.print(table(metrics))
    printed = " ".join(console.file.getvalue().replace("│", " ").split())
    assert "±: standard error over blocks" in printed
    for text in said:
        assert text in printed


@pytest.mark.parametrize(
    ("length", "shape"),
    [
        (9, ["source.dimension=12"]),
        (8, ["source.dimension=20", "transform.latent_dimension=3"]),
        (13, ["source.dimension=13", "quantizer.states=64"]),
    ],
)
def test_a_trellis_runs_across_blocks_of_any_latent(run, tmp_path, length, shape):
    trellis = ["quantizer=trellis", f"quantizer.length={length}"]
    code, output = run("source=correlated_vector", *trellis, *shape, *QUICK, "steps=2")
    assert code == 0, output
    (metrics,) = only_metrics(tmp_path)
    assert 0.99 * metrics["rate"] <= metrics["bitstream_rate"] < metrics["rate"] + 0.2
    assert load(next(tmp_path.rglob("best.ckpt"))).coder.layout.block == length


@pytest.mark.parametrize(
    ("override", "expected"),
    [("length=7", "7"), ("length=3.5", "3.5"), ("states=3", "3"), ("states=100000", "100000")],
)
def test_a_trellis_that_cannot_be_built(run, override, expected):
    code, output = run("quantizer=trellis", f"quantizer.{override}", *QUICK)
    assert code == 2
    assert expected in output
    assert "Traceback" not in output


def test_vector_quantizer(run, tmp_path):
    source = ["source=correlated_vector", "source.dimension=2"]
    code, output = run(*source, "quantizer=ecvq", "lmbda=2", *QUICK)
    assert code == 0
    assert "correlated_vector · ecvq · lmbda 2" in output
    (metrics,) = only_metrics(tmp_path)
    assert metrics["transform"] is metrics["entropy"] is metrics["bitstream_rate"] is None
    assert 0 < metrics["gap_bits"] < 0.25
    with np.load(next(tmp_path.rglob("quantizer.npz"))) as data:
        assert data["points"].shape == (len(data["lengths"]), 2)
    code, output = run("source=iid_gaussian", "quantizer=ecvq", "quantizer.dimension=5", *QUICK)
    assert code == 2
    assert "d from 1 to 4" in output


def test_runs_repeat_and_checkpoints_reproduce_them(run, tmp_path):
    for _ in range(2):
        code, _ = run("quantizer=a2", "seed=3", *QUICK)
        assert code == 0
    first, second = only_metrics(tmp_path)
    for key in ("rate", "distortion"):
        assert first[key] == second[key]
    checkpoint = next(tmp_path.rglob("best.ckpt"))
    loaded = load(checkpoint)
    blocks = loaded.held_out(torch.device("cpu"))
    with torch.no_grad():
        points = loaded.coder.encode(blocks)
        rate = loaded.coder.bits(points).mean() / 2
    assert float(rate) == pytest.approx(first["rate"], abs=1e-5)


def test_a_run_is_never_replaced(run, tmp_path):
    folder = f"hydra.run.dir={tmp_path / 'same'}"
    code, _ = run(folder, *QUICK, "lmbda=-1")  # a run that fails keeps nothing
    assert code == 2
    code, _ = run("lmbda=2", folder, *QUICK)
    assert code == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("same/**/*") if path.is_file()}
    code, output = run("lmbda=3", folder, *QUICK)
    assert code == 2
    assert "holds a run already" in output
    after = {path: path.read_bytes() for path in tmp_path.rglob("same/**/*") if path.is_file()}
    assert after == before
    assert load(tmp_path / "same").coder.lmbda == 2


def test_of_two_runs_in_a_folder_one_is_refused(run, tmp_path):
    folder = tmp_path / "same"
    folder.mkdir()
    (folder / "config.yaml").write_text("claimed by another process")
    code, output = run(f"hydra.run.dir={folder}", *QUICK)
    assert code == 2
    assert "under way" in output
    assert (folder / "config.yaml").read_text() == "claimed by another process"


def test_sweep_has_a_folder_for_each_run_and_survives_a_failure(run, tmp_path):
    code, output = run("-m", "lmbda=1,-1,4", "quantizer=scalar", *QUICK[:-1])  # TensorBoard
    assert code == 2
    assert "lmbda=-1; expected a positive number" in output
    metrics = only_metrics(tmp_path)
    assert sorted(m["lmbda"] for m in metrics) == [1, 4]
    names = {path.parent.name for path in tmp_path.rglob("metrics.json")}
    assert any("lmbda-1_quantizer-scalar" in name for name in names)
    assert list(tmp_path.glob("outputs/*/curves/events.out.tfevents*"))


def test_folders_of_the_same_second_are_not_shared(tmp_path):
    folders = {new_folder(str(tmp_path), "2026-01-01_00-00-00") for _ in range(3)}
    assert len(folders) == 3


SMALL = [
    "steps=20",
    "refine.samples=20000",
    "trainer.val_check_interval=10",
    "evaluate.samples=2000",
    "trainer=cpu",
]
SMALL += ["quantizer=scalar", "logger=csv"]


def end_at(patch, ending, step=15):
    """Let training end at a step."""
    take = CoderTraining.training_step

    def training_step(self, *arguments):
        if self.global_step == step:
            raise ending
        take(self, *arguments)

    patch.setattr(CoderTraining, "training_step", training_step)


def test_an_interrupted_run_says_how_to_go_on_and_does(run, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        end_at(patch, KeyboardInterrupt)
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


def test_a_sweep_started_again_runs_what_is_missing_or_failed(run, tmp_path, monkeypatch):
    sweep = ["-m", "lmbda=1,2", "hydra.sweep.dir=sweep", *SMALL]
    with monkeypatch.context() as patch:
        end_at(patch, KeyboardInterrupt)
        code, output = run(*sweep)
    assert code == 130
    assert f"go on with the same sweep and hydra.sweep.dir={tmp_path / 'sweep'}" in output
    rows = [row.replace("│", " ").split() for row in lines(sweep_table(tmp_path / "sweep"))]
    assert rows == [["lmbda=1", "unfinished"], ["lmbda=2", "not", "started"]]
    with monkeypatch.context() as patch:
        end_at(patch, ValueError("by mistake"), step=5)
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


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["source=iid_gausian"], "did you mean iid_gaussian"),
        (["quantizer=e88"], "did you mean e8"),
        (["quantizr=e8"], "did you mean quantizer"),
        (["lmbd=2"], "did you mean lmbda"),
        (["quantizer.scal=1"], "did you mean quantizer.scale"),
        (["+quantizer.nonsense=1"], "nonsense"),
        (["lmbda=0"], "lmbda=0; expected a positive number"),
        (["lmbda=-2"], "lmbda=-2; expected a positive number"),
        (["lmbda=large"], "lmbda=large; expected a positive number"),
        (["lmbda=nan"], "expected a positive number"),
        (["steps=0"], "steps=0; expected a positive integer"),
        (["batch=1.5"], "batch=1.5; expected a positive integer"),
        (["seed=-1"], "seed=-1"),
        (
            ["transform.latent_dimension=12", "source.block=1"],
            "12 channels, no multiple of the lattice's dimension 8",
        ),
        (
            ["source.block=12", "source.dimension=2"],
            "source.block=12 is no multiple of the lattice's dimension 8",
        ),
        (["quantizer.scale=-1"], "quantizer.scale=-1"),
        (["quantizer=nested", "quantizer.fine=e88"], "there is no lattice e88; did you mean e8"),
        (["quantizer=nested", "quantizer.fine=nested"], "there is no lattice nested"),
        (["quantizer=nested", "quantizer.ratio=1"], "quantizer.ratio=1; expected an integer"),
        (["quantizer=nested", "quantizer.search=-1"], "quantizer.search=-1; expected"),
        (["quantizer.train=noise"], "expected dither or ste"),
        (["transform=mlp", "transform.activation=step"], "expected one of relu"),
        (["++evaluate.nonsense=1"], "nothing would read it"),
        (["+trainer.nonsense=1"], "nonsense"),
        (
            ["trainer.devices=2", "+trainer.strategy=ddp"],
            "ask for 2 devices; a run is trained on one",
        ),
        (["+trainer.num_nodes=3"], "ask for 3 devices; a run is trained on one"),
        (["hydra.run.dir=/dev/null/x"], "/dev/null"),
        (["source.dimension=0"], "source.dimension=0; expected a positive integer"),
        (["lmbda"], "missing EQUAL"),
        (["+ckpt=somewhere"], "there is no key ckpt"),
        (["transform.depth=3"], "no key transform.depth; transform=mlp would take it"),
        (["quantizer=generator"], "quantizer.matrix is not set"),
        (["batch=1000000000000"], "this does not fit into memory; a smaller batch"),
        (["lmbda=1e9"], "lmbda=1e+09; expected at most 1.21e+07"),
        (["quantizer=trellis", "quantizer.length=1000000"], "from 8 to 65536"),
        (["evaluate.samples=1e6", "seed=-1"], "seed=-1"),
        (["gradient_clip=-1"], "gradient_clip=-1; expected a number from 0"),
        (["trainer.val_check_interval=0"], "val_check_interval=0; expected a positive integer"),
        (["transform=mlp", "transform.width=1e6"], "this does not fit into memory"),
        (["refine=null"], "refine=None; expected a group"),
        (["trainer=null"], "a group is null or a number; expected a name"),
        (["source=3"], "a group is null or a number; expected a name"),
        (["evaluate.samples=1e13"], "evaluate.samples=1e+13 does not fit into memory"),
        (["refine.samples=1e13"], "refine.samples=1e+13 does not fit into memory"),
        (["evaluate.bitstream=no"], "evaluate.bitstream=no; expected true or false"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_message_and_exit_code_2(run, arguments, expected):
    others = [one for one in QUICK if not arguments[0].startswith(f"{one.partition('.')[0]}=")]
    code, output = run(*others, *arguments)
    assert code == 2
    assert expected in output
    assert "Traceback" not in output


def test_verbose_shows_the_traceback(run):
    code, output = run("lmbda=0", "-v")
    assert code == 2
    assert "Traceback" in output


def test_divergence_is_reported(run):
    code, output = run("learning_rate=1e30", "transform_learning_rate=1e30", "steps=200")
    assert code == 1
    assert "lower learning_rate" in output


@pytest.mark.parametrize("train", ["ste", "dither"])
@pytest.mark.parametrize("transform", ["identity", "linear", "mlp"])
def test_every_transform_and_training(run, tmp_path, train, transform):
    code, _ = run(f"transform={transform}", "quantizer=d4_dual", f"quantizer.train={train}", *QUICK)
    assert code == 0
    (metrics,) = only_metrics(tmp_path)
    assert 0 < metrics["gap_bits"] < 0.4


def test_fixed_rate(run, tmp_path):
    lattice = ["quantizer.fine=dn", "+quantizer.dimension=6", "quantizer.ratio=3"]
    code, _ = run("quantizer=nested", *lattice, "quantizer.search=8", "bound=none", *QUICK)
    assert code == 0
    (metrics,) = only_metrics(tmp_path)
    assert metrics["quantizer"] == "nested-d6"
    assert metrics["entropy"] == "fixed_rate"
    assert metrics["dimension"] == 6
    assert metrics["rate"] == pytest.approx(math.log2(3), rel=1e-12)
    assert metrics["rate_stderr"] < 1e-9
    # Up to 64 bits a stream, and the header.
    assert metrics["rate"] <= metrics["bitstream_rate"] < metrics["rate"] + 800 / 20000
    assert metrics["snr_db"] > 7
    loaded = load(next(tmp_path.rglob("best.ckpt")))
    assert loaded.coder.quantizer.lattice.dimension == 6
    with torch.no_grad():
        blocks = loaded.held_out(torch.device("cpu"))
        error = (loaded.coder.decode(loaded.coder.encode(blocks)) - blocks).square().mean()
    assert float(error) == pytest.approx(metrics["distortion"], rel=1e-5)


def test_checkpoints_are_not_unpickled(tmp_path):
    import os

    from ltc.errors import InputError

    class Payload:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "executed"),)

    torch.save({"hyper_parameters": Payload()}, tmp_path / "evil.ckpt")
    with pytest.raises(InputError, match="not a checkpoint"):
        load(tmp_path / "evil.ckpt")
    assert not (tmp_path / "executed").exists()
    with pytest.raises(InputError, match="there is no file"):
        load(tmp_path / "missing.ckpt")
