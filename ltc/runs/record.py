"""What a run leaves behind: `metrics.json` and the log."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.loggers import Logger, TensorBoardLogger

from ltc.errors import InputError
from ltc.files import atomic_write
from ltc.runs.figures import operating_point, quantization_regions
from ltc.runs.run import Run, generator

__all__ = ["probe", "quiet", "record", "write_metrics"]


def quiet() -> None:
    """Let Lightning say nothing but errors."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)


def probe(folder: Path, resume: bool = False) -> None:
    """Find out before training, not after it, whether a folder can be written.

    Arguments:
        folder: where a run's files are to go.
        resume: whether an unfinished run may be there.

    Raises:
        InputError: it cannot, or it holds a run, which is never replaced.
    """
    unfinished = (folder / "checkpoints" / "last.ckpt").exists() and not resume
    if (folder / "metrics.json").exists() or unfinished:
        raise InputError(f"{folder} holds a run already; choose another folder or remove that one")
    with atomic_write(folder / "probe") as path:
        path.write_text("")
    (folder / "probe").unlink()


def record(run: Run, metrics: dict[str, Any], logger: Logger) -> None:
    """Log the parameters, the final metrics and the figures of a run.

    Arguments:
        run: a trained run.
        metrics: the contents of `metrics.json`.
        logger: TensorBoard's lists runs side by side and shows the figures; others get the
            numbers.
    """
    # TensorBoard shows the first columns first: what runs are compared by, before the rest.
    first = ("gap_bits", "rate", "snr_db", "bitstream_rate", "distortion", "gap_db")
    numbers = {
        f"evaluation/{key}": metrics[key]
        for key in (*first, "bound_rate_lower", "bound_rate_upper", "seconds_train")
        if metrics[key] is not None
    }
    config, steps = run.config, run.config["steps"]
    parameters = {**config["name"], **{key: config[key] for key in ("lmbda", "seed", "steps")}}
    if isinstance(logger, TensorBoardLogger):
        logger.log_hyperparams(parameters, numbers)
        writer = logger.experiment
        rng = generator(config["seed"], "figures", metrics["device"])
        with torch.no_grad():
            latents = run.latents(run.source.blocks(1000, run.block, rng))
        for channel in range(min(latents.shape[1], 16)):
            writer.add_histogram(f"latent/{channel}", latents[:, channel], steps)
        if run.bound is not None and metrics["snr_db"] is not None:
            figure = operating_point(metrics, run.bound, run.source.variance)
            writer.add_figure("operating point", figure, steps)
        if run.source.dimension == 2:
            writer.add_figure("quantization regions", quantization_regions(run, rng), steps)
    else:
        logger.log_hyperparams(parameters)
        logger.log_metrics(numbers)
    logger.finalize("success")


def write_metrics(metrics: dict[str, Any], folder: Path) -> None:
    """Write `metrics.json` to a folder, whole or not at all; what is not finite becomes null."""
    finite = {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in metrics.items()
    }
    with atomic_write(folder / "metrics.json") as temporary:
        temporary.write_text(json.dumps(finite, indent=2, allow_nan=False) + "\n")
