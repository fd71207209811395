"""The runs below some folders: those that have results, and those that have none, and why."""

import json
import math
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ltc.errors import InputError

__all__ = ["PLAN", "FinishedRun", "UnfinishedRun", "find_runs", "planned"]

LOG = "ltc-train.log"
PLAN = "planned.json"  # in the folder of a sweep: the folders of its runs, and how each is started
NAMES = ("source", "quantizer")
NUMBERS = ("lmbda", "seed", "rate", "distortion")


@dataclass(frozen=True)
class FinishedRun:
    """A run with results.

    Attributes:
        folder: where it is.
        metrics: the contents of `metrics.json`; what is not finite is None.
        config: the text of `config.yaml`, empty where there is none.
        written: when `metrics.json` was written, seconds since the epoch.
    """

    folder: Path
    metrics: dict[str, Any]
    config: str
    written: float

    def number(self, key: str) -> float | None:
        """Return a metric, or None where it is missing or no number."""
        value = self.metrics.get(key)
        return float(value) if value is not None and _is_number(value) else None


@dataclass(frozen=True)
class UnfinishedRun:
    """A run without results.

    Attributes:
        folder: where it is.
        state: `failed`, `unfinished` or `not started`.
        reason: as far as the folder tells.
    """

    folder: Path
    state: str
    reason: str


def find_runs(folders: Iterable[Path]) -> tuple[list[FinishedRun], list[UnfinishedRun]]:
    """Return all runs of `ltc-train` in folders and below them, each once.

    Those that a sweep plans and has not come to are among them.

    Arguments:
        folders: where to look.

    Raises:
        InputError: there is no such folder.
    """
    finished: list[FinishedRun] = []
    unfinished: list[UnfinishedRun] = []
    there = {path.resolve() for top in folders for path in _below(top)}
    for folder in sorted(there):
        if (folder / "metrics.json").exists():
            try:
                finished.append(_read(folder))
            except (OSError, ValueError, RecursionError) as error:
                reason = f"metrics.json cannot be used: {error}"
                unfinished.append(UnfinishedRun(folder, "failed", reason))
        elif _is_training(folder / "config.yaml"):
            reason = _end(folder / LOG)
            state = "failed" if reason else "unfinished"
            unfinished.append(UnfinishedRun(folder, state, reason or _progress(folder)))
        elif (folder / LOG).exists():
            unfinished.append(UnfinishedRun(folder, "failed", _last_error(folder / LOG)))
        for name in planned(folder):
            if folder / name not in there:
                reason = "planned by the sweep, which has not come to it"
                unfinished.append(UnfinishedRun(folder / name, "not started", reason))
    return finished, unfinished


def planned(folder: Path) -> dict[str, list[str]]:
    """Return the runs that a sweep plans: what each differs in, by the name of its folder.

    Arguments:
        folder: of the sweep; of another there are none.
    """
    try:
        found = json.loads((folder / PLAN).read_text(encoding="utf-8"))
        return {name: [str(text) for text in texts] for name, texts in found.items()}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):  # somebody else's file
        return {}


def _below(top: Path) -> Iterator[Path]:
    if not top.is_dir():
        raise InputError(f"{top}: there is no such folder; give the folder of a run or of a sweep")
    for path, folders, _ in os.walk(top):
        # What is in a run is no run.
        folders[:] = [name for name in folders if name != "checkpoints"]
        yield Path(path)


def _read(folder: Path) -> FinishedRun:
    """Return a finished run."""
    file = folder / "metrics.json"
    metrics = json.loads(
        file.read_text(encoding="utf-8"), parse_float=_finite, parse_constant=lambda name: None
    )
    if not isinstance(metrics, dict):
        raise ValueError("it holds no object")
    for key in (*NAMES, *NUMBERS):
        if key not in metrics:
            raise ValueError(f"it lacks {key}")
        wanted = "a name" if key in NAMES else "a finite number"
        value = metrics[key]
        if not (isinstance(value, str) if key in NAMES else _is_number(value)):
            raise ValueError(f"{key} is {json.dumps(value)}, expected {wanted}")
    if metrics["distortion"] < 0:
        raise ValueError(f"distortion is {metrics['distortion']}, expected no negative number")
    # Half a surrogate is text to JSON, and to nothing that draws or writes it.
    json.dumps(metrics, ensure_ascii=False).encode()
    config = folder / "config.yaml"
    text = config.read_text(encoding="utf-8", errors="replace") if config.is_file() else ""
    return FinishedRun(folder, metrics, text, file.stat().st_mtime)


def _finite(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None


def _is_number(value: Any) -> bool:
    # Whole numbers of JSON may be too large for a float.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _is_training(config: Path) -> bool:
    """Tell whether a folder was claimed by `ltc-train`; `ltc-bound` has no lmbda."""
    try:
        lines = config.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    return any(line.startswith("lmbda:") for line in lines)


def _progress(folder: Path) -> str:
    times = []
    for path in folder.iterdir():
        with suppress(FileNotFoundError):  # a run under way renames files
            times.append(path.stat().st_mtime)
    when = datetime.fromtimestamp(max(times)).isoformat(" ", "seconds") if times else "unknown"
    return f"under way, or killed: no metrics.json yet, last change {when}"


def _end(log: Path) -> str:
    """Return the error that a log ends with; empty: none, or an interruption, which may go on."""
    with suppress(OSError):
        *_, last = ["", *log.read_text(encoding="utf-8", errors="replace").splitlines()]
        if last.startswith("ERROR: ") and last != "ERROR: interrupted":
            return last.removeprefix("ERROR: ")
    return ""


def _last_error(log: Path) -> str:
    """Return the last error in a log, as `ltc-train` notes why it gave up."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        return f"{log.name} cannot be read: {error.strerror}"
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return errors[-1] if errors else "it gave up before it had results, and left no reason"
