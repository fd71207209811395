"""Folders of runs, written as `ltc-train` does."""

import json
import math

import pytest


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
def write(tmp_path):
    """Write a run's folder; returns it."""

    def write_run(name, text=None, **changes):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        found = json.dumps(metrics(**changes)) if text is None else text
        (folder / "metrics.json").write_text(found)
        (folder / "config.yaml").write_text(f"lmbda: {changes.get('lmbda', 8)}\nsteps: 20\n")
        return folder

    return write_run
