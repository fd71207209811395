"""Curves from elsewhere, laid beside those of the runs: a CSV or JSON file, or a published one."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ltc.errors import InputError
from ltc.report.curves import Curve, Mean, Point, Setting

__all__ = ["Beside", "published", "read_beside"]

PUBLISHED = Path(__file__).parent / "published"
# Columns, and between which numbers theirs are; 1000 dB are a distortion of 1e-100.
COLUMNS = {
    "rate": (0.0, 1e6),
    "distortion": (1e-100, 1e100),
    "snr_db": (-1000.0, 1000.0),
    "gap_bits": (-1e6, 1e6),
}
EXPECTED = "expected rate, and distortion or snr_db, per scalar of the source"


@dataclass(frozen=True)
class Beside:
    """A curve from elsewhere.

    Attributes:
        label: its name.
        source: the name of the source that it is of; None: of any.
        about: where it is from.
        rows: `rate`, and `distortion`, `snr_db` and `gap_bits` where they are known.
    """

    label: str
    source: str | None
    about: str
    rows: tuple[dict[str, float], ...]

    def curve(self, setting: Setting) -> Curve | None:
        """Return it as a curve of a setting, or None where it is of another source.

        Distortion and SNR follow from each other by the source's variance; the gap, where it is
        not given, from the brackets that the setting's runs were compared with, within their range.
        """
        if self.source not in (None, setting.source):
            return None
        points = [_point(row, setting) for row in self.rows]
        # What cannot be placed in the figure is left out.
        placed = [p for p in points if (p.snr_db if setting.squared else p.distortion) is not None]
        order = sorted(placed, key=lambda point: point.rate.value)
        return Curve(self.label, tuple(order), self.about) if order else None


def _point(row: Mapping[str, float], setting: Setting) -> Point:
    rate, distortion, snr = row["rate"], row.get("distortion"), row.get("snr_db")
    variance = setting.variance
    if variance is not None and snr is None and distortion is not None:
        snr = 10 * math.log10(variance / distortion)
    if variance is not None and snr is not None and distortion is None:
        distortion = variance * 10 ** (-snr / 10)
    gap = row.get("gap_bits")
    if gap is None and distortion is not None:
        lower = setting.lower_bound(distortion)
        gap = None if lower is None else rate - lower
    known = [None if value is None else Mean(value) for value in (distortion, snr, gap)]
    return Point(Mean(rate), known[0], known[1], known[2])


def published() -> list[str]:
    """Return the names of the published curves that the package has.

    Example:
        >>> published()
        ['paper']
    """
    return sorted(path.stem for path in PUBLISHED.glob("*.json"))


def read_beside(text: str) -> list[Beside]:
    """Return the curves of `NAME=FILE`, or of the name of published ones.

    A CSV file has a line of names first. A JSON file holds a list of objects, one a point, or
    an object of lists, one a column; or an object with such `points`, `source` and `about`. The
    column `curve` tells several curves apart, and `source` says of which source they are.

    Arguments:
        text: as on the command line.

    Raises:
        InputError: there is no such file, or it holds something else.
    """
    name, equals, path = text.partition("=")
    if not equals and name in published():
        return _curves("", PUBLISHED / f"{name}.json")
    if not name or not path:
        raise InputError(
            f"--with {text}: expected NAME=FILE, a CSV or JSON file of rates and distortions, or a "
            f"published one: {', '.join(published())}"
        )
    return _curves(name, Path(path))


def _curves(name: str, file: Path) -> list[Beside]:
    about, source = str(file), None
    rows: list[dict[str, Any]] = []
    try:
        if file.suffix.lower() == ".json":
            about, source, rows = _from_json(json.loads(file.read_text(encoding="utf-8")), about)
        elif file.suffix.lower() == ".csv":
            with file.open(newline="", encoding="utf-8-sig") as stream:
                rows = list(csv.DictReader(stream))
        else:
            raise InputError(f"{file} ends in {file.suffix or 'nothing'}, expected .csv or .json")
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}") from error
    except (ValueError, RecursionError, csv.Error) as error:
        raise InputError(f"{file} cannot be read: {error}; {EXPECTED}") from error
    if not rows:
        raise InputError(f"{file} holds no points; {EXPECTED}")
    found: dict[tuple[str, str | None], list[dict[str, float]]] = {}
    for number, row in enumerate(rows, 1):
        of_source = row.get("source") or source
        key = str(row.get("curve") or ""), str(of_source) if of_source else None
        found.setdefault(key, []).append(_row(row, f"{file}, point {number}"))
    labels = {key: " ".join(part for part in (name, key[0]) if part) for key in found}
    return [Beside(labels[key], key[1], about, tuple(found[key])) for key in found]


def _from_json(data: Any, about: str) -> tuple[str, str | None, list[dict[str, Any]]]:
    source = None
    if isinstance(data, dict) and "points" in data:
        about, source, data = str(data.get("about", about)), data.get("source"), data["points"]
    if isinstance(data, dict):
        columns = {key: column for key, column in data.items() if isinstance(column, list)}
        data = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    if not isinstance(data, list) or not all(isinstance(row, dict) for row in data):
        raise InputError("it holds no points")
    return about, source, data


def _row(row: Mapping[str, Any], where: str) -> dict[str, float]:
    """Return the numbers of a point.

    Raises:
        InputError: one is missing or cannot be used.
    """
    numbers: dict[str, float] = {}
    for key, (low, high) in COLUMNS.items():
        if row.get(key) in (None, ""):
            continue
        try:
            numbers[key] = float(row[key])
        except (TypeError, ValueError):
            numbers[key] = math.nan
        if not low <= numbers[key] <= high:  # NaN is not, either
            raise InputError(
                f"{where}: {key}={row[key]}; expected a number from {low:g} to {high:g}"
            )
    if "rate" not in numbers or not numbers.keys() & {"distortion", "snr_db"}:
        raise InputError(f"{where} has {', '.join(map(str, row))}; {EXPECTED}")
    return numbers
