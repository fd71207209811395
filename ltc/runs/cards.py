"""What loggers show beside curves: choices, tables, figures and sounds, each in its own way."""

import csv
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import soundfile
from lightning.pytorch.loggers import Logger
from torch.utils.tensorboard.summary import hparams

__all__ = ["show"]

# Newer versions of MLflow want to be told that files of a run in its own folder are wanted.
os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")

Sounds = tuple[dict[str, Any], int]
Way = Callable[[Any, str, Any, int], None]  # of the logger, the name, the value and the step


def show(logger: Logger, kind: str, name: str, make: Callable[[], Any], step: int) -> None:
    """Let a logger show something, if it can; only then it is made.

    Arguments:
        logger: any of Lightning's; of one that is not listed below only choices are shown.
        kind: `choices` (values by name), `table` (likewise), `figure` (of matplotlib), `sounds`
            (samples from -1 to 1, shape (number,), by title; and how many a second), `begin` or
            `end`.
        name: under which it is shown.
        make: returns what is shown.
        step: of training.
    """
    names = (base.__name__ for base in type(logger).__mro__)
    ways: dict[str, Any] = next((WAYS[known] for known in names if known in WAYS), {})
    if kind in ways:
        ways[kind](logger, name, make(), step)
    elif kind == "choices":
        logger.log_hyperparams(make())


def _keep(logger: Any, _: str, __: None, step: int) -> None:
    """Log again what was logged before the step from which a run goes on: Lightning removes it."""
    file = Path(logger.log_dir, "metrics.csv")
    if file.exists():
        with file.open(newline="", encoding="utf-8") as stream:
            rows = [{key: row[key] for key in row if row[key]} for row in csv.DictReader(stream)]
        # The last line of a run that was killed may not be whole.
        kept = [row for row in rows if row.get("step", "").isdigit() and int(row["step"]) < step]
        logger.experiment.metrics += kept
        logger.save()


def _session(logger: Any, _: str, choices: dict[str, Any], step: int) -> None:
    # Not Lightning's `log_hyperparams`, with which TensorBoard shows the choices and metrics that
    # the first of all runs has; and that is a list of its own, not a run's.
    texts = {
        key: value if isinstance(value, bool | int | float | str) else json.dumps(value)
        for key, value in choices.items()
        if value is not None
    }
    _, start, _ = hparams(texts, {})
    logger.experiment._get_file_writer().add_summary(start, step)


def _text(logger: Any, name: str, values: dict[str, Any], step: int) -> None:
    logger.experiment.add_text(name, _markdown(values), step)


def _markdown(values: dict[str, Any]) -> str:
    rows = (f"| {key} | {_cell(value)} |" for key, value in values.items())
    return "\n".join(["| | |", "|---|---|", *rows])


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _players(logger: Any, name: str, sounds: Sounds, step: int) -> None:
    for title, samples in sounds[0].items():
        logger.experiment.add_audio(f"{name}/{title}", samples, step, sample_rate=sounds[1])


def _files(logger: Any, name: str, sounds: Sounds, step: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for title, samples in sounds[0].items():
            path = Path(folder, f"{title}.wav")
            soundfile.write(path, samples, sounds[1])
            logger.experiment.log_artifact(logger.run_id, str(path), name)


def _wandb(make: Callable[[Any, Any], Any]) -> Way:
    """Return the way to show what `make` makes of the module wandb and a value."""

    def way(logger: Any, name: str, value: Any, step: int) -> None:
        import wandb  # an extra

        logger.log_metrics({name: make(wandb, value)}, step)

    return way


WAYS: dict[str, dict[str, Way]] = {
    "CSVLogger": {"begin": _keep},
    "TensorBoardLogger": {
        "choices": _session,
        "table": _text,
        "figure": lambda logger, name, figure, step: logger.experiment.add_figure(
            name, figure, step
        ),
        "sounds": _players,
    },
    "WandbLogger": {
        # Otherwise the next run in this process would be a part of this one.
        "end": lambda logger, _, __, step: logger.experiment.finish(),
        "table": _wandb(
            lambda wandb, values: wandb.Table(
                columns=["", "value"], data=[[key, _cell(value)] for key, value in values.items()]
            )
        ),
        "figure": _wandb(lambda wandb, figure: wandb.Image(figure)),
        "sounds": _wandb(
            lambda wandb, sounds: [
                wandb.Audio(samples, sample_rate=sounds[1], caption=title)
                for title, samples in sounds[0].items()
            ]
        ),
    },
    "MLFlowLogger": {
        "table": lambda logger, name, values, step: logger.experiment.log_text(
            logger.run_id, _markdown(values), f"{name}.md"
        ),
        "figure": lambda logger, name, figure, step: logger.experiment.log_figure(
            logger.run_id, figure, f"{name}, step {step}.png"
        ),
        "sounds": _files,
    },
}
