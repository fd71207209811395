"""A report: everything that is known of the runs below some folders, and the files it becomes."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from ltc.report.beside import Beside
from ltc.report.bjontegaard import Difference, difference
from ltc.report.curves import Point, Setting, settings
from ltc.report.runs import FinishedRun, UnfinishedRun, find_runs
from ltc.report.style import LABELS
from ltc.version import __version__

__all__ = ["Report"]


@dataclass(frozen=True)
class Report:
    """The runs below some folders, their curves, and how those differ.

    Attributes:
        runs: runs with results.
        unfinished: runs without.
        rate: the metric that is taken as rate.
        settings: what can be compared, curves from elsewhere laid beside.
    """

    runs: tuple[FinishedRun, ...]
    unfinished: tuple[UnfinishedRun, ...]
    rate: str
    settings: tuple[Setting, ...]

    @classmethod
    def of(cls, folders: Sequence[Path], beside: Sequence[Beside] = (), rate: str = "rate") -> Self:
        """Read the runs below folders.

        Arguments:
            folders: where to look.
            beside: curves from elsewhere.
            rate: the metric that is taken as rate: `rate`, or `bitstream_rate`.

        Raises:
            InputError: there is no such folder.
        """
        finished, unfinished = find_runs(folders)
        found = []
        for setting in settings(finished, rate):
            others = (one.curve(setting) for one in beside)
            found.append(replace(setting, others=tuple(filter(None, others))))
        return cls(tuple(finished), tuple(unfinished), rate, tuple(found))

    def abscissa(self, setting: Setting) -> str:
        """Return what is below the figures of a setting."""
        key = setting.axes[0]
        return LABELS[key] + (", bytes written" if key == "rate" != self.rate else "")

    @cached_property
    def differences(self) -> dict[str, tuple[Difference, ...]]:
        """Bjontegaard differences between all curves of a setting, by its title."""
        return {
            setting.title: tuple(
                difference(reference, curve, setting.axes)
                for reference in setting.shown
                for curve in setting.shown
                if curve is not reference and setting.squared
            )
            for setting in self.settings
        }

    def run_rows(self) -> list[dict[str, Any]]:
        """Return one row a run: its setting, curve and folder, and its metrics.

        Setting and curve are None where another run took its place, or its rate is not known.
        """
        places = {
            run.folder: (setting.title, curve.label)
            for setting in self.settings
            for curve in setting.curves
            for point in curve.points
            for run in point.runs
        }
        rows = []
        for run in self.runs:
            setting, curve = places.get(run.folder, (None, None))
            place = {"setting": setting, "curve": curve, "folder": shown(run.folder)}
            rows.append({**place, **run.metrics})
        return rows

    def point_rows(self) -> list[dict[str, Any]]:
        """Return one row a point of a curve: means, and spreads between seeds."""
        return [
            {
                "setting": setting.title,
                "source": setting.source,
                "curve": curve.label,
                "quantizer": curve.quantizer or None,
                **row(point),
            }
            for setting in self.settings
            for curve in setting.shown
            for point in curve.points
        ]

    def difference_rows(self) -> list[dict[str, Any]]:
        """Return one row a pair of curves: their Bjontegaard differences."""
        return [
            {"setting": title, **vars(found)}
            for title, differences in self.differences.items()
            for found in differences
        ]

    def unfinished_rows(self) -> list[dict[str, Any]]:
        """Return one row a run without results."""
        return [
            {"state": run.state, "reason": run.reason, "folder": shown(run.folder)}
            for run in self.unfinished
        ]

    def contents(self) -> dict[str, Any]:
        """Return all of it as JSON values."""
        described = [
            {
                "title": setting.title,
                "source": setting.source,
                "bounds": {
                    name: [point._asdict() for point in bound]
                    for name, bound in setting.bounds.items()
                },
                "curves": [
                    {
                        "label": curve.label,
                        "about": curve.about,
                        "points": [row(point) for point in curve.points],
                    }
                    for curve in setting.shown
                ],
            }
            for setting in self.settings
        ]
        return {
            "version": __version__,
            "rate": self.rate,
            "settings": described,
            "differences": self.difference_rows(),
            "runs": self.run_rows(),
            "unfinished": self.unfinished_rows(),
        }


def row(point: Point) -> dict[str, Any]:
    """Return a point as flat values."""
    found: dict[str, Any] = {"lmbda": point.lmbda, "seeds": len(point.runs) or None}
    of_pictures = ("bits_per_pixel", "psnr_db") if point.psnr_db is not None else ()
    for key in ("rate", "distortion", "snr_db", "gap_bits", *of_pictures):
        value = getattr(point, key)
        found[key] = None if value is None else value.value
        found[f"{key}_spread"] = None if value is None else value.spread
    return found


def shown(path: Path) -> str:
    """Return a path as text that any file can hold, also where its name is no UTF-8."""
    return os.fsencode(path).decode("utf-8", errors="replace")
