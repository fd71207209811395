"""A report as one page that needs nothing else: curves to look into, tables to sort."""

import html
import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ltc.files import atomic_write
from ltc.report.curves import Curve, Setting
from ltc.report.report import Report
from ltc.report.style import LABELS, colours
from ltc.version import __version__

__all__ = ["write_page"]

HERE = Path(__file__).parent
# As `page.js` reads them: texts, then numbers.
DIFFERENCE = (
    "setting", "reference", "curve", "reason",
    "rate_pchip", "rate_cubic", "snr_pchip", "snr_cubic",
)  # fmt: skip
COLOURS = (
    "#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd",
    "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf",
)  # fmt: skip
SYMBOLS = ("circle", "square", "diamond", "triangle-up")  # for as many times ten curves
HOVER = {"rate": "rate", "bits_per_pixel": "bits per pixel"}


def write_page(report: Report, file: Path) -> None:
    """Write a report as one HTML file, with all that it shows and plotly within.

    Arguments:
        report: what to write.
        file: where; links to the runs' folders are relative to it.
    """
    from plotly.io import to_html  # not above: it takes longer to load than all else
    from plotly.offline import get_plotlyjs

    graphs = []
    for number, setting in enumerate(report.settings):
        graph = to_html(
            _figure(report, setting),
            config={"displaylogo": False, "responsive": True},
            include_plotlyjs=False,
            full_html=False,
            div_id=f"graph{number}",
        )
        abouts: dict[str, list[str]] = {}
        for curve in setting.shown:
            if curve.about:
                abouts.setdefault(curve.about, []).append(curve.label)
        sources = "".join(
            f"<p class=about>{html.escape(about.rstrip('.'))}: {html.escape(', '.join(labels))}</p>"
            for about, labels in abouts.items()
        )
        graphs.append(f"<h2>{html.escape(setting.title)}</h2>\n{graph}\n{sources}")
    parts = {
        "VERSION": html.escape(__version__),
        "STYLE": (HERE / "page.css").read_text(encoding="utf-8"),
        "PLOTLY": get_plotlyjs(),
        "GRAPHS": "\n".join(graphs),
        "DATA": _in_script(_data(report, file.parent)),
        "SCRIPT": (HERE / "page.js").read_text(encoding="utf-8"),
    }
    page = (HERE / "page.html").read_text(encoding="utf-8")
    # Cut first and then filled, so that nothing that is put in is taken for a place.
    pieces = page.split("@@")
    filled = [parts[piece] if i % 2 else piece for i, piece in enumerate(pieces)]
    with atomic_write(file) as path:
        path.write_text("".join(filled), encoding="utf-8", errors="replace")


def _in_script(data: Any) -> str:
    """Return JSON that cannot end the script element it stands in."""
    return json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _text(name: str) -> str:
    """Return a name as plotly shows it as it is: it takes HTML, formulas and places to fill."""
    return html.escape(name).replace("$", "&#36;").replace("%", "&#37;")


def _data(report: Report, folder: Path) -> dict[str, Any]:
    # The runs of a sweep have nearly the same configuration: each line is kept once.
    lines: dict[str, int] = {}
    runs = []
    for run, row in zip(report.runs, report.run_rows(), strict=True):
        config = [lines.setdefault(line, len(lines)) for line in run.config.splitlines()]
        runs.append({"row": row, "config": config, "link": _link(run.folder, folder)})
    # All pairs of curves are many: each name is kept once, and no digit that is not shown.
    names: dict[str, int] = {}
    differences = []
    for row in report.difference_rows():
        texts = [names.setdefault(row[key], len(names)) for key in DIFFERENCE[:4]]
        numbers = [None if row[key] is None else round(row[key], 4) for key in DIFFERENCE[4:]]
        differences.append([*texts, *numbers])
    return {
        "runs": runs,
        "lines": list(lines),
        "differences": differences,
        "names": list(names),
        "unfinished": [
            {**row, "link": _link(run.folder, folder)}
            for run, row in zip(report.unfinished, report.unfinished_rows(), strict=True)
        ],
    }


def _link(to: Path, folder: Path) -> str:
    # With ./, so that no name is taken for a scheme.
    return "./" + quote(os.fsencode(os.path.relpath(to, folder.resolve()))) + "/"


