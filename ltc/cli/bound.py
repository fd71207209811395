"""`ltc-bound`: the rate-distortion function of a source."""

from __future__ import annotations

import csv
import math
import textwrap
from collections.abc import Iterator
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf
from rich.markup import escape
from rich.table import Table

from ltc.checks import integer, number
from ltc.cli.command import command, console
from ltc.cli.folders import run_folder
from ltc.errors import InputError
from ltc.files import atomic_write
from ltc.progress import Progress

if TYPE_CHECKING:  # they are slow to import, and --help should not be
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from ltc.bounds import RateDistortion
    from ltc.sources import Source

__all__ = ["main"]

# What blocks of fixed size could reach: the column that n=... adds.
NORMAL = "normal approximation"
ENDS = ("rate_lower", "rate_upper")
# Bits at most, whose distortions are numbers of 64 bits still, and scalars in a block.
MOST_RATE, MOST_SCALARS = 100, 10**12


def main() -> None:
    """Run `ltc-bound`."""
    command(_task, "rate_distortion")


def _task(config: DictConfig) -> None:
    for override in HydraConfig.get().overrides.task:
        if override.startswith("eps=") and config.n is None:
            raise InputError(f"{override} is of blocks of fixed size: give n=SAMPLES too")
        if override.lstrip("+~").startswith("transform"):
            raise InputError(f"{override}: R(D) does not depend on a transform; leave it out")
    count, tol = integer("points", config.points, 2, 10_000), number("tol", config.tol, 1e-9)
    rates = list(config.rates) if isinstance(config.rates, ListConfig) else []
    numbers = all(isinstance(rate, int | float) for rate in rates)
    if len(rates) != 2 or not numbers or not 0 <= rates[0] < rates[1] <= MOST_RATE:
        raise InputError(
            f"rates={config.rates}; expected two rates up to {MOST_RATE}, the lower first"
        )
    if not config.bound.get("_target_"):
        raise InputError("bound=none leaves nothing to compute; use bound=auto")
    with Progress("loading"):
        from ltc.baselines import BASELINES
        from ltc.bounds.power_cost import Cost
        from ltc.runs.build import build_distortion, build_source

    settings: Any = OmegaConf.to_container(config.bound, resolve=True)
    block = config.n if config.n is None else integer("n", config.n, 1, MOST_SCALARS)
    quantile = -NormalDist().inv_cdf(number("eps", config.eps, 0, 1))  # exact where eps is small
    names = settings.pop("baselines")
    if not isinstance(names, list) or any(str(name) not in BASELINES for name in names):
        raise InputError(f"bound.baselines={names}; expected a list of {', '.join(BASELINES)}")
    source, distortion = build_source(config, 1), build_distortion(config)
    cost, variance = Cost(distortion), source.variance
    if names and not cost.squared:
        raise InputError("bound.baselines are known for distortion=squared only; leave them out")
    distortions = cost.of_gaussian(variance, np.linspace(rates[0], rates[1], count))
    rows: list[dict[str, Any]] = []
    with Progress("R(D)", count) as bar:
        if "progress" in settings:  # one bar is enough
            settings["progress"] = lambda text, share: bar.update(len(rows), text)
        bound: RateDistortion | None = instantiate(
            settings, source=source, distortion=distortion, _convert_="all"
        )
        if bound is None:
            raise InputError(
                f"no bound of source={source.name} is known under distortion={distortion.name}: "
                "that takes a density in one to three dimensions, or finitely many values"
            )
        points: list[dict[str, Any]] = []
        ended: BaseException | None = None
        try:
            for d in distortions:
                decibel = {"snr_db": 10 * math.log10(variance / d)} if cost.squared else {}
                row: dict[str, Any] = {"distortion": float(d), **decibel}
                # Refuses before R(D) takes its time.
                dispersion = block and bound.dispersion(float(d))
                row |= _row(bound, d, tol)
                if block:
                    row["dispersion"] = dispersion
                    row[NORMAL] = (
                        None
                        if dispersion is None  # not where it is 0: every value costs as many bits
                        else max(0.0, _middle(row) + quantile * math.sqrt(dispersion / block))
                    )
                rows.append(row)
                bar.update(len(rows), bound.name)
            for point in _baselines(names, source, distortions, config.seed, bar):
                points.append(point)
        except (KeyboardInterrupt, InputError) as error:
            if not rows:
                raise
            ended = error  # raised once what is known was shown and written
    limits = list(dict.fromkeys(key for row in rows for key in row if key[0] in "≥≤"))
    folder = run_folder()
    # A limit that is alone on its side is in the file already, as that end of the bracket.
    alone = [name for name in limits if sum(other[0] == name[0] for other in limits) == 1]
    kept = [{k: v for k, v in row.items() if k not in alone} for row in rows]
    shown = ["distortion", *(["snr_db"] if cost.squared else []), *limits]
    shown += [NORMAL] if block else []
    title = f"{source.name}: {bound.name}" + ("" if cost.squared else f", {distortion.name} error")
    at = f"n={block} eps={config.eps:g}" if block else ""
    about = f"{bound.about}; {NORMAL}: {at}" if block else bound.about
    try:
        _show(title, [*shown, "within tol"], rows, about)
        for note in dict.fromkeys(row["note"] for row in rows if row["note"]):
            count = sum(row["note"] == note for row in rows)
            console.print(f"{count} of {len(rows)} points: {note}", markup=False)
        if points:
            _show(f"{source.name}: classical quantizers, held-out samples", list(points[0]), points)
    finally:  # a full disk takes no numbers that took minutes, and nor does a reader who left
        _write_csv(folder / "curve.csv", kept)
        if points:
            _write_csv(folder / "baselines.csv", points)
    curves = {limit: f"R(D) {limit}" for limit in limits}
    if block:
        curves[NORMAL] = f"{NORMAL}, {at}"
    figure = _figure(source.name, curves, rows, points, f"{distortion.name} error")
    for suffix in (".png", ".svg"):
        with atomic_write(folder / f"curve{suffix}") as path:
            figure.savefig(path, dpi=150)
    console.print(f"[dim]{escape(str(folder))}[/]")
    if ended:
        raise ended


