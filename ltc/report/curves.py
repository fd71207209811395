"""Rate-distortion curves: runs that differ in nothing but lmbda, and in seeds."""

import json
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ltc.checks import digest
from ltc.report.runs import FinishedRun

__all__ = ["BoundPoint", "Curve", "Mean", "Point", "Setting", "mean", "settings"]

NAMES = ("source", "transform", "quantizer", "entropy", "distortion_measure")
# `bound.` is left out: it says what a run is compared with, not what it is.
GROUPS = ("source.", "transform.", "quantizer.", "entropy.", "distortion.", "refine.")
NUMBERS = (
    "realism",
    "batch",
    "trainer.devices",
    "learning_rate",
    "transform_learning_rate",
    "gradient_clip",
    "steps",
)


# Runs of a curve differ in it, where it is asked for, as others do in lmbda.
FIXED = "quantizer.rate"
# What `ltc-eval` measured again is no run that was trained so.
AGAIN = "ckpt"


class Mean(NamedTuple):
    """A number measured with several seeds.

    Attributes:
        value: the mean.
        spread: the standard deviation between seeds; None of one seed.
    """

    value: float
    spread: float | None = None


@dataclass(frozen=True)
class Point:
    """A point of a curve; rates and gap in bits per scalar.

    Attributes:
        rate: of the entropy model, or of the bytes written; None where it is not known of a curve
            from elsewhere.
        distortion: per scalar.
        snr_db: signal-to-noise ratio, dB; None where errors are not squared.
        gap_bits: rate over the lower end of R(D)'s bracket; None where that is not known.
        bits_per_pixel: of files, mean of pictures; None of what is no picture.
        psnr_db: mean of pictures, dB; None of what is no picture.
        lmbda: None of a curve from elsewhere.
        runs: those that it is the mean of.
    """

    rate: Mean | None
    distortion: Mean | None
    snr_db: Mean | None
    gap_bits: Mean | None
    bits_per_pixel: Mean | None = None
    psnr_db: Mean | None = None
    lmbda: float | None = None
    runs: tuple[FinishedRun, ...] = ()


@dataclass(frozen=True)
class Curve:
    """Points in the order of their rates.

    Attributes:
        label: the choices that tell it from the others of its setting.
        points: in the order of their rates.
        quantizer: its name; empty where it is not known of a curve from elsewhere.
        about: where a curve from elsewhere is from; empty for runs.
    """

    label: str
    points: tuple[Point, ...]
    quantizer: str = ""
    about: str = ""

    @property
    def beside(self) -> bool:
        """Whether it is from elsewhere."""
        return not any(point.runs for point in self.points)


class BoundPoint(NamedTuple):
    """R(D) at one distortion, as a bracket, bits per scalar; None: that end is not known."""

    distortion: float
    snr_db: float | None
    lower: float | None
    upper: float | None


@dataclass(frozen=True)
class Setting:
    """What can be compared: the curves of one source under one distortion.

    Attributes:
        title: the source and what else is particular.
        particulars: the choices that change what is to be coded, and what an error costs.
        curves: the curves of runs.
        bounds: the brackets of R(D) that runs were compared with, by the bound's name, in the
            order of falling distortion.
        variance: of the source, per scalar; None where no run has an SNR.
        others: curves from elsewhere, laid beside.
    """

    title: str
    particulars: dict[str, Any]
    curves: tuple[Curve, ...]
    bounds: dict[str, tuple[BoundPoint, ...]]
    variance: float | None
    others: tuple[Curve, ...] = ()

    @property
    def shown(self) -> tuple[Curve, ...]:
        """All curves, those from elsewhere last."""
        return self.curves + self.others

    @property
    def source(self) -> str:
        """The name of the source."""
        return str(self.particulars["source"])

    @property
    def squared(self) -> bool:
        """Whether distortion can be told as an SNR."""
        return self.variance is not None

    @property
    def axes(self) -> tuple[str, str]:
        """Which numbers of a point are drawn: bits, and over them the quality or the distortion.

        Pictures are drawn as tables of picture codecs have them.
        """
        points = [point for curve in self.curves for point in curve.points]
        if points and all(p.psnr_db is not None and p.bits_per_pixel is not None for p in points):
            return "bits_per_pixel", "psnr_db"
        return "rate", "snr_db" if self.squared else "distortion"

    @property
    def without_gap(self) -> str:
        """Why no run has a gap; empty where one has."""
        if any(point.lower is not None for bound in self.bounds.values() for point in bound):
            return ""
        if self.axes[1] == "psnr_db":
            return "nobody knows R(D) of pictures, so there is no gap"
        return "no run knows a lower limit of R(D), so there is no gap (see bound=samples)"

    def lower_bound(self, distortion: float) -> float | None:
        """Return the lower end of R(D), interpolated between those of the runs, or None.

        It is linear in the logarithm of the distortion, as R(D) of a Gaussian source is.
        """
        for bound in self.bounds.values():
            known = [p for p in reversed(bound) if p.lower is not None and p.distortion > 0]
            if known and known[0].distortion <= distortion <= known[-1].distortion:
                at = np.log([point.distortion for point in known])
                lower = np.array([point.lower for point in known], dtype=float)
                return float(np.interp(math.log(distortion), at, lower))
        return None


def mean(values: Sequence[float | None]) -> Mean | None:
    """Return the mean of numbers and their spread, or None where one is missing.

    Example:
        >>> mean([1.0, 3.0])
        Mean(value=2.0, spread=1.4142135623730951)
        >>> mean([1.0])
        Mean(value=1.0, spread=None)
        >>> mean([1.0, None]) is None
        True
    """
    known = [value for value in values if value is not None]
    if not known or len(known) < len(values):
        return None
    spread = statistics.stdev(known) if len(known) > 1 else None
    return Mean(statistics.fmean(known), spread)


