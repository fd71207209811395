"""The curves of a report as a figure for print."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ltc.report.curves import Curve, Setting
from ltc.report.report import Report

__all__ = ["draw"]


def draw(report: Report) -> Figure:
    """Draw SNR and gap over rate, one row a setting.

    Arguments:
        report: of one setting or more.

    Returns:
        The figure.
    """
    count = len(report.settings)
    figure = Figure(figsize=(11, 4.4 * count), layout="constrained")
    grid = figure.subplots(count, 2, squeeze=False)
    for (setting, _), (left, right) in zip(report.settings, grid, strict=True):
        _bounds(setting, left, right)
        for i, curve in enumerate(report.curves(setting)):
            style = {"color": f"C{i % 10}", "marker": "x" if curve.beside else "o"}
            _curve(curve, setting, left, right, style | {"markersize": 4, "linewidth": 1})
        left.set(
            title=_plain(setting.title), ylabel="SNR (dB)" if setting.squared else "distortion"
        )
        if not setting.squared:
            left.set_yscale("log")
        # An empty panel would look like a mistake.
        right.text(0.5, 0.5, setting.without_gap, ha="center", transform=right.transAxes)
        right.set(title="distance from R(D)", ylabel="rate above R(D) (bits per sample)")
        for axes in (left, right):
            unit = "bits per sample" + (", bytes written" if report.rate != "rate" else "")
            axes.set(xlabel=f"rate ({unit})", xlim=(0, None))
            axes.grid(alpha=0.3)
        curves = len(report.curves(setting))
        legend = left.legend(
            fontsize="small" if curves <= 14 else "xx-small", ncols=1 + curves // 28
        )
        legend.set_in_layout(False)  # a long one would leave the axes no room
    return figure


def _bounds(setting: Setting, left: Axes, right: Axes) -> None:
    for name, bound in setting.bounds.items():
        key = "snr_db" if setting.squared else "distortion"
        known = [point for point in bound if getattr(point, key) is not None]
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


def _curve(curve: Curve, setting: Setting, left: Axes, right: Axes, style: dict[str, Any]) -> None:
    for axes, key in ((left, "snr_db" if setting.squared else "distortion"), (right, "gap_bits")):
        points = [point for point in curve.points if getattr(point, key) is not None]
        values = [getattr(point, key) for point in points]
        rates = [point.rate.value for point in points]
        line = ":" if curve.beside else "-"
        label = _plain(curve.label)
        axes.plot(rates, [value.value for value in values], line, label=label, **style)
        if any(value.spread is not None for value in values):
            axes.errorbar(
                rates,
                [value.value for value in values],
                [value.spread or 0 for value in values],
                [point.rate.spread or 0 for point in points],
                fmt="none",
                ecolor=style["color"],
            )


def _plain(text: str) -> str:
    """Return text that matplotlib takes for no formula, and a legend for no hidden line."""
    return " " * text.startswith("_") + text.replace("$", r"\$")
