"""Train, evaluate, record: a run from start to end."""

from __future__ import annotations

import logging
import math
import time
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from hydra.utils import instantiate
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.loggers import Logger
from numpy.typing import NDArray
from omegaconf import DictConfig
from torch import Tensor
from torch.utils.data import DataLoader

from ltc.codec import code_for
from ltc.errors import InputError
from ltc.files import atomic_write
from ltc.progress import Progress
from ltc.runs.build import Run, build, build_source, check, generator, plain
from ltc.runs.checkpoint import save
from ltc.runs.evaluate import evaluate, summarise, summary
from ltc.runs.record import log_metrics, probe, record, write_metrics
from ltc.threads import one_thread
from ltc.training import BlockStream, CoderTraining, TrainingProgress, refine

__all__ = ["train", "train_vector_quantizer"]

log = logging.getLogger("ltc")


def train(config: DictConfig, folder: str | Path) -> tuple[Run, dict[str, Any]]:
    """Train, evaluate, and write `metrics.json`, checkpoints and the log to a folder.

    Arguments:
        config: the configuration of `ltc-train`.
        folder: where the run's files go.

    Returns:
        The trained run and the contents of `metrics.json`.

    Raises:
        InputError: a value cannot be used or the folder cannot be written.
        TrainingDivergedError: the loss became NaN or infinite.
    """
    start = time.perf_counter()
    folder = Path(folder)
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    probe(folder)
    run = build(config)
    if run.source.finite:  # find out now, not after training, whether a block can be filled
        run.held_out(torch.device("cpu"))
    logger = instantiate(config.logger, save_dir=str(folder), name="", version="")
    began = time.perf_counter()
    device = _minimise(run, config, folder, logger)
    if run.coder.entropy.trellis is not None:
        with Progress("fitting to what the encoder produces") as progress:
            blocks = _samples_to_refine(run, device)
            refine(run.coder, blocks, report=lambda status: progress.update(status=status))
            del blocks
    seconds_train = time.perf_counter() - began
    with Progress("freezing and measuring"):
        run.code = code_for(run.coder)
        save(run, folder / "checkpoints" / "best.ckpt")
        metrics = evaluate(run, device)
    metrics["seconds_train"] = seconds_train
    metrics["seconds_total"] = time.perf_counter() - start
    write_metrics(metrics, folder)
    try:
        record(run, metrics, logger)
    except OSError as error:  # of a full disk; the numbers are safe
        log.warning("the log in %s is not whole: %s", folder, error.strerror or error)
    return run, metrics


