"""The curves of a report as a figure for print."""

import textwrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ltc.report.curves import Curve, Setting
from ltc.report.report import Report
from ltc.report.style import LABELS, colours

__all__ = ["draw"]

LEGEND = 4  # curves beside each other in the legend
MARKERS = "osD^"  # for as many times ten curves


def draw(report: Report) -> Figure:
    """Draw quality and gap over rate, one row a setting.

    Arguments:
        report: of one setting or more.

    Returns:
        The figure.
    """
    count = len(report.settings)
    # Below the axes, so that a long list hides no curve.
    rows = [-(-(len(setting.shown) + 1) // LEGEND) for setting in report.settings]
    heights = [4.2 + 0.2 * number for number in rows]
    figure = Figure(figsize=(11, sum(heights)), layout="constrained")
    parts = figure.subfigures(count, 1, squeeze=False, height_ratios=heights)
    for setting, (part,) in zip(report.settings, parts, strict=True):
        left, right = part.subplots(1, 2)
        abscissa, ordinate = setting.axes
        _bounds(setting, left, right)
        for colour, curve in zip(colours(setting.shown), setting.shown, strict=True):
            marker = "x" if curve.beside else MARKERS[colour // 10 % len(MARKERS)]
            style = {"color": f"C{colour % 10}", "marker": marker, "markersize": 4, "linewidth": 1}
            _curve(curve, abscissa, ordinate, left, style)
            _curve(curve, abscissa, "gap_bits", right, style)
        left.set(title=_plain(setting.title), ylabel=LABELS[ordinate])
        if ordinate == "distortion":
            left.set_yscale("log")
        # An empty panel would look like a mistake.
        why = textwrap.fill(setting.without_gap, 45)
        right.text(0.5, 0.95, why, ha="center", va="top", transform=right.transAxes)
        right.set(title="distance from R(D)", ylabel="rate above R(D) (bits per sample)")
        for axes in (left, right):
            axes.set(xlabel=report.abscissa(setting), xlim=(0, None))
            axes.grid(alpha=0.3)
        handles, labels = left.get_legend_handles_labels()
        part.legend(
            handles, labels, loc="outside lower center", ncols=LEGEND, fontsize="small",
            frameon=False,
        )  # fmt: skip
    return figure


def _bounds(setting: Setting, left: Axes, right: Axes) -> None:
    for name, bound in setting.bounds.items():
        key = setting.axes[1]
        known = [point for point in bound if getattr(point, key, None) is not None]
        at = [getattr(point, key) for point in known]
        lower = np.array([point.lower for point in known], dtype=float)  # nan where unknown
        upper = np.array([point.upper for point in known], dtype=float)
        if np.isfinite(lower).any():
            left.plot(lower, at, color="black", linewidth=1, label=_plain(f"R(D), {name}"))
            left.fill_betweenx(at, lower, upper, color="black", alpha=0.15, linewidth=0)
            right.fill_between(lower, 0, upper - lower, color="black", alpha=0.15, linewidth=0)
            right.axhline(0, color="black", linewidth=1)
        else:
            left.plot(upper, at, "--", color="black", linewidth=1, label=_plain(f"R(D) ≤ {name}"))


def _curve(curve: Curve, abscissa: str, ordinate: str, axes: Axes, style: dict[str, Any]) -> None:
    both = [(getattr(point, abscissa), getattr(point, ordinate)) for point in curve.points]
    known = [(x, y) for x, y in both if x is not None and y is not None]
    xs, ys = [x.value for x, _ in known], [y.value for _, y in known]
    axes.plot(xs, ys, ":" if curve.beside else "-", label=_plain(curve.label), **style)
    if any(y.spread is not None for _, y in known):
        up, along = [y.spread or 0 for _, y in known], [x.spread or 0 for x, _ in known]
        axes.errorbar(xs, ys, up, along, fmt="none", ecolor=style["color"])


def _plain(text: str) -> str:
    """Return text that matplotlib takes for no formula, and a legend for no hidden line."""
    return " " * text.startswith("_") + text.replace("$", r"\$")
