"""Curves from elsewhere, laid beside those of the runs: a CSV or JSON file, or a published one."""

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
    "bits_per_pixel": (0.0, 1e6),
    "psnr_db": (-1000.0, 1000.0),
}
EXPECTED = (
    "expected rate, and distortion or snr_db, per scalar of the source; of pictures bits_per_pixel "
    "and psnr_db"
)


@dataclass(frozen=True)
class Beside:
    """A curve from elsewhere.

    Attributes:
        label: its name.
        particulars: what a setting has to have for it to be laid beside: `source`, the name of the
            source, and of its parameters `source.root` and others; what is not there is free.
        quantizer: the name of its quantizer; empty where it is not known.
        about: where it is from.
        rows: `rate`, `distortion`, `snr_db`, `gap_bits`, `bits_per_pixel` and `psnr_db` where they
            are known.
    """

    label: str
    particulars: dict[str, Any]
    quantizer: str
    about: str
    rows: tuple[dict[str, float], ...]

    def curve(self, setting: Setting) -> Curve | None:
        """Return it as a curve of a setting, or None where it is of another source.

        Distortion and SNR follow from each other by the source's variance; the gap, where it is
        not given, from the brackets that the setting's runs were compared with, within their range.
        """
        if any(setting.particulars.get(key) != self.particulars[key] for key in self.particulars):
            return None
        points = [_point(row, setting) for row in self.rows]
        # What cannot be placed in the figure is left out.
        placed = [p for p in points if all(getattr(p, key) is not None for key in setting.axes)]
        order = sorted(placed, key=lambda point: getattr(point, setting.axes[0]).value)
        return Curve(self.label, tuple(order), self.quantizer, self.about) if order else None


def _point(row: Mapping[str, float], setting: Setting) -> Point:
    rate, distortion, snr = row.get("rate"), row.get("distortion"), row.get("snr_db")
    variance = setting.variance
    if variance is not None and snr is None and distortion is not None:
        snr = 10 * math.log10(variance / distortion)
    if variance is not None and snr is not None and distortion is None:
        distortion = variance * 10 ** (-snr / 10)
    gap = row.get("gap_bits")
    if gap is None and rate is not None and distortion is not None:
        lower = setting.lower_bound(distortion)
        gap = None if lower is None else rate - lower
    found = {"rate": rate, "distortion": distortion, "snr_db": snr, "gap_bits": gap}
    found |= {key: row.get(key) for key in ("bits_per_pixel", "psnr_db")}
    known: Any = {key: None if value is None else Mean(value) for key, value in found.items()}
    return Point(**known)


def published() -> list[str]:
    """Return the names of the published curves that the package has.

    Example:
        >>> published()
        ['kodak', 'paper']
    """
    return sorted(path.stem for path in PUBLISHED.glob("*.json"))


def read_beside(text: str) -> list[Beside]:
    """Return the curves of `NAME=FILE`, or of the name of published ones.

    A CSV file has a line of names first. A JSON file holds a list of objects, one a point, or
    an object of lists, one a column; or an object with such `points`, `about`, `source` and
    parameters of the source, as in `source.root`. The column `curve` tells several curves apart,
    `source` says of which source they are, and `quantizer` whose colour they have.

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
    about = str(file)
    particulars: dict[str, Any] = {}
    rows: list[dict[str, Any]] = []
    try:
        if file.suffix.lower() == ".json":
            data = json.loads(file.read_text(encoding="utf-8"))
            if isinstance(data, dict) and "points" in data:
                about = str(data.get("about", about))
                of_source = (key for key in data if f"{key}.".startswith("source."))
                particulars = {key: data[key] for key in of_source if data[key] is not None}
                data = data["points"]
            rows = _from_json(data)
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
    found: dict[tuple[str, str, str], list[dict[str, float]]] = {}
    for number, row in enumerate(rows, 1):
        curve, source, quantizer = (
            str(row.get(key) or "") for key in ("curve", "source", "quantizer")
        )
        key = curve, source, quantizer
        found.setdefault(key, []).append(_row(row, f"{file}, point {number}"))
    return [
        Beside(
            " ".join(part for part in (name, curve) if part),
            particulars | ({"source": source} if source else {}),
            quantizer,
            about,
            tuple(points),
        )
        for (curve, source, quantizer), points in found.items()
    ]


def _from_json(data: Any) -> list[dict[str, Any]]:
    if isinstance(data, dict):
        columns = {key: column for key, column in data.items() if isinstance(column, list)}
        data = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    if not isinstance(data, list) or not all(isinstance(row, dict) for row in data):
        raise InputError("it holds no points")
    return data


def _row(row: Mapping[str, Any], where: str) -> dict[str, float]:
    """Return the numbers of a point."""
    numbers: dict[str, float] = {}
    for key, (low, high) in COLUMNS.items():
        if row.get(key) in (None, ""):
            continue
        try:
            numbers[key] = math.nan if isinstance(row[key], bool) else float(row[key])
        except (TypeError, ValueError, OverflowError):  # JSON's integers have no end
            numbers[key] = math.nan
        if not low <= numbers[key] <= high:  # NaN is not, either
            raise InputError(
                f"{where}: {key}={row[key]}; expected a number from {low:g} to {high:g}"
            )
    of_signal = "rate" in numbers and numbers.keys() & {"distortion", "snr_db"}
    if not of_signal and not numbers.keys() >= {"bits_per_pixel", "psnr_db"}:
        raise InputError(f"{where} has {', '.join(map(str, row))}; {EXPECTED}")
    return numbers
