"""What the figure and the page of a report have in common."""

from collections.abc import Iterable

from ltc.report.curves import Curve

__all__ = ["LABELS", "colours"]

# What stands on the axes of curves.
LABELS = {
    "rate": "rate (bits per sample)",
    "bits_per_pixel": "size of files (bits per pixel)",
    "snr_db": "SNR (dB)",
    "psnr_db": "PSNR (dB)",
    "distortion": "distortion",
}


def colours(curves: Iterable[Curve]) -> list[int]:
    """Return a number for each curve, which says its colour.

    One from elsewhere has that of the first curve of runs with its quantizer.

    Example:
        >>> from ltc.report.curves import Mean, Point
        >>> point = Point(Mean(1.0), None, None, None)
        >>> colours([Curve("ECSQ", (point,)), Curve("published", (point,), "e8")])
        [0, 1]
    """
    numbers: list[int] = []
    of_runs: dict[str, int] = {}
    for curve in curves:
        number = max(numbers, default=-1) + 1
        if curve.beside:
            number = of_runs.get(curve.quantizer, number)
        else:
            of_runs.setdefault(curve.quantizer, number)
        numbers.append(number)
    return numbers
