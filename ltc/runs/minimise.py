"""Training the coder of a run by gradient."""

from __future__ import annotations

import math
import os
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import lightning
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger
from lightning.pytorch.strategies import SingleDeviceStrategy
from omegaconf import DictConfig
from torch.utils.data import DataLoader

from ltc.errors import InputError
from ltc.runs.build import plain
from ltc.runs.devices import OnDevices
from ltc.runs.evaluate import standing
from ltc.runs.lattice_run import LatticeRun
from ltc.runs.record import Regions
from ltc.runs.run import generator
from ltc.threads import one_thread
from ltc.training import (
    BlockStream,
    CoderTraining,
    Saved,
    TrainingProgress,
    WholeFiles,
    initialise_at_rate,
)

__all__ = ["bounded", "minimise"]

# Scalars of a block that paths without an end are learned in.
MOST = 1 << 15


def bounded(run: LatticeRun) -> AbstractContextManager[None]:
    """Let paths without an end be learned in short blocks where they have many channels."""
    coder = run.coder
    positions = max(8, MOST // (run.source.dimension * coder.transform.stride))
    if coder.endless is None or positions >= math.prod(coder.layout.positions):
        return nullcontext()
    return coder.of_length(positions)


def minimise(
    run: LatticeRun,
    config: DictConfig,
    saved: Saved,
    logger: Logger | None,
    strategy: OnDevices | None = None,
) -> torch.device:
    """Train the coder of a run to its best state.

    Arguments:
        run: the run.
        config: its configuration.
        saved: its checkpoint.
        logger: takes the curves; None: there is nothing to be shown.
        strategy: of the process of another device.

    Returns:
        The device, where the coder stays.

    Raises:
        InputError: the trainer cannot be what the configuration says.
        TrainingDivergedError: the loss became NaN or infinite.
    """
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
    shown = [TrainingProgress(partial(standing, run), config.steps), Regions(run)]
    trainer = _trainer(config, saved, strategy, logger, shown if logger is not None else [])
    devices = trainer.num_devices
    if devices > 1 and coder.quantizer.dither == "shared":
        raise InputError(
            f"trainer.devices={config.trainer.devices} does not go with quantizer.dither=shared, "
            "whose statistics are those of a whole batch: use trainer.devices=1"
        )
    device, number = trainer.strategy.root_device, trainer.global_rank
    block = coder.layout.block

    def stream(name: str, batch: int, count: int, **part: Any) -> BlockStream:
        generators = partial(generator, config.seed, name, device)
        mixed = coder.transform.by_vector
        return BlockStream(source, block, batch, count, generators, mixed, **part)

    strategy = trainer.strategy if isinstance(trainer.strategy, OnDevices) else None
    with strategy.together(plain(config), saved.path) if strategy else nullcontext():
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
        # Each device has its part of what one would draw, and of the same noise.
        part = slice(number * batch, (number + 1) * batch)
        train = stream("train", devices * batch, config.steps, first=saved.step, part=part)
        # A model that can be fitted to another lattice afterwards may learn through a cheaper one.
        lattice = coder.quantizer.lattice
        through = lattice if coder.entropy.trellis is None else lattice.surrogate
        # A step of E8 with 200 blocks took 1.8 ms on one thread and 2 to 8 ms on two.
        with one_thread(when=batch * block * source.dimension <= 1 << 13), coder.through(through):
            if strategy is not None:
                strategy.meet()
            trainer.fit(
                module,
                DataLoader(train, batch_size=None),
                DataLoader([validation], batch_size=None),  # type: ignore[arg-type]
                ckpt_path=saved.start,
            )
            coder.to(device)  # Lightning leaves it on the CPU
            trainer.save_checkpoint(saved.path)
            # The last steps are no worse a candidate than those that a validation happened to
            # follow.
            if not module.validation_loss(validation) <= saved.loss:
                module.load_state_dict(saved.best)
    return device


def _trainer(
    config: DictConfig,
    saved: Saved,
    strategy: OnDevices | None,
    logger: Logger | None,
    shown: list[Callback],
) -> lightning.Trainer:
    settings = dict(config.trainer)
    settings["val_check_interval"] = min(settings["val_check_interval"], config.steps)
    if settings.get("strategy") == "ddp":
        settings["strategy"] = strategy or OnDevices()
    try:
        trainer = lightning.Trainer(
            **settings,
            max_steps=config.steps,
            check_val_every_n_epoch=None,
            num_sanity_val_steps=0,
            default_root_dir=saved.path.parent,
            logger=logger or False,
            callbacks=[saved, *shown],
            plugins=[WholeFiles()],
            use_distributed_sampler=False,  # streams know their parts
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
        )
    except (TypeError, ValueError, MisconfigurationException) as error:
        raise InputError(f"trainer: {error}") from error
    if trainer.num_nodes > 1 or not isinstance(trainer.strategy, OnDevices | SingleDeviceStrategy):
        raise InputError(
            f"trainer.strategy={config.trainer.get('strategy', 'auto')} with trainer.devices="
            f"{config.trainer.devices} and {trainer.num_nodes} nodes; a run is trained on one "
            "device, or with trainer.strategy=ddp on several of one machine"
        )
    # Each is a process, which takes half a gigabyte; two show what several do, on any machine.
    most = max(2, os.cpu_count() or 1)
    if isinstance(trainer.accelerator, CPUAccelerator) and trainer.num_devices > most:
        raise InputError(
            f"trainer.devices={config.trainer.devices}; expected at most {most}, the processors of "
            "this machine"
        )
    return trainer
