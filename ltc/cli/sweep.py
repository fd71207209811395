"""What a sweep ends with: a table of all its runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from rich.table import Table

__all__ = ["NoteSweep", "noted", "sweep_table"]

_sweeps: list[tuple[Path, Any]] = []


class NoteSweep(Callback):
    """Notes where the runs of a sweep are and their logger, when Hydra begins it."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Note the folder and the logger."""
        logger = OmegaConf.to_container(config.logger, resolve=True)
        _sweeps.append((Path(config.hydra.sweep.dir).absolute(), logger))


def noted() -> list[tuple[Path, Any]]:
    """Return folder and settings of the logger of the sweeps begun since this was last asked."""
    folders = _sweeps.copy()
    _sweeps.clear()
    return folders


def sweep_table(folder: Path) -> Table:
    """Return a table of the runs in the folder of a sweep.

    Arguments:
        folder: it holds one folder for each run.
    """
    table = Table(title=f"the runs in {folder}", title_justify="left")
    table.add_column("run", overflow="fold")
    for column in ("rate", "SNR (dB)", "gap (bits)", "seconds"):
        table.add_column(column, justify="right", no_wrap=True)
    from ltc.report import find_runs  # not above: scipy is slow to load, and --help should not be

    keys = {"rate": 4, "snr_db": 3, "gap_bits": 4, "seconds_total": 1}
    finished, unfinished = find_runs([folder])
    rows = {run.folder.name: [run.state] for run in unfinished}
    for run in finished:
        values = [(run.number(key), places) for key, places in keys.items()]
        rows[run.folder.name] = [
            "-" if value is None else f"{value:.{places}f}" for value, places in values
        ]
    for name in sorted(rows):
        table.add_row(name, *rows[name])
    return table
