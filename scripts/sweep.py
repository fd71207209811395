"""Train over a range of lmbda from a script, as `ltc-train -m` does from the command line."""

import tempfile

import numpy as np
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig

from ltc.cli.command import config_directory
from ltc.experiment import train


def run(*overrides: str) -> dict:
    """Run `ltc-train` with overrides in a temporary folder; return its metrics."""
    with initialize_config_dir(str(config_directory()), version_base="1.3"):
        config = compose("train", list(overrides), return_hydra_config=True)
    HydraConfig.instance().set_config(config)
    config = config.copy()
    del config._content["hydra"]
    with tempfile.TemporaryDirectory() as folder:
        _, metrics = train(config, folder)
    print(
        f"{' '.join(overrides)}: rate {metrics['rate']:.4f}, SNR {metrics['snr_db']:.3f} dB",
        flush=True,
    )
    return metrics


def at_rate(rate: float, *overrides: str, lmbda: float) -> list[dict]:
    """Return runs on both sides of a rate, found by moving lmbda.

    At high rate a bit more costs a factor of 4 in lmbda, which says where to look next.
    """
    runs = [run(*overrides, f"lmbda={lmbda:.4g}")]
    while min(m["rate"] for m in runs) > rate or max(m["rate"] for m in runs) < rate:
        nearest = min(runs, key=lambda m: abs(m["rate"] - rate))
        missing = rate - nearest["rate"]
        # Overshoot a little, so that the next run lands on the other side.
        lmbda = nearest["lmbda"] * 4 ** (missing + 0.05 * np.sign(missing))
        runs.append(run(*overrides, f"lmbda={lmbda:.4g}"))
    return sorted(runs, key=lambda m: m["rate"])


def interpolate(runs: list[dict], key: str, value: float, result: str) -> float:
    """Interpolate `result` at `key` = value; rates are linear in the SNR in dB."""
    runs = sorted(runs, key=lambda m: m[key])
    return float(np.interp(value, [m[key] for m in runs], [m[result] for m in runs]))