def settings(runs: Iterable[FinishedRun], rate: str = "rate") -> list[Setting]:
    """Group runs into curves, and those into settings.

    Of runs alike in everything, seed too, the latest counts.

    Arguments:
        runs: finished runs.
        rate: the metric that is taken as rate: `rate`, or `bitstream_rate`, of which runs that
            wrote no bytes have none.
    """
    by_setting: dict[str, list[FinishedRun]] = {}
    for run in runs:
        if run.number(rate) is not None:
            by_setting.setdefault(_key(_particulars(run)), []).append(run)
    particulars = [_particulars(found[0]) for found in by_setting.values()]
    return sorted(
        (
            _setting(_label(_particulars(found[0]), particulars, "source"), found, rate)
            for found in by_setting.values()
        ),
        key=lambda setting: setting.title,
    )


def _setting(title: str, runs: list[FinishedRun], rate: str) -> Setting:
    of_curve: dict[str, list[FinishedRun]] = {}
    for run in runs:
        of_curve.setdefault(_key(_choices(run)), []).append(run)
    choices = [_choices(found[0]) for found in of_curve.values()]
    curves = [
        Curve(
            _label(_choices(found[0]), choices, "quantizer"),
            _points(found, rate),
            found[0].metrics["quantizer"],
        )
        for found in of_curve.values()
    ]
    bounds: dict[str, set[BoundPoint]] = {}
    for run in runs:
        lower, upper = run.number("bound_rate_lower"), run.number("bound_rate_upper")
        if lower is not None or upper is not None:
            point = BoundPoint(float(run.metrics["distortion"]), run.number("snr_db"), lower, upper)
            bounds.setdefault(str(run.metrics.get("bound")), set()).add(point)
    variances = [
        float(run.metrics["distortion"]) * 10 ** (snr / 10)
        for run in runs
        if (snr := run.number("snr_db")) is not None and abs(snr) < 1000
    ]
    return Setting(
        title,
        _particulars(runs[0]),
        tuple(sorted(curves, key=lambda curve: (-_largest_gap(curve), curve.label))),
        {
            name: tuple(sorted(found, key=lambda point: -point.distortion))
            for name, found in sorted(bounds.items())
        },
        statistics.median(variances) if variances else None,
    )


def _points(runs: list[FinishedRun], rate: str) -> tuple[Point, ...]:
    # A run at a rate that was asked for has the lmbda that brings it, of each seed its own.
    places: dict[tuple[str, float], dict[int, FinishedRun]] = {}
    for run in sorted(runs, key=lambda run: run.written):
        key = FIXED if run.number(FIXED) is not None else "lmbda"
        places.setdefault((key, run.metrics[key]), {})[run.metrics["seed"]] = run
    points = [_point(tuple(seeds.values()), rate) for seeds in places.values()]
    return tuple(sorted(points, key=lambda point: point.rate.value if point.rate else 0.0))


def _point(runs: tuple[FinishedRun, ...], rate: str) -> Point:
    return Point(
        mean([run.number(rate) for run in runs]),
        mean([run.number("distortion") for run in runs]),
        mean([run.number("snr_db") for run in runs]),
        mean([_gap(run, rate) for run in runs]),
        mean([run.number("bits_per_pixel") for run in runs]),
        mean([run.number("psnr_db") for run in runs]),
        runs[0].metrics["lmbda"],
        runs,
    )


def _gap(run: FinishedRun, rate: str) -> float | None:
    reached, lower = run.number(rate), run.number("bound_rate_lower")
    return None if reached is None or lower is None else reached - lower


def _largest_gap(curve: Curve) -> float:
    return max((point.gap_bits.value for point in curve.points if point.gap_bits), default=0.0)


def _particulars(run: FinishedRun) -> dict[str, Any]:
    """Return the choices that change what is to be coded, and what an error costs."""
    return {
        key: value
        for key, value in run.metrics.items()
        if key in ("source", "distortion_measure")
        or (key.startswith(("source.", "distortion.")) and key != "source.block")
    }


def _choices(run: FinishedRun) -> dict[str, Any]:
    """Return the choices that runs of one curve have in common."""
    return {
        key: "…" if key in (FIXED, AGAIN) and value is not None else value
        for key, value in run.metrics.items()
        if key in (*NAMES, *NUMBERS, AGAIN) or key.startswith(GROUPS)
    }


def _key(choices: dict[str, Any]) -> str:
    # A choice that is null is the same as one that is not there.
    return json.dumps({k: v for k, v in choices.items() if v is not None}, sort_keys=True)


def _label(mine: dict[str, Any], all_choices: list[dict[str, Any]], always: str) -> str:
    """Return what tells choices apart, as it is typed on the command line.

    Arguments:
        mine: the choices to label.
        all_choices: these and those that they are to be told from.
        always: the name that is said in any case.
    """

    def differing(keys: Iterable[str], among: list[dict[str, Any]]) -> list[str]:
        return [key for key in keys if len({_key({key: one.get(key)}) for one in among}) > 1]

    varied = differing(NAMES, all_choices)
    said = [str(mine.get(key)) for key in NAMES if key == always or key in varied]
    # Names tell much; of equal ones, what was tried in several ways tells apart.
    alike = [one for one in all_choices if all(one.get(key) == mine.get(key) for key in NAMES)]
    keys = sorted({key for one in alike for key in one} - set(NAMES))
    return " ".join(
        [" · ".join(said), *(f"{k}={_typed(mine.get(k))}" for k in differing(keys, alike))]
    )


def _typed(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    # A matrix would fill a legend.
    return text if len(text) <= 48 else f"{text[:24]}…{digest(text)[:8]}"
