"""A finished run again: on other data, with another seed, of other sample counts."""

import time
from typing import Any

import lightning
from lightning.fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig

from ltc.errors import InputError
from ltc.runs.checkpoint import rebuild
from ltc.runs.evaluate import check_memory, evaluate
from ltc.runs.record import quiet
from ltc.runs.run import Run

__all__ = ["evaluate_again"]


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
    _refuse_leak(state.get("rows"), getattr(run.source, "rows", None))
    check_memory(run)
    metrics = {**evaluate(run, device), "ckpt": checkpoint}
    metrics["seconds_total"] = time.perf_counter() - start
    return run, metrics


def _refuse_leak(trained: Any, now: Any) -> None:
    """Refuse another split of the same `rows`: it would hold out what was trained on."""
    same = now and isinstance(trained, list) and trained[:1] == now[:1]
    if same and trained != now and now[1] != "file":
        raise InputError(
            "source.held_out and source.split would measure on rows that the run was trained on; "
            "give other data with source.path=FILE or source.test_path=FILE"
        )
