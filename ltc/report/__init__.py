"""All runs below some folders in one page: curves, their differences, and each run."""

from ltc.report.beside import published, read_beside
from ltc.report.bjontegaard import Difference, difference
from ltc.report.curves import Curve, Point, Setting, settings
from ltc.report.report import Report
from ltc.report.runs import FinishedRun, UnfinishedRun, find_runs

__all__ = [
    "Curve",
    "Difference",
    "FinishedRun",
    "Point",
    "Report",
    "Setting",
    "UnfinishedRun",
    "difference",
    "find_runs",
    "published",
    "read_beside",
    "settings",
]
