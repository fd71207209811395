"""What a sweep ends with: a table of all its runs."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import get_overrides_dirname
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from rich.markup import escape
from rich.table import Table

from ltc.cli.folders import name_of_run
from ltc.errors import InputError
from ltc.files import atomic_write

__all__ = ["NoteSweep", "noted", "sweep_table"]

_sweeps: list[tuple[Path, Any]] = []


class NoteSweep(Callback):
    """Notes where the runs of a sweep are, which it plans, and their logger, when it begins."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Note the folder and the logger; and in the folder the runs, beside earlier ones."""
        from ltc.report.runs import PLAN, planned  # not above: scipy is slow to load

        folder = Path(config.hydra.sweep.dir).absolute()
        _sweeps.append((folder, OmegaConf.to_container(config.logger, resolve=True)))
        # What is wrong with the overrides or the folder, Hydra tells in a moment.
        with suppress(HydraException, InputError, OSError):
            runs = planned(folder) | _planned(config)
            with atomic_write(folder / PLAN) as path:
                path.write_text(json.dumps(runs, indent=1) + "\n", encoding="utf-8")


def _planned(config: DictConfig) -> dict[str, list[str]]:
    """Return the overrides of each run of a sweep, by the name of its folder.

    A search, which finds them on its way, has none, and folders under other names are not known.
    """
    ours = "name_of_run" in OmegaConf.to_yaml(config.hydra.sweep)
    if not (ours and config.hydra.sweeper._target_.endswith(".BasicSweeper")):
        return {}
    parser = OverridesParser.create(GlobalHydra.instance().config_loader())
    given = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
    given += config.hydra.overrides.task
    (jobs,) = BasicSweeper.split_arguments(parser.parse_overrides(given), None)
    form = config.hydra.job.config.override_dirname
    return {
        name_of_run(get_overrides_dirname(parser.parse_overrides(job), **form)): job for job in jobs
    }


def noted() -> list[tuple[Path, Any]]:
    """Return folder and settings of the logger of the sweeps begun since this was last asked."""
    folders = _sweeps.copy()
    _sweeps.clear()
    return folders


def sweep_table(folder: Path) -> Table:
    """Return a table of the runs in the folder of a sweep, each with what it differs in.

    Arguments:
        folder: it holds one folder for each run.
    """
    table = Table(title=f"the runs in {escape(str(folder))}", title_justify="left")
    table.add_column("run", overflow="fold")
    for column in ("rate", "SNR (dB)", "gap (bits)", "seconds"):
        table.add_column(column, justify="right", no_wrap=True)
    from ltc.report.runs import find_runs, planned  # not above: scipy is slow to load

    keys = {"rate": 4, "snr_db": 3, "gap_bits": 4, "seconds_total": 1}
    finished, unfinished = find_runs([folder])
    rows = {run.folder.name: [run.state] for run in unfinished}
    for run in finished:
        values = [(run.number(key), places) for key, places in keys.items()]
        rows[run.folder.name] = [
            "-" if value is None else f"{value:.{places}f}" for value, places in values
        ]
    plan = planned(folder)
    alike = set.intersection(*map(set, plan.values())) if len(plan) > 1 else set()
    for name in [*(name for name in plan if name in rows), *sorted(rows.keys() - plan.keys())]:
        told = " ".join(text for text in plan.get(name, [name]) if text not in alike)
        table.add_row(escape(told), *rows[name])
    return table