def _baselines(
    names: list[str], source: Source, distortions: NDArray[np.float64], seed: int, bar: Progress
) -> Iterator[dict[str, Any]]:
    """Yield what the classical quantizers reach about some distortions."""
    import torch

    from ltc.baselines import BASELINES

    for name in names:
        for done, d in enumerate(distortions):
            bar.update(done, name)
            # The slope of a Gaussian source's R(D) at this distortion.
            lmbda = 1 / (2 * math.log(2) * float(d))
            generator = torch.Generator().manual_seed(seed)
            try:
                reached = BASELINES[name](source, lmbda, generator)
            except InputError as error:
                console.print(f"{name} at lmbda {lmbda:.4g}: {error}", markup=False)
                break
            d = reached.distortion
            snr = 10 * math.log10(source.variance / d) if d > 0 else None
            yield {"name": name, "lmbda": lmbda, "snr_db": snr, **reached.stated()}


def _row(bound: RateDistortion, distortion: float, tol: float) -> dict[str, Any]:
    """Return what is known at one distortion, and why where it is not within the tolerance."""
    known = bound.limits(distortion)
    lower = max((v for key, v in known.items() if key.startswith("≥")), default=None)
    upper = min((v for key, v in known.items() if key.startswith("≤")), default=None)
    note = ""
    if lower is None or upper is None:
        note = f"not within {tol:g} bits, one end is missing: {bound.note}"
    elif upper - lower > tol:
        note = f"not within {tol:g} bits: {bound.note}"
    return {
        "rate_lower": lower,
        "rate_upper": upper,
        **known,
        "within tol": "no" if note else "yes",
        "note": note,
    }


def _middle(row: dict[str, Any]) -> float:
    """Return R(D), halfway between the ends that are known."""
    return float(np.mean([row[end] for end in ENDS if row[end] is not None]))


def _write_csv(file: Path, rows: list[dict[str, Any]]) -> None:
    with (
        atomic_write(file) as path,
        path.open("w", newline="", encoding="utf-8") as stream,
    ):
        writer = csv.DictWriter(stream, dict.fromkeys(key for row in rows for key in row))
        writer.writeheader()
        writer.writerows(rows)


def _show(title: str, columns: list[str], rows: list[dict[str, Any]], about: str = "") -> None:
    table = Table(title=f"{title} (rates in bits per sample)", title_justify="left")
    table.caption, table.caption_justify = about, "left"
    headings = {"snr_db": "SNR (dB)", "rate_stderr": "±", "distortion_stderr": "±"}
    for column in columns:
        table.add_column(headings.get(column, column), justify="right")
    for row in rows:
        table.add_row(*(_shown(column, row.get(column)) for column in columns))
    console.print(table)


def _shown(column: str, value: Any) -> str:
    if not isinstance(value, float):
        return "-" if value is None else str(value)
    if column.endswith("stderr"):
        return f"{value:.1g}"
    if column == "snr_db":
        return f"{value:.2f}"
    # Rates of long vectors may be small: four digits, and at least four after the point.
    return f"{value:.5g}" if column in ("distortion", "lmbda") or value < 0.1 else f"{value:.4f}"


def _figure(
    name: str,
    curves: dict[str, str],
    rows: list[dict[str, Any]],
    points: list[dict[str, Any]],
    error: str,
) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    ordinate, label = "snr_db", "SNR (dB)"
    if ordinate not in rows[0]:
        ordinate, label = "distortion", error
        axes.set_yscale("log")
    at = [row[ordinate] for row in rows]
    for column, name_of_curve in curves.items():
        style = {"≤": "-", "≥": "--"}.get(column[0], ":")
        rates = np.array([row.get(column) for row in rows], dtype=float)
        axes.plot(rates, at, style, label=name_of_curve)
    for note in dict.fromkeys(row["note"] for row in rows if row["note"]):
        ends = [
            (row[end], row[ordinate])
            for row in rows
            for end in ENDS
            if row["note"] == note and row[end] is not None
        ]
        axes.plot(*zip(*ends, strict=True), "x", color="grey", label=textwrap.fill(note, 44))
    for baseline in dict.fromkeys(point["name"] for point in points):
        mine = [point for point in points if point["name"] == baseline]
        points_at = [p["rate"] for p in mine], [p["snr_db"] for p in mine]
        axes.plot(*points_at, ".", label=baseline.upper())
    axes.set(xlabel="rate (bits per sample)", ylabel=label, title=name)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    return figure


if __name__ == "__main__":
    main()
