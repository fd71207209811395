"""`ltc-train`: train a coder, measure it, compare it with the bound."""

import json
import sys
from typing import Any

from omegaconf import DictConfig
from rich.markup import escape

from ltc.checks import choice
from ltc.cli.command import command, console
from ltc.cli.folders import run_folder
from ltc.cli.start import INTERRUPTED
from ltc.cli.sweep import noted, sweep_table
from ltc.errors import InputError
from ltc.progress import Progress
from ltc.runs.table import table
from ltc.runs.values import check_values

__all__ = ["main"]


def main() -> None:
    """Run `ltc-train`."""
    try:
        command(_task, "train", resumable=True)
    finally:
        stop = sys.exc_info()[1]
        interrupted = isinstance(stop, SystemExit) and stop.code == INTERRUPTED
        for folder, logger in noted():
            if not folder.is_dir():  # Hydra could not make it, which was said
                continue
            console.print(sweep_table(folder))
            try:
                from ltc.runs.sweep import record_sweep  # torch is slow to import
            except (ImportError, AttributeError):
                if interrupted:  # amid the import of Lightning, of which a half is left
                    continue
                raise
            record_sweep(folder, logger)


def _task(config: DictConfig) -> float:
    # A run that goes on may be older than the key.
    wanted = choice("objective", config.get("objective", "lagrangian"), ("lagrangian", "gap"))
    if wanted == "gap" and not config.bound.get("_target_"):
        raise InputError("objective=gap needs a bound; with bound=none there is no gap")
    folder = run_folder()
    if (folder / "metrics.json").exists():
        try:
            metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
            console.print(table(metrics))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{folder}/metrics.json is not as ltc-train wrote it ({error!r}); remove it, and "
                "the run is measured again"
            ) from error
        console.print(f"[dim]{escape(str(folder))} was finished before[/]", soft_wrap=True)
    else:
        check_values(config)
        with Progress("loading"):  # torch is slow to import, and --help should not be
            from ltc.runs.train import train

        _, metrics = train(config, folder, resume=True)
        console.print(table(metrics))
        console.print(f"[dim]{escape(str(folder))}[/]", soft_wrap=True)
    return objective(metrics, wanted)


def objective(metrics: dict[str, Any], name: str) -> float:
    """Return what a search minimises.

    Arguments:
        metrics: the contents of `metrics.json`.
        name: `lagrangian`, rate + lmbda * distortion, or `gap`, bits per sample above R(D).

    Raises:
        InputError: it is not known of this run.
    """
    if name == "gap":
        if metrics["gap_bits"] is None:
            raise InputError(
                "objective=gap: no lower limit of R(D) is known of this run, so no gap; use "
                "objective=lagrangian or another bound"
            )
        return float(metrics["gap_bits"])
    return float(metrics["rate"] + metrics["lmbda"] * metrics["distortion"])


if __name__ == "__main__":
    # By the name under which the processes of a launcher find it, too.
    from ltc.cli import train

    train.main()
