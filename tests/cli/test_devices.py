"""Training on two devices, here two processes of the processor."""

import json
import textwrap

import pytest
import torch

from ltc.cli.train import main
from ltc.training import CoderTraining

QUICK = ["steps=20", "trainer=cpu", "trainer.val_check_interval=10", "bound=none", "logger=csv"]
QUICK += ["refine.samples=20000", "evaluate.samples=20000", "quantizer=a2"]
TWO = ["trainer.devices=2", "trainer.strategy=ddp"]
INTERACTIVE = "lightning.pytorch.trainer.connectors.accelerator_connector._IS_INTERACTIVE"


def test_two_devices_do_in_a_sweep_what_one_does_with_twice_the_batch(call, tmp_path, monkeypatch):
    monkeypatch.setattr(INTERACTIVE, True)  # as in a notebook
    sweep = ["-m", "lmbda=2,8", *QUICK]
    take = CoderTraining.training_step

    def training_step(self, *arguments):
        if self.coder.lmbda == 2 and self.global_step == 15:
            self.trainer.strategy.processes[0].kill()
        take(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(CoderTraining, "training_step", training_step)
        code, out, err = call(main, *sweep, *TWO, "batch=64", "hydra.sweep.dir=two")
    assert code == 1
    assert err.count("the process of device 1 ended: SIGKILL") == 2  # where it was, and at the end
    assert "Traceback" not in err
    assert out.count("held-out samples") == 1
    assert "failed" in out
    code, out, err = call(main, *sweep, *TWO, "batch=64", "hydra.sweep.dir=two")
    assert code == 0, err
    assert call(main, *sweep, "batch=128", "hydra.sweep.dir=one")[0] == 0
    found = {}
    for name in ("one", "two"):
        for path in (tmp_path / name).glob("*/metrics.json"):
            metrics = json.loads(path.read_text())
            state = torch.load(path.parent / "checkpoints" / "last.ckpt", weights_only=True)
            found[name, metrics["lmbda"]] = metrics, state["state_dict"], path.parent
    assert found.keys() == {("one", 2), ("two", 2), ("one", 8), ("two", 8)}
    for lmbda in (2, 8):
        (one, before, folder), (two, after, other) = found["one", lmbda], found["two", lmbda]
        for key, value in before.items():
            torch.testing.assert_close(after[key], value, rtol=1e-5, atol=1e-6)
        assert two["trainer.devices"] == 2
        assert "trainer.devices" not in one
        assert two["rate"] == pytest.approx(one["rate"], rel=1e-3)
        assert two["distortion"] == pytest.approx(one["distortion"], rel=1e-3)
        curves = [(path / "metrics.csv").read_text().split("\n") for path in (folder, other)]
        first = [
            dict(zip(lines[0].split(","), lines[1].split(","), strict=True)) for lines in curves
        ]
        assert float(first[1]["train/loss"]) == pytest.approx(
            float(first[0]["train/loss"]), rel=1e-5
        )


def test_why_another_device_failed_is_told_once(call, tmp_path):
    (tmp_path / "own" / "source").mkdir(parents=True)
    (tmp_path / "own" / "failing.py").write_text(
        textwrap.dedent(
            """
            import sys

            from ltc.sources import IIDGaussian

            class Failing(IIDGaussian):
                def sample(self, count, generator):
                    if "ltc.runs.follower" in sys.orig_argv:
                        raise ValueError("on purpose")
                    return super().sample(count, generator)
            """
        )
    )
    (tmp_path / "own" / "source" / "failing.yaml").write_text(
        "_target_: failing.Failing\ndimension: 2"
    )
    code, _, err = call(main, "--config-dir", "own", "source=failing", *QUICK, *TWO)
    assert code == 1
    (line,) = [line for line in err.splitlines() if "error" in line]
    assert "the process of device 1 ended: InputError: source: failing.Failing" in line
    assert "ValueError('on purpose')" in line


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["trainer.devices=2"], "trainer.strategy=auto with trainer.devices=2"),
        (["trainer.devices=2", "trainer.strategy=ddp_spawn"], "trainer.strategy=ddp on several"),
        (["+trainer.num_nodes=3", "trainer.strategy=ddp"], "and 3 nodes; a run is trained on one"),
        ([*TWO, "quantizer.dither=shared"], "does not go with quantizer.dither=shared"),
        (["trainer.strategy=nonsense"], "trainer: "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_devices_cannot_do(call, arguments, expected):
    code, _, err = call(main, *QUICK, *arguments)
    assert code == 2
    assert expected in err
    assert "Traceback" not in err


def test_no_more_processes_than_processors(call, monkeypatch):
    monkeypatch.setattr("ltc.runs.devices.subprocess.Popen", None)
    code, _, err = call(main, *QUICK, "trainer.devices=1000", "trainer.strategy=ddp")
    assert code == 2
    assert "trainer.devices=1000; expected at most" in err
