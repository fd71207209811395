"""What a run leaves behind: `metrics.json` and the log."""

import json
import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import lightning
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger

from ltc.checks import digest
from ltc.errors import InputError
from ltc.files import atomic_write
from ltc.runs.cards import show
from ltc.runs.evaluate import parameters
from ltc.runs.figures import (
    latents,
    operating_point,
    pictures,
    quantization_regions,
    single,
)
from ltc.runs.run import Run

__all__ = ["Regions", "choices", "opened", "probe", "quiet", "record", "write_metrics"]


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


@contextmanager
def opened(settings: dict[str, Any], folder: Path, step: int = 0) -> Iterator[Logger]:
    """Yield the logger of a run, and close it.

    What its YAML file leaves open (null) is filled in: `name` and `run_name` are those of the
    folder, `id` is always the same for it, and `purge_step` is the step from which a run goes on,
    what was logged after it being logged again.

    Arguments:
        settings: the group `logger` of the configuration; `save_dir` is within the folder.
        folder: where a run's files go.
        step: from which it goes on; 0: it begins.

    Raises:
        InputError: its package is not installed.
    """
    known = {"name": folder.name, "run_name": folder.name, "purge_step": step}
    known["id"] = digest(str(folder.absolute()))[:12]
    open_ones = {key: known[key] for key in known.keys() & settings if settings[key] is None}
    save_dir = folder / settings.get("save_dir", "")
    try:
        logger = instantiate({**settings, **open_ones, "save_dir": str(save_dir)})
    except InstantiationException as error:
        if not isinstance(error.__cause__, ModuleNotFoundError):
            raise
        raise InputError(
            f'{settings["_target_"]} is an extra: pip install ".[loggers]" in the clone of ltc'
        ) from error
    try:
        show(logger, "begin", "begin", lambda: None, step)
        yield logger
        logger.finalize("success")
    finally:
        show(logger, "end", "end", lambda: None, step)


class Regions(Callback):
    """Quantization regions at several steps of training, each at twice the step before.

    Arguments:
        run: the run that is trained; those of other dimensions than 2 have none to be drawn.
    """

    def __init__(self, run: Run) -> None:
        self.run = run

    def on_validation_end(
        self, trainer: lightning.Trainer, module: lightning.LightningModule
    ) -> None:
        """Draw them after validations 1, 2, 4, 8 and so on."""
        number, rest = divmod(trainer.global_step, int(trainer.val_check_interval))
        if self.run.source.dimension == 2 and not rest and not number & (number - 1):
            for logger in trainer.loggers:
                _show_regions(logger, self.run, trainer.global_step - 1)


def _show_regions(logger: Logger, run: Run, step: int) -> None:
    draw = partial(quantization_regions, run=run)
    show(logger, "figure", "quantization regions", lambda: single(draw), step)


def choices(run: Run) -> dict[str, Any]:
    """Return all choices of a run by name: what runs are compared by."""
    config = run.config
    names = {key: name for key, name in config["name"].items() if name is not None}
    numbers = {key: config[key] for key in ("lmbda", "seed", "steps")}
    return names | numbers | parameters(config)


def record(run: Run, metrics: dict[str, Any], logger: Logger) -> None:
    """Log the final metrics of a run, its figures, and what it makes of a picture or a sound.

    What has a curve ends it with what was measured on held-out samples, after the last step.

    Arguments:
        run: a trained run.
        metrics: the contents of `metrics.json`.
        logger: takes of these what it can.
    """
    steps = run.config["steps"]
    final = ("rate", "distortion", "snr_db", "gap_bits", "bitstream_rate")
    numbers = {f"evaluation/{key}": metrics[key] for key in final if metrics[key] is not None}
    logger.log_metrics(numbers, steps)
    show(logger, "table", "metrics", lambda: metrics, steps)
    show(logger, "figure", "latents", lambda: latents(run), steps)
    if run.bound is not None and metrics["snr_db"] is not None:
        draw = partial(
            operating_point, metrics=metrics, bound=run.bound, variance=run.source.variance
        )
        show(logger, "figure", "operating point", lambda: single(draw), steps)
    if run.source.dimension == 2:
        _show_regions(logger, run, steps)
    _show_example(logger, run, steps)


def _show_example(logger: Logger, run: Run, step: int) -> None:
    """Show a picture or a sound of the source beside what the decoder makes of it."""
    shown = run.shown()
    if shown is None:
        return
    both = {"source": shown.source, "reconstruction": shown.reconstruction}
    if shown.sample_rate is None:
        show(logger, "figure", "source and reconstruction", lambda: pictures(both), step)
    else:
        show(logger, "sounds", "sound", lambda: (both, shown.sample_rate), step)


def write_metrics(metrics: dict[str, Any], folder: Path) -> None:
    """Write `metrics.json` to a folder, whole or not at all; what is not finite becomes null."""
    finite = {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in metrics.items()
    }
    with atomic_write(folder / "metrics.json") as temporary:
        temporary.write_text(json.dumps(finite, indent=2, allow_nan=False) + "\n")