def _minimise(run: Run, config: DictConfig, folder: Path, logger: Logger) -> torch.device:
    """Train the coder of a run to its best state; returns the device, where the coder stays."""
    source, coder = run.source, run.coder
    module = CoderTraining(
        coder,
        learning_rate=config.learning_rate,
        transform_learning_rate=config.transform_learning_rate,
        steps=config.steps,
        gradient_clip=config.gradient_clip,
    )
    checkpoint = lightning.pytorch.callbacks.ModelCheckpoint(
        dirpath=folder / "checkpoints",
        filename="best",
        monitor="validation/loss",
        save_last=True,
        enable_version_counter=False,
    )
    try:
        trainer = lightning.Trainer(
            **{
                "log_every_n_steps": module.log_every,
                **config.trainer,
                "val_check_interval": min(config.trainer.val_check_interval, config.steps),
            },
            max_steps=config.steps,
            check_val_every_n_epoch=None,
            num_sanity_val_steps=0,
            default_root_dir=folder,
            logger=logger,
            callbacks=[checkpoint, TrainingProgress(run.bound, config.steps)],
            enable_model_summary=False,
            enable_progress_bar=False,
        )
    except (TypeError, ValueError, MisconfigurationException) as error:
        raise InputError(f"trainer: {error}") from error
    device = trainer.strategy.root_device
    block = coder.layout.block

    def stream(name: str, batch: int, count: int) -> BlockStream:
        return BlockStream(source, block, batch, count, generator(config.seed, name, device))

    count = min(20_000, max(16, (1 << 20) // (block * source.dimension)))
    coder.to(device)
    rng = generator(config.seed, "initialise", device)
    coder.initialise(source.sample(count * block, rng).unflatten(0, (-1, block)))
    # One fixed batch to choose the best checkpoint by; of a finite source it comes from the
    # training set, so that the held-out one stays untouched.
    (validation,) = stream("validation", count, 1)
    # Longer blocks have more to learn from: as many samples in all.
    batch = config.batch or max(1, min(200, (1 << 15) // (block * source.dimension)))
    # A model that can be fitted to another lattice afterwards may learn through a cheaper one.
    lattice = coder.quantizer.lattice
    through = lattice if coder.entropy.trellis is None else lattice.surrogate
    # A step of E8 with 200 blocks took 1.8 ms on one thread and 2 to 8 ms on two.
    with one_thread(when=batch * block * source.dimension <= 1 << 13), coder.through(through):
        trainer.fit(
            module,
            DataLoader(stream("train", batch, config.steps), batch_size=None),
            DataLoader([validation], batch_size=None),  # type: ignore[arg-type]
        )
        coder.to(device)  # Lightning leaves it on the CPU
        trainer.save_checkpoint(folder / "checkpoints" / "last.ckpt")
        # The last steps are no worse a candidate than those that a validation happened to follow.
        best = checkpoint.best_model_score
        if best is None or not module.validation_loss(validation) <= float(best):
            state = torch.load(checkpoint.best_model_path, map_location=device, weights_only=True)
            module.load_state_dict(state["state_dict"])
    return device


def _samples_to_refine(run: Run, device: torch.device) -> Tensor:
    """Return training blocks to fit a coder to, shape (count, block, d).

    Each channel has a density of its own to fit, and with `rdo` a number for every point. A
    matrix fitted to few samples is too large an error: one part in 2,048.
    """
    dimension, block = run.source.dimension, run.coder.layout.block
    least = max(1 << (19 if run.coder.quantizer.rdo else 16), dimension << 11)
    count = min(max(1 << 19, run.coder.transform.latent_dimension * least), 1 << 22)
    rng = generator(run.config["seed"], "refine", device)
    return run.source.blocks(max(16, count // (block * dimension)), block, rng)


def train_vector_quantizer(config: DictConfig, folder: str | Path) -> dict[str, Any]:
    """Fit a quantizer without a lattice, evaluate it, and write its files to a folder.

    It is fitted to as many training vectors as a lattice sees, `steps * batch`, of `source.block`
    source vectors each. The folder gets `metrics.json`, the log, and `quantizer.npz`.

    Arguments:
        config: the configuration of `ltc-train`, with `quantizer=ecvq`.
        folder: where the run's files go.

    Returns:
        The contents of `metrics.json`; what a run with a lattice has beyond that is None.

    Raises:
        InputError: a value cannot be used or the folder cannot be written.
    """
    start = time.perf_counter()
    folder = Path(folder)
    probe(folder)
    check(config)
    settings = plain(config.quantizer)
    source = build_source(config, settings.pop("dimension"))
    block = 1 if config.source.block is None else config.source.block
    if not isinstance(block, int) or block < 1:
        raise InputError(f"source.block={block}; expected a positive integer")
    bound = instantiate(config.bound, source=source) if config.bound else None

    def vectors(samples: Tensor) -> NDArray[np.float64]:
        whole = samples[: len(samples) // block * block].double()
        return whole.reshape(-1, block * source.dimension).cpu().numpy()

    began = time.perf_counter()
    count = math.ceil(config.evaluate.samples / source.dimension)
    held_out = vectors(source.held_out(count, generator(config.seed, "held_out")))
    if len(held_out) == 0:
        raise InputError(f"the held-out vectors do not fill one block of {block}; use more data")
    count = config.steps * (config.batch or 200) * block
    samples = vectors(source.training_set(count, generator(config.seed, "train")))
    quantizer = instantiate(settings, samples=samples, lmbda=config.lmbda)
    seconds_train = time.perf_counter() - began
    bits, errors = quantizer.costs(held_out)
    d = samples.shape[1]
    measurement = summarise(torch.from_numpy(bits / d), torch.from_numpy(errors / d))
    metrics = {
        **summary(plain(config), source, measurement, bound, None, torch.device("cpu")),
        "transform": None,
        "entropy": None,
        "seconds_train": seconds_train,
        "seconds_total": time.perf_counter() - start,
    }
    write_metrics(metrics, folder)
    with atomic_write(folder / "quantizer.npz") as path, path.open("wb") as file:
        np.savez(file, **quantizer._asdict())
    logger = instantiate(config.logger, save_dir=str(folder), name="", version="")
    log_metrics(config, metrics, logger)
    logger.finalize("success")
    return metrics
