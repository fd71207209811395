"""Train, evaluate, record: a run from start to end."""

from __future__ import annotations

import logging
import math
import time
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig
from torch import Tensor
from torch.utils.data import DataLoader

from ltc.coder import LatticeTransformCoder
from ltc.errors import InputError
from ltc.progress import Progress
from ltc.runs.build import build, plain
from ltc.runs.cards import show
from ltc.runs.evaluate import check_memory, evaluate, standing
from ltc.runs.lattice_run import LatticeRun
from ltc.runs.record import (
    Regions,
    choices,
    opened,
    probe,
    quiet,
    record,
    write_metrics,
)
from ltc.runs.run import Run, generator
from ltc.threads import one_thread
from ltc.training import (
    BlockStream,
    CoderTraining,
    Saved,
    TrainingProgress,
    WholeFiles,
    fit_realism,
    initialise_at_rate,
    refine,
)

__all__ = ["train"]

log = logging.getLogger("ltc")

# Scalars of a block that paths without an end are learned in.
MOST = 1 << 15
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
    saved = Saved(folder / "checkpoints" / "last.ckpt")

    def minimise(run: LatticeRun) -> torch.device:
        with _bounded(run.coder, run.source.dimension):
            device = _minimise(run, config, saved, logger)
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
        device = run.fit(minimise)
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


def _bounded(coder: LatticeTransformCoder, dimension: int) -> AbstractContextManager[None]:
    """Let paths without an end be learned in short blocks where they have many channels.

    Arguments:
        coder: the coder.
        dimension: scalars per source vector, d.
    """
    positions = max(8, MOST // (dimension * coder.transform.stride))
    if coder.endless is None or positions >= math.prod(coder.layout.positions):
        return nullcontext()
    return coder.of_length(positions)


def _minimise(run: LatticeRun, config: DictConfig, saved: Saved, logger: Logger) -> torch.device:
    """Train the coder of a run to its best state; returns the device, where the coder stays."""
    source, coder = run.source, run.coder
    module = CoderTraining(
        coder,
        realism=config.get("realism", 0.0),
        learning_rate=config.learning_rate,
        transform_learning_rate=config.transform_learning_rate,
        steps=config.steps,
        gradient_clip=config.gradient_clip,
        noise=partial(generator, config.seed, "noise", "cpu"),
    )
    try:
        trainer = lightning.Trainer(
            **{
                **config.trainer,
                "val_check_interval": min(config.trainer.val_check_interval, config.steps),
            },
            max_steps=config.steps,
            check_val_every_n_epoch=None,
            num_sanity_val_steps=0,
            default_root_dir=saved.path.parent,
            logger=logger,
            callbacks=[saved, TrainingProgress(partial(standing, run), config.steps), Regions(run)],
            plugins=[WholeFiles()],
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
        )
    except (TypeError, ValueError, MisconfigurationException) as error:
        raise InputError(f"trainer: {error}") from error
    devices = trainer.num_devices * trainer.num_nodes
    if devices > 1:
        raise InputError(
            f"trainer.devices and trainer.num_nodes ask for {devices} devices; a run is trained on "
            "one: set them to 1, and let a launcher run those of a sweep side by side"
        )
    device = trainer.strategy.root_device
    block = coder.layout.block

    def stream(name: str, batch: int, count: int, first: int = 0) -> BlockStream:
        generators = partial(generator, config.seed, name, device)
        return BlockStream(source, block, batch, count, generators, first)

    count = min(20_000, max(16, (1 << 20) // (block * source.dimension)))
    coder.to(device)
    rng = generator(config.seed, "initialise", device)
    samples = source.blocks(count, block, rng)
    if coder.quantizer.rate is None:
        coder.initialise(samples)
    else:
        initialise_at_rate(coder, samples)
    # One fixed batch to choose the best checkpoint by; of a finite source it comes from the
    # training set, so that the held-out one stays untouched.
    (validation,) = stream("validation", count, 1)
    # Longer blocks have more to learn from: as many samples in all.
    batch = config.batch or max(1, min(200, (1 << 13) // (block * source.dimension)))
    # A model that can be fitted to another lattice afterwards may learn through a cheaper one.
    lattice = coder.quantizer.lattice
    through = lattice if coder.entropy.trellis is None else lattice.surrogate
    # A step of E8 with 200 blocks took 1.8 ms on one thread and 2 to 8 ms on two.
    with one_thread(when=batch * block * source.dimension <= 1 << 13), coder.through(through):
        trainer.fit(
            module,
            DataLoader(stream("train", batch, config.steps, saved.step), batch_size=None),
            DataLoader([validation], batch_size=None),  # type: ignore[arg-type]
            ckpt_path=saved.start,
        )
        coder.to(device)  # Lightning leaves it on the CPU
        trainer.save_checkpoint(saved.path)
        # The last steps are no worse a candidate than those that a validation happened to follow.
        if not module.validation_loss(validation) <= saved.loss:
            module.load_state_dict(saved.best)
    return device


def _samples_to_refine(run: LatticeRun, device: torch.device) -> Tensor:
    """Return training blocks to fit a coder to, shape (count, block, d).

    Each channel has a density of its own to fit, and with `rdo` a number for every point. A
    matrix fitted to few samples is too large an error: one part in 2,048.
    """
    dimension, block = run.source.dimension, run.coder.layout.block
    least = max(1 << (19 if run.coder.quantizer.rdo else 16), dimension << 11)
    enough = min(max(1 << 19, run.coder.transform.latent_dimension * least), 1 << 22)
    count = run.config["refine"]["samples"] or enough
    rng = generator(run.config["seed"], "refine", device)
    return run.source.blocks(max(16, count // (block * dimension)), block, rng)
