"""`ltc-train` from the command line's point of view."""

import io
import json
import math
import sys

import numpy as np
import pytest
import torch
from rich.console import Console

from ltc.cli import train
from ltc.cli.train import table
from ltc.runs.checkpoint import load

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
    assert "count the model's rate" in words
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
        ({"rate": -1e-9}, ["rate 0.0000 ± "]),
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


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["iid_gaussian"], "expected KEY=VALUE; did you mean source=iid_gaussian?"),
        (["source", "iid_gaussian"], "source: expected KEY=VALUE, as in source=NAME"),
        (["source=iid_gausian"], "did you mean iid_gaussian"),
        (["quantizer=e88"], "did you mean e8"),
        (["quantizr=e8"], "did you mean quantizer"),
        (["quantizer=[e8,a2]"], "quantizer=[e8,a2]: expected one quantizer; several are for -m"),
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
        (["hydra.run.dir=/dev/null/x"], "/dev/null"),
        (["source.dimension=0"], "source.dimension=0; expected a positive integer"),
        (["lmbda"], "lmbda: expected KEY=VALUE"),
        (["hydra.run.dir=own/a=b"], "hydra.run.dir=own/a=b is no KEY=VALUE (mismatched input '='"),
        (["+ckpt=somewhere"], "there is no key ckpt"),
        (["~lmbda"], "~lmbda: the key is read; give it a value"),
        (["transform.depth=3"], "no key transform.depth; transform=mlp would take it"),
        (["quantizer=generator"], "quantizer.matrix is not set"),
        (["batch=1000000000000"], "this does not fit into memory; a smaller batch"),
        (["lmbda=1e9"], "lmbda=1e+09; expected at most 1.21e+07"),
        (["quantizer=trellis", "quantizer.length=1000000"], "from 8 to 65536"),
        (["evaluate.samples=1e6", "seed=-1"], "seed=-1"),
        (["gradient_clip=-1"], "gradient_clip=-1; expected a number from 0"),
        (["trainer.val_check_interval=0"], "val_check_interval=0; expected a positive integer"),
        (["transform=mlp", "transform.width=1e4"], "a transform of 200,320,000 weights; expected"),
        (["transform.latent_dimension=1e5"], "an integer from 1 to 32"),
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


@pytest.mark.parametrize(("code", "ended"), [(130, SystemExit), (2, ImportError)])
def test_a_sweep_that_ends_amid_an_import_ends_as_interrupted(monkeypatch, tmp_path, code, ended):
    def command(*_, **__):
        sys.exit(code)

    monkeypatch.setattr(train, "command", command)
    monkeypatch.setattr(train, "noted", lambda: [(tmp_path, None)])
    monkeypatch.setitem(sys.modules, "ltc.runs.sweep", None)  # what cannot be imported
    with pytest.raises(ended) as found:
        train.main()
    assert ended is ImportError or found.value.code == code
