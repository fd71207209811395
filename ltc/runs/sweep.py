"""What a sweep leaves in the log: its rate-distortion curves, as a run of its own."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from ltc.report import Report
from ltc.report.figure import draw
from ltc.runs.build import plain
from ltc.runs.cards import show
from ltc.runs.checkpoint import check_targets
from ltc.runs.record import opened

__all__ = ["record_sweep"]


def record_sweep(folder: Path) -> None:
    """Log the curves of all finished runs of a sweep, with the logger of its first run.

    Arguments:
        folder: it holds one folder for each run, and gets one more, `curves`.

    Raises:
        InputError: the configuration of a run is of somebody else, and would build what no file
            of the configuration names.
    """
    report = Report.of([folder])
    if not report.settings:
        return
    config = OmegaConf.create(report.runs[0].config)
    assert isinstance(config, DictConfig)
    check_targets(config, str(report.runs[0].folder))
    with opened(plain(config)["logger"], folder / "curves") as logger:
        show(logger, "figure", "rate-distortion", lambda: draw(report), 0)
