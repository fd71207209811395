"""What a sweep leaves in the log: its rate-distortion curves, as a run of its own."""

import logging
from pathlib import Path
from typing import Any

from ltc.report import Report
from ltc.report.figure import draw
from ltc.runs.cards import show
from ltc.runs.record import opened

__all__ = ["record_sweep"]

log = logging.getLogger("ltc")


def record_sweep(folder: Path, settings: dict[str, Any]) -> None:
    """Log the curves of all finished runs of a sweep, if there are any.

    Arguments:
        folder: it holds one folder for each run, and gets one more, `curves`.
        settings: the group `logger` of the configuration.
    """
    report = Report.of([folder])
    if not report.settings:
        return
    try:
        with opened(settings, folder / "curves") as logger:
            show(logger, "figure", "rate-distortion", lambda: draw(report), 0)
    except OSError as error:  # of a full disk; what matters was written by the runs
        log.warning("the log in %s is not whole: %s", folder, error.strerror or error)
