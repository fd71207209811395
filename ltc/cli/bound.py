"""`ltc-bound`: the rate-distortion function of a source."""

from __future__ import annotations

import csv

import numpy as np
from hydra.utils import instantiate
from matplotlib.figure import Figure
from omegaconf import DictConfig
from rich.progress import track
from rich.table import Table

from ltc.cli.command import command, console, run_folder
from ltc.errors import InputError
from ltc.files import atomic_write

__all__ = ["main"]


def main() -> None:
    """Run `ltc-bound`."""
    command(_task, "rate_distortion")


def _task(config: DictConfig) -> None:
    if not isinstance(config.points, int) or config.points < 2:
        raise InputError(f"points={config.points}; expected an integer of at least 2")
    if not isinstance(config.tol, int | float) or not 0 < config.tol < np.inf:
        raise InputError(f"tol={config.tol}; expected a positive number")
    low, high = config.rates
    if not 0 <= low < high:
        raise InputError(f"rates={config.rates}; expected two rates, the lower first")
    if not config.bound.get("_target_"):
        raise InputError("bound=none leaves nothing to compute; use bound=auto")
    settings = dict(config.source)
    if settings.get("dimension", 0) is None:
        settings["dimension"] = 1
    source = instantiate(settings, _convert_="all")
    bound = instantiate(config.bound, source=source)
    rates = np.linspace(low, high, config.points)
    distortions = source.variance * 4.0**-rates
    brackets = [
        bound.bracket(float(distortion))
        for distortion in track(distortions, "R(D)", transient=True, console=console)
    ]
    decibel = 10 * np.log10(source.variance / distortions)
    table = Table(title=f"{source.name}: {bound.name}", title_justify="left")
    for column in ("distortion", "SNR (dB)", "R(D) ≥", "R(D) ≤ (bits per sample)"):
        table.add_column(column, justify="right")
    folder = run_folder()
    with (
        atomic_write(folder / "curve.csv") as path,
        path.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(["distortion", "snr_db", "rate_lower", "rate_upper"])
        for distortion, snr, (lower, upper) in zip(distortions, decibel, brackets, strict=True):
            writer.writerow([distortion, snr, lower, upper])
            shown = ("-" if value is None else f"{value:.4f}" for value in (lower, upper))
            table.add_row(f"{distortion:.5g}", f"{snr:.2f}", *shown)
    console.print(table)
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    lower, upper = np.array(brackets, dtype=float).reshape(-1, 2).T
    axes.plot(upper, decibel, color="black", label=f"R(D) ≤, {bound.name}")
    if np.isfinite(lower).all():
        axes.fill_betweenx(decibel, lower, upper, color="black", alpha=0.3, label="bracket")
    axes.set(xlabel="rate (bits per sample)", ylabel="SNR (dB)", title=source.name)
    axes.grid(alpha=0.3)
    axes.legend()
    for suffix in (".png", ".svg"):
        with atomic_write(folder / f"curve{suffix}") as path:
            figure.savefig(path, dpi=150)
    console.print(f"[dim]{folder}[/]")
