"""A finished run again: on other data, with another seed, of other sample counts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import lightning
from lightning.fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig
from torch import Tensor

from ltc.errors import InputError
from ltc.runs.checkpoint import rebuild
from ltc.runs.evaluate import check_memory, evaluate
from ltc.runs.record import quiet
from ltc.runs.run import Run
from ltc.runs.seen import seen_again

if TYPE_CHECKING:
    from ltc.sources import Source

__all__ = ["evaluate_again"]

# The share of rows beyond what was the same in training and held-out set then.
LEAK = 0.2


def evaluate_again(
    config: DictConfig, state: dict[str, Any], checkpoint: str
) -> tuple[Run, dict[str, Any]]:
    """Evaluate what a checkpoint holds; its metrics are not written yet.

    Arguments:
        config, state: as of `rebuild`.
        checkpoint: where it came from.

    Returns:
        The run and the contents of `metrics.json`: those of a run, `seconds_train` missing (None),
        and `ckpt`.

    Raises:
        InputError: a value cannot be used, or the data is of another kind than the coder's.
    """
    start = time.perf_counter()
    quiet()
    devices = config.trainer.devices
    # The samples that a seed stands for depend on the device: it is chosen as training chose it.
    try:
        trainer = lightning.Trainer(
            accelerator=config.trainer.accelerator,
            devices=1 if isinstance(devices, int) else devices,  # or the one of a number
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
    except (TypeError, ValueError, MisconfigurationException) as error:
        raise InputError(f"trainer: {error}") from error
    run, device = rebuild(config, state, f"ckpt={checkpoint}", trainer.strategy.root_device)
    _refuse_leak(state, run.source)
    check_memory(run)
    metrics = {**evaluate(run, device), "ckpt": checkpoint}
    metrics["seconds_total"] = time.perf_counter() - start
    return run, metrics


def _refuse_leak(state: dict[str, Any], source: Source) -> None:
    """Refuse to measure on what was trained on, beyond what rows resembled each other then."""
    trained, before = state.get("seen"), state.get("seen_again")
    if not isinstance(trained, Tensor) or not isinstance(before, float):  # of an older version
        return
    share = seen_again(trained.flatten().long(), source)
    if share > before + LEAK:
        raise InputError(
            f"{share:.0%} of what would be measured on are rows that the run was trained on; give "
            "other data, or leave the source and its split as they were"
        )
