"""Train, evaluate, record: a run from start to end."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor

from ltc.checks import digest
from ltc.progress import Progress
from ltc.runs.build import build, plain
from ltc.runs.cards import show
from ltc.runs.evaluate import check_memory, evaluate
from ltc.runs.lattice_run import LatticeRun
from ltc.runs.minimise import bounded, minimise
from ltc.runs.record import (
    choices,
    opened,
    probe,
    quiet,
    record,
    write_metrics,
)
from ltc.runs.run import Run, facts, generator
from ltc.runs.values import dotted
from ltc.training import (
    Saved,
    fit_realism,
    refine,
)

__all__ = ["train"]

log = logging.getLogger("ltc")

# Scalars that a decoder is fitted to where their distribution counts.
SOME = 1 << 17


def train(
    config: DictConfig, folder: str | Path, resume: bool = False
) -> tuple[Run, dict[str, Any]]:
    """Train, evaluate, and write `metrics.json`, checkpoints and the log to a folder.

    Arguments:
        config: the configuration of `ltc-train`.
        folder: where the run's files go.
        resume: whether to go on with what a run of this configuration left in the folder. The
            result is the same as if it had not been ended.

    Returns:
        The trained run and the contents of `metrics.json`.

    Raises:
        InputError: a value cannot be used or the folder cannot be written.
        TrainingDivergedError: the loss became NaN or infinite.
    """
    start = time.perf_counter()
    folder = Path(folder)
    quiet()
    probe(folder, resume)
    run = build(config)
    check_memory(run)
    # Find out now, not after training, whether a block can be filled.
    if run.source.finite and not run.source.whole:
        run.held_out(torch.device("cpu"))
    began = time.perf_counter()
    chosen = {key: value for key, value in dotted(plain(config)) if key != "resume"}
    known = repr(run.source.variance) if run.source.whole else run.source.covariance
    chosen["the source's data"] = digest(repr(facts(run.source)), known)
    saved = Saved(folder / "checkpoints" / "last.ckpt", chosen)

    def fit(run: LatticeRun) -> torch.device:
        with bounded(run):
            device = minimise(run, config, saved, logger)
            coder = run.coder
            dither, has_trellis = coder.quantizer.dither, coder.entropy.trellis is not None
            if has_trellis or dither != "none":
                with Progress("fitting to what the encoder produces") as progress:
                    blocks = _samples_to_refine(run, device)
                    # Under a shared dither training has seen already what the encoder produces.
                    if has_trellis and dither != "shared":
                        refine(coder, blocks, report=lambda status: progress.update(status=status))
                    if dither != "none":
                        scalars = coder.layout.block * run.source.dimension
                        some = blocks[: max(16, SOME // scalars)]
                        fit_realism(coder, some, config.get("realism", 0))
            run.config["lmbda"] = coder.lmbda  # another, where the quantizer has a rate
        return device

    with opened(plain(config.logger), folder, saved.step) as logger:
        show(logger, "choices", "choices", lambda: choices(run), 0)
        device = run.fit(fit)
        seconds_train = saved.seconds + time.perf_counter() - began
        with Progress("freezing and measuring"):
            run.finish(folder)
            metrics = evaluate(run, device)
        metrics["seconds_train"] = seconds_train
        metrics["seconds_total"] = saved.seconds + time.perf_counter() - start
        write_metrics(metrics, folder)
        try:
            record(run, metrics, logger)
        except OSError as error:  # of a full disk; the numbers are safe
            log.warning("the log in %s is not whole: %s", folder, error.strerror or error)
    return run, metrics


def _samples_to_refine(run: LatticeRun, device: torch.device) -> Tensor:
    """Return training blocks to fit a coder to, shape (count, block, d).

    Each channel has a density of its own to fit, and with `rdo` a number for every point. A
    matrix fitted to few samples is too large an error: one part in 2,048.
    """
    dimension, block = run.source.dimension, run.coder.layout.block
    least = max(1 << (19 if run.coder.quantizer.rdo else 16), dimension << 11)
    channels = run.coder.transform.latent_dimension
    enough = min(max(1 << 19, channels * least), 1 << 22)
    count = (run.config["refine"]["samples"] or enough) * dimension // max(dimension, channels)
    rng = generator(run.config["seed"], "refine", device)
    return run.source.blocks(max(16, count // (block * dimension)), block, rng)
