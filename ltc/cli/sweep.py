"""What a sweep ends with: a table of all its runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from rich.table import Table

__all__ = ["NoteSweep", "noted", "sweep_table"]

_sweeps: list[Path] = []


class NoteSweep(Callback):
    """Notes where the runs of a sweep are, when Hydra begins it."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Note the folder."""
        _sweeps.append(Path(config.hydra.sweep.dir).absolute())


def noted() -> list[Path]:
    """Return the folders of the sweeps that were begun since this was last asked."""
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
    keys = {"rate": 4, "snr_db": 3, "gap_bits": 4, "seconds_total": 1}
    for run in sorted(path for path in folder.iterdir() if path.is_dir()):
        if (run / "metrics.json").exists():
            metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
            values = [(metrics[key], places) for key, places in keys.items()]
            row = ["-" if value is None else f"{value:.{places}f}" for value, places in values]
        else:
            row = ["unfinished" if (run / "config.yaml").exists() else "failed"]
        table.add_row(run.name, *row)
    return table
