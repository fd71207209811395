"""Train over a range of lmbda from a script, as `ltc-train -m` does from the command line."""

import argparse
import tempfile
from collections.abc import Sequence

import numpy as np

import ltc


def parsed(
    parser: argparse.ArgumentParser, arguments: Sequence[str]
) -> tuple[argparse.Namespace, list[str]]:
    """Return options, and what is given as KEY=VALUE, wherever it stands: overrides of runs."""
    overrides = [one for one in arguments if "=" in one and not one.startswith("-")]
    return parser.parse_args([one for one in arguments if one not in overrides]), overrides


def train_once(*overrides: str) -> ltc.Result:
    """Run `ltc-train` with overrides in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        return ltc.train(*overrides, folder=folder)


def run(*overrides: str) -> dict:
    """Run `ltc-train` with overrides; print and return its metrics.

    What is printed is enough for a row of a table that is ended before it is whole.
    """
    metrics = train_once(*overrides).metrics
    written = metrics["bitstream_rate"]
    numbers = [
        f"rate {metrics['rate']:.4f}",
        *([] if written is None else [f"written {written:.4f}"]),
        f"SNR {metrics['snr_db']:.3f} dB",
        f"{metrics['seconds_total']:.0f} s",
    ]
    print(f"{' '.join(overrides)}: {', '.join(numbers)}", flush=True)
    return metrics


# What a factor of 4 in lmbda brings at high rate: a bit, or 20 log10 2 decibels.
PER_FACTOR_4 = {"rate": 1.0, "snr_db": 6.02}


def bracket(key: str, value: float, *overrides: str, lmbda: float) -> list[dict]:
    """Return runs on both sides of a rate or an SNR, found by moving lmbda."""
    runs = [run(*overrides, f"lmbda={lmbda:.4g}")]
    while min(m[key] for m in runs) > value or max(m[key] for m in runs) < value:
        nearest = min(runs, key=lambda m: abs(m[key] - value))
        missing = (value - nearest[key]) / PER_FACTOR_4[key]
        # Overshoot a little, so that the next run lands on the other side.
        lmbda = nearest["lmbda"] * 4 ** (missing + 0.05 * np.sign(missing))
        runs.append(run(*overrides, f"lmbda={lmbda:.4g}"))
    return runs


def interpolate(runs: list[dict], key: str, value: float, result: str) -> float:
    """Interpolate `result` at `key` = value; rates are linear in the SNR in dB."""
    runs = sorted(runs, key=lambda m: m[key])
    return float(np.interp(value, [m[key] for m in runs], [m[result] for m in runs]))
