"""The tables of a report as CSV, JSON and Parquet."""

import csv
import importlib.util
import json
from pathlib import Path
from typing import Any

from ltc.files import atomic_write
from ltc.report.report import Report

__all__ = ["has_parquet", "write_tables"]


def has_parquet() -> bool:
    """Tell whether Parquet can be written, which takes the extra `report`."""
    return importlib.util.find_spec("pyarrow") is not None


def write_tables(report: Report, folder: Path) -> list[Path]:
    """Write `runs`, `points` and `differences` as CSV, and Parquet where it can be written.

    Arguments:
        report: what to write.
        folder: where.

    Returns:
        The files; a table without rows has none.
    """
    tables = {
        "runs": report.run_rows(),
        "points": report.point_rows(),
        "differences": report.difference_rows(),
    }
    written = []
    for name, rows in tables.items():
        if not rows:
            continue
        columns = _columns(rows)
        written.append(folder / f"{name}.csv")
        with (
            atomic_write(written[-1]) as path,
            path.open("w", newline="", encoding="utf-8") as stream,
        ):
            writer = csv.writer(stream)
            writer.writerow(columns)
            writer.writerows(zip(*columns.values(), strict=True))
        if has_parquet():
            written.append(folder / f"{name}.parquet")
            _write_parquet(columns, written[-1])
    return written


def _columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Return rows as columns of one type each: what is mixed, or a list, as its JSON."""
    names = dict.fromkeys(key for row in rows for key in row)
    return {name: _column([row.get(name) for row in rows]) for name in names}


def _column(values: list[Any]) -> list[Any]:
    kinds = {type(value) for value in values if value is not None}
    if kinds == {int, float}:
        return [None if value is None else float(value) for value in values]
    if len(kinds) > 1 or kinds & {list, dict}:
        return [None if value is None else json.dumps(value) for value in values]
    return values


def _write_parquet(columns: dict[str, list[Any]], file: Path) -> None:
    import pyarrow as pa  # an extra, so that not everybody has to install it
    import pyarrow.parquet

    # A stream, since a name for it has to be UTF-8.
    with atomic_write(file) as path, path.open("wb") as stream:
        pyarrow.parquet.write_table(pa.table(columns), stream)
