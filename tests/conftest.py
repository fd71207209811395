"""What holds for all tests."""

import json
import math
import random

import numpy as np
import pytest
import torch

from ltc.training import CoderTraining, refinement

torch.set_num_threads(1)  # one worker of pytest-xdist a core


@pytest.fixture(autouse=True)
def _seeded():
    """Whatever a test draws without a generator of its own, it draws again on every run."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


def refine_once(coder, blocks, rounds=2, report=lambda status: None):
    """Refine as a run does, but for two rounds and from one start: a tenth of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(refinement, "STARTS", refinement.STARTS[:1])
        return refinement.refine(coder, blocks, rounds, report)


@pytest.fixture(scope="session", autouse=True)
def _runs_refine_once():
    """What a run of a test trains need not be good; test_refinement.py has the whole of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ltc.runs.train.refine", refine_once)
        yield


@pytest.fixture
def refine_whole(monkeypatch):
    """Let a run refine as long as it does outside of tests."""
    monkeypatch.setattr("ltc.runs.train.refine", refinement.refine)


@pytest.fixture
def end_training():
    """Let training end at a step, by an exception, while a patch holds."""

    def end(patch, step, ending):
        take = CoderTraining.training_step

        def training_step(self, *arguments):
            if self.global_step == step:
                raise ending
            take(self, *arguments)

        patch.setattr(CoderTraining, "training_step", training_step)

    return end


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache for the test alone."""
    monkeypatch.setenv("LTC_CACHE", str(tmp_path))


def metrics(**changes):
    """Return the metrics of a run on the Gaussian source, a given number of bits from R(D)."""
    lmbda = changes.get("lmbda", 8)
    distortion = changes.pop("distortion", 0.5 / lmbda)
    gap = changes.pop("gap", 0.1)
    lower = 0.5 * math.log2(1 / distortion)
    return {
        "source": "iid_gaussian",
        "transform": "linear",
        "quantizer": "e8",
        "entropy": "exact",
        "distortion_measure": "squared",
        "source.dimension": None,
        "source.block": None,
        "quantizer.rdo": False,
        "bound.tolerance": 0.0005,
        "learning_rate": 0.01,
        "lmbda": lmbda,
        "seed": 0,
        "rate": lower + gap,
        "rate_stderr": 0.001,
        "bitstream_rate": lower + gap + 0.01,
        "distortion": distortion,
        "snr_db": -10 * math.log10(distortion),
        "bound": "reverse water-filling",
        "bound_rate_lower": lower,
        "bound_rate_upper": lower + 0.002,
        "gap_bits": gap,
        "gap_db": 6.02 * gap,
        "steps": 20,
        "seconds_total": 1.5,
        "device": "cpu",
        "version": "0.1.0",
        **changes,
    }


@pytest.fixture
def write_run(tmp_path):
    """Write a run's folder, as `ltc-train` does; returns it."""

    def write(name, text=None, **changes):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        found = json.dumps(metrics(**changes)) if text is None else text
        (folder / "metrics.json").write_text(found)
        (folder / "config.yaml").write_text(f"lmbda: {changes.get('lmbda', 8)}\nsteps: 20\n")
        return folder

    return write
