"""`ltc-report`: all runs below some folders in one page."""

from __future__ import annotations

import argparse
import json
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import JustifyMethod
from rich.markup import escape
from rich.table import Table

from ltc.cli.command import console, errors, run_and_report
from ltc.errors import InputError
from ltc.version import __version__

if TYPE_CHECKING:
    from ltc.report import Report

__all__ = ["main"]

POLL = 3.0  # seconds between looks at runs that are under way
COLUMNS = {  # of the table, and how many digits
    "rate": ("rate", 3),
    "bits_per_pixel": ("bits per pixel", 3),
    "snr_db": ("SNR (dB)", 2),
    "psnr_db": ("PSNR (dB)", 2),
    "distortion": ("distortion", 5),
    "gap_bits": ("gap (bits)", 4),
}


def main() -> None:
    """Run `ltc-report`."""
    options = _arguments().parse_args()
    run_and_report(lambda: _task(options), options.v)


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ltc-report",
        description="All runs of ltc-train below some folders in one page: curves with R(D), "
        "Bjontegaard differences, and each run with its configuration; beside it figures (PNG, "
        "SVG) and tables (CSV; Parquet with the extra `report`).",
    )
    parser.add_argument("folders", metavar="DIR", nargs="+", type=Path, help="of runs or sweeps")
    parser.add_argument("--out", metavar="DIR", type=Path, help="default: report/ in the first DIR")
    parser.add_argument(
        "--with",
        dest="beside",
        metavar="NAME=FILE",
        action="append",
        default=[],
        help="lay beside a CSV or JSON file with rate, and distortion or snr_db, per sample, or "
        "with bits_per_pixel and psnr_db (curve, source and quantizer: columns that may be there); "
        "or published curves: --with paper, of the Gaussian source (ICLR 2025), --with kodak, of "
        "source=images source.root=kodak",
    )
    parser.add_argument(
        "--bytes", action="store_true", help="rates of the bytes written, not of the model"
    )
    parser.add_argument("--json", action="store_true", help="print all of it as JSON, not a table")
    parser.add_argument(
        "--follow", action="store_true", help="write it anew whenever a run ends, until Ctrl-C"
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.add_argument("-v", action="store_true", help="show the full traceback of an error")
    return parser


def _task(options: argparse.Namespace) -> None:
    # Not above: scipy and matplotlib take a second to load, and --help should not.
    from ltc.report import Report, read_beside

    beside = [curve for text in options.beside for curve in read_beside(text)]
    rate = "bitstream_rate" if options.bytes else "rate"
    report = Report.of(options.folders, beside, rate)
    unplaced = [one for one in beside if not any(map(one.curve, report.settings))]
    if report.settings and unplaced:
        named = ", ".join(f"{one.label} ({_told(one.particulars)})" for one in unplaced)
        errors.print(f"warning: no run to lay beside, so left out: {named}", markup=False)
    if report.runs or report.unfinished:
        _write(report, options)
    elif not options.follow:
        names = ", ".join(map(str, options.folders))
        raise InputError(f"{names}: no run of ltc-train there or below; give its folder")
    if options.follow:
        errors.print("following; Ctrl-C ends it", markup=False)
        with suppress(KeyboardInterrupt):
            while True:
                seen = _ended(report)
                time.sleep(POLL)
                report = Report.of(options.folders, beside, rate)
                if _ended(report) != seen:
                    _write(report, options)


def _ended(report: Report) -> set[tuple[Any, ...]]:
    """Return what changes when a run begins or ends."""
    finished = {(run.folder, run.written) for run in report.runs}
    return finished | {(run.folder, run.state) for run in report.unfinished}


def _write(report: Report, options: argparse.Namespace) -> None:
    from ltc.files import atomic_write
    from ltc.report.figure import draw
    from ltc.report.page import write_page
    from ltc.report.tables import has_parquet, write_tables

    out = options.out or options.folders[0] / "report"
    if report.settings:
        figure = draw(report)
        for suffix in (".png", ".svg"):
            with atomic_write(out / f"curves{suffix}") as path:
                figure.savefig(path, dpi=150)
    write_tables(report, out)
    page = out / "index.html"
    write_page(report, page)
    if options.json:
        print(json.dumps(report.contents(), indent=2, allow_nan=False), flush=True)
    else:
        _show(report)
    if not has_parquet():
        errors.print('no Parquet without the extra: pip install ".[report]"', markup=False)
    errors.print(str(page), markup=False)


def _show(report: Report) -> None:
    for setting in report.settings:
        table = Table(title=escape(setting.title), title_justify="left")
        keys = (*setting.axes, "gap_bits")
        for heading in ("curve", "points", "seeds", *(COLUMNS[key][0] for key in keys)):
            justify: JustifyMethod = "left" if heading == "curve" else "right"
            table.add_column(heading, justify=justify, overflow="fold")
        for curve in setting.shown:
            seeds = max(len(point.runs) for point in curve.points)
            ranges = (
                _range([getattr(point, key) for point in curve.points], COLUMNS[key][1])
                for key in keys
            )
            count = str(len(curve.points))
            table.add_row(escape(curve.label), count, str(seeds) if seeds else "-", *ranges)
        console.print(table)
    for run in report.unfinished_rows():
        console.print(
            f"{run['state']}: {run['folder']}: {run['reason']}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )


def _told(particulars: dict[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in particulars.items()) or "of any source"


def _range(values: list[Any], digits: int) -> str:
    known = [value.value for value in values if value is not None]
    if not known:
        return "-"
    ends = [f"{end:.{digits}f}" for end in (min(known), max(known))]
    return ends[0] if ends[0] == ends[1] else " to ".join(ends)


if __name__ == "__main__":
    main()
