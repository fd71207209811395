"""Train over a range of lmbda from a script, as `ltc-train -m` does from the command line."""

import tempfile

import numpy as np
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from ltc.cli.command import config_directory
from ltc.runs.run import Run
from ltc.runs.train import train


def configuration(*overrides: str) -> DictConfig:
    """Return the configuration of `ltc-train` with overrides."""
    with initialize_config_dir(str(config_directory()), version_base="1.3"):
        config = compose("train", list(overrides), return_hydra_config=True)
    HydraConfig.instance().set_config(config)
    config = config.copy()
    del config._content["hydra"]
    return config


def train_once(*overrides: str) -> tuple[Run, dict]:
    """Run `ltc-train` with overrides in a temporary folder; return the run and its metrics."""
    config = configuration(*overrides)
    with tempfile.TemporaryDirectory() as folder:
        return train(config, folder)


def run(*overrides: str) -> dict:
    """Run `ltc-train` with overrides; print and return its metrics."""
    _, metrics = train_once(*overrides)
    print(
        f"{' '.join(overrides)}: rate {metrics['rate']:.4f}, SNR {metrics['snr_db']:.3f} dB",
        flush=True,
    )
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