def _figure(report: Report, setting: Setting) -> dict[str, Any]:
    """Return SNR and gap over rate as plotly describes a figure."""
    places = {run.folder: i for i, run in enumerate(report.runs)}
    abscissa, ordinate = setting.axes
    traces = _bounds(setting, ordinate)
    for colour, curve in zip(colours(setting.shown), setting.shown, strict=True):
        for key, axis in ((ordinate, ""), ("gap_bits", "2")):
            traces.append(_curve(curve, (abscissa, key), axis, colour, places))
    rate = {"title": {"text": report.abscissa(setting)}, "rangemode": "tozero"}
    scale = {"type": "log" if ordinate == "distortion" else "linear"}
    return {
        "data": traces,
        "layout": {
            "template": "plotly_white",
            "height": 480,
            "margin": {"t": 30, "l": 60, "r": 10},
            "hovermode": "closest",
            # An empty panel would look like a mistake.
            "annotations": [
                {
                    "text": setting.without_gap,
                    "xref": "x2 domain",
                    "yref": "y2 domain",
                    "x": 0.5,
                    "y": 0.5,
                    "showarrow": False,
                }
            ],
            "legend": {"orientation": "h", "y": -0.18},
            "xaxis": {**rate, "domain": [0, 0.47], "anchor": "y"},
            "xaxis2": {**rate, "domain": [0.54, 1], "anchor": "y2"},
            "yaxis": {"title": {"text": LABELS[ordinate]}, **scale},
            "yaxis2": {
                "title": {"text": "rate above R(D) (bits per sample)"},
                "anchor": "x2",
                "rangemode": "tozero",
                "zeroline": True,
                "zerolinecolor": "black",
            },
        },
    }


def _bounds(setting: Setting, ordinate: str) -> list[dict[str, Any]]:
    traces: list[dict[str, Any]] = []
    for name, bound in setting.bounds.items():
        known = [point for point in bound if getattr(point, ordinate, None) is not None]
        at = [getattr(point, ordinate) for point in known]
        bracketed = [point for point in known if None not in (point.lower, point.upper)]
        line = {"color": "black", "width": 1.5, "dash": "solid" if bracketed else "dash"}
        text = _text(name)
        shared = {"mode": "lines", "line": line, "legendgroup": f"R(D) {text}"}
        lower = {"x": [point.lower for point in known], "y": at, "name": f"R(D), {text}"}
        upper = {"x": [point.upper for point in known], "y": at, "name": f"R(D) ≤ {text}"}
        if not bracketed:
            alone = lower if any(point.lower is not None for point in known) else upper
            traces.append({**shared, **alone})
            continue
        grey = {"fillcolor": "rgba(0,0,0,0.15)", "showlegend": False}
        thin = {**line, "width": 0.5}
        traces.append({**shared, **lower})
        traces.append({**shared, **upper, **grey, "fill": "tonextx", "line": thin})
        apart = {
            "x": [point.lower for point in bracketed],
            "y": [point.upper - point.lower for point in bracketed],  # type: ignore[operator]
            "name": "width of the bracket of R(D)",
        }
        axes = {"xaxis": "x2", "yaxis": "y2"}
        traces.append({**shared, **apart, **grey, **axes, "fill": "tozeroy", "line": thin})
    return traces


def _curve(
    curve: Curve, axes: tuple[str, str], axis: str, colour: int, places: dict[Path, int]
) -> dict[str, Any]:
    points = [p for p in curve.points if all(getattr(p, key) is not None for key in axes)]
    rates, values = ([getattr(point, key) for point in points] for key in axes)
    name = _text(curve.label)
    ink = COLOURS[colour % len(COLOURS)]
    symbol = "x" if curve.beside else SYMBOLS[colour // len(COLOURS) % len(SYMBOLS)]
    runs = [[places[run.folder] for run in point.runs] for point in points]
    spread: dict[str, Any] = {}
    if any(value.spread is not None for value in values):
        bars = {"color": ink, "thickness": 1, "width": 3}
        spread = {
            "error_x": {"array": [rate.spread or 0 for rate in rates], **bars},
            "error_y": {"array": [value.spread or 0 for value in values], **bars},
        }
    lmbdas = [
        "" if point.lmbda is None else f"lmbda {point.lmbda:g}, seeds {len(point.runs)}<br>"
        for point in points
    ]
    unit = {
        "snr_db": "SNR %{y:.3f} dB", "psnr_db": "PSNR %{y:.3f} dB", "gap_bits": "gap %{y:.4f} bits",
    }  # fmt: skip
    return {
        **spread,
        "x": [rate.value for rate in rates],
        "y": [value.value for value in values],
        "xaxis": f"x{axis}",
        "yaxis": f"y{axis}",
        "mode": "lines+markers",
        "name": name,
        "legendgroup": name,
        "showlegend": not axis,
        "line": {"color": ink, "dash": "dot" if curve.beside else "solid", "width": 1.5},
        "marker": {"symbol": symbol, "size": 7},
        "customdata": [
            {"runs": found, "text": text} for found, text in zip(runs, lmbdas, strict=True)
        ],
        "hovertemplate": f"{name}<br>%{{customdata.text}}{HOVER[axes[0]]} %{{x:.4f}}<br>"
        f"{unit.get(axes[1], 'distortion %{y:.4g}')}<extra></extra>",
    }
