"""A run that was ended goes on as if it had not been."""

import functools
import json

import pytest
import torch

import ltc
from ltc.errors import InputError
from ltc.runs import train as runs_train
from ltc.runs.checkpoint import load
from ltc.training import CoderTraining, batches

QUICK = ["steps=30", "trainer=cpu", "trainer.val_check_interval=10"]
QUICK += [
    "refine.samples=20000",
    "evaluate.samples=2000",
    "logger=csv",
    "bound=none",
    "evaluate.bitstream=false",
    "learning_rate=0.05",
]
TIMES = ("seconds_train", "seconds_total", "peak_memory")
RUNS = {
    "straight through": ["quantizer=a2", "quantizer.rdo=true", "quantizer.train=ste"],
    "dither": [
        "quantizer=d4_dual",
        "quantizer.train=dither",
        "transform=mlp",
        "transform.width=16",
    ],
    "monte carlo": ["quantizer=scalar", "entropy=monte_carlo"],
    "nested": ["quantizer=nested", "quantizer.fine=a2", "quantizer.search=4"],
    "pieces of 3 steps": [
        "source=correlated_vector",
        "quantizer=a2",
        "source.dimension=4",
        "batch=100",
    ],
}


class KilledError(Exception):
    """Something ended the run."""


@functools.cache  # composing one takes longer than many a step
def configuration(*overrides):
    return ltc.configuration(*QUICK, *overrides)


def train(folder, overrides, resume=False):
    _, metrics = runs_train.train(configuration(*overrides).copy(), folder, resume)
    return {key: value for key, value in metrics.items() if key not in TIMES}


def fail(*_, **__):
    raise KilledError


@pytest.mark.parametrize("kind", RUNS)
def test_training_goes_on_as_if_it_had_not_been_ended(tmp_path, monkeypatch, kind, end_training):
    if "pieces" in kind:
        monkeypatch.setattr(batches, "PIECE", 3 * 100 * 4)
    whole = train(tmp_path / "whole", RUNS[kind])
    for step in (4, 27):  # before and after a checkpoint, in the same folder
        with monkeypatch.context() as patch:
            end_training(patch, step, KilledError)
            with pytest.raises(KilledError):
                train(tmp_path / "ended", RUNS[kind], resume=True)
        torch.rand(step)  # the process that goes on has another past
    assert train(tmp_path / "ended", RUNS[kind], resume=True) == whole
    curves = [(tmp_path / name / "metrics.csv").read_text() for name in ("whole", "ended")]
    assert curves[0] == curves[1]
    assert curves[0].count("\n") > 4
    states = [load_state(tmp_path / name) for name in ("whole", "ended")]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def load_state(folder):
    return torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)["coder"]


def test_a_run_trains_on(tmp_path, monkeypatch):
    """Otherwise all of the above would hold of a training that does nothing."""
    few = train(tmp_path / "few", [*RUNS["dither"], "steps=20"])
    many = train(tmp_path / "many", RUNS["dither"])
    assert few["rate"] != many["rate"]
    last = torch.load(tmp_path / "many" / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["global_step"] == 30


AFTER = [*RUNS["straight through"], "steps=25"]  # not where a validation is


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What a run that was not ended comes to."""
    return train(tmp_path_factory.mktemp("whole"), AFTER)


@pytest.mark.parametrize("where", ["refine", "evaluate", "write_metrics"])
def test_what_comes_after_training_is_done_again(tmp_path, monkeypatch, whole, where):
    with monkeypatch.context() as patch:
        patch.setattr(runs_train, where, fail)
        with pytest.raises(KilledError):
            train(tmp_path / "ended", AFTER)
    with pytest.raises(InputError, match="holds a run"):
        train(tmp_path / "ended", AFTER)
    with monkeypatch.context() as patch:
        patch.setattr(CoderTraining, "training_step", fail)  # it is not trained again
        assert train(tmp_path / "ended", AFTER, resume=True) == whole


def test_seconds_count_what_came_before(tmp_path, monkeypatch, end_training):
    with monkeypatch.context() as patch:
        end_training(patch, 15, KilledError)
        with pytest.raises(KilledError):
            train(tmp_path, RUNS["straight through"])
    path = tmp_path / "checkpoints" / "last.ckpt"
    state = torch.load(path, weights_only=True)
    state["callbacks"]["Saved"]["seconds"] = 1000.0
    torch.save(state, path)
    train(tmp_path, RUNS["straight through"], resume=True)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert 1000 < metrics["seconds_train"] < metrics["seconds_total"]


def test_an_unfinished_run_says_how_to_go_on(tmp_path, monkeypatch, end_training):
    end_training(monkeypatch, 15, KilledError)
    with pytest.raises(KilledError):
        train(tmp_path, RUNS["straight through"])
    with pytest.raises(InputError, match="ltc-train resume="):
        load(tmp_path)
    (tmp_path / "checkpoints" / "last.ckpt").write_bytes(b"PK")
    with pytest.raises(InputError, match=r"last\.ckpt is no checkpoint that training can go on"):
        train(tmp_path, RUNS["straight through"], resume=True)
