"""The final table of a run."""

import math
from typing import Any

from rich.table import Table

__all__ = ["table"]

SCALAR_GAP = 0.5 * math.log2(2 * math.pi * math.e / 12)  # of the integers at high rate

# What is coded as a whole, by metrics that only its runs have.
WHOLE = {"psnr_db": "pictures", "recordings": "recordings"}


def table(metrics: dict[str, Any]) -> Table:
    """Return the final table of a run.

    Arguments:
        metrics: the contents of `metrics.json`.
    """

    def number(
        value: float | None, stderr: float | None = None, form: str = ".4f", of_error: str = ".4f"
    ) -> str:
        if value is None:
            return "-"
        known = stderr is not None and math.isfinite(stderr)
        return f"{value:z{form}}" + (f" ± {stderr:{of_error}}" if known else "")

    parts = (metrics[key] for key in ("source", "transform", "quantizer", "entropy"))
    name = " · ".join(part for part in parts if part is not None)
    table = Table(title=f"{name} · lmbda {metrics['lmbda']:g}", title_justify="left")
    table.add_column("")
    table.add_column("held-out samples", justify="right")
    table.add_column("unit")
    rate, written = metrics["rate"], metrics["bitstream_rate"]
    squared = metrics["distortion_measure"] == "squared"
    rows = [
        ("rate", number(rate, metrics["rate_stderr"]), "bits per sample"),
        ("rate of the bitstream", number(written), "bits per sample"),
        (
            "distortion",
            number(metrics["distortion"], metrics["distortion_stderr"], ".5g", ".2g"),
            "MSE" if squared else metrics["distortion_measure"],
        ),
        ("SNR", number(metrics["snr_db"]), "dB"),
    ]
    if "perception" in metrics:
        rows.append(("perception, W2²", number(metrics["perception"], form=".2g"), "MSE"))
    if "psnr_db" in metrics:
        rows.append(("mean of pictures", number(metrics["bits_per_pixel"]), "bits per pixel"))
        rows.append(("mean PSNR of pictures", number(metrics["psnr_db"]), "dB"))
    lower, upper = metrics["bound_rate_lower"], metrics["bound_rate_upper"]
    of = [name for key, name in WHOLE.items() if key in metrics]
    blocks = of[0] if of else "blocks"
    notes = [f"±: standard error over {blocks}. Held out: {_held_out(metrics)}."]
    if lower is not None and upper is not None:
        value = number(lower) if lower == upper else f"{number(lower)} to {number(upper)}"
        name = metrics["bound"] if "perception" in metrics else f"R(D), {metrics['bound']}"
        rows.append((name, value, "bits per sample"))
        gap = number(metrics["gap_bits"], metrics.get("gap_stderr"))
        rows.append(("gap to R(D)", gap, "bits per sample"))
        if written is not None:
            rows.append(
                ("gap to R(D) of the bitstream", number(written - lower), "bits per sample")
            )
        rows.append(("gap to R(D)", number(metrics["gap_db"]), "dB"))
    elif upper is not None:
        rows.append((f"R(D) ≤, {metrics['bound']}", number(upper), "bits per sample"))
        rows.append(("rate over this bound", number(rate - upper), "bits per sample"))
    high_rate_gap = metrics.get("high_rate_gap")  # which older runs did not note
    for lattice, moment_gap in (("this lattice", high_rate_gap), ("scalar", SCALAR_GAP)):
        if moment_gap is not None and squared and not of:
            label = f"{lattice} at high rate, ½ log2(2πeG)"
            rows.append((label, number(moment_gap), "bits per sample"))
    rows.append(("training, total", _seconds(metrics), "s"))
    for row in rows:
        table.add_row(*row)
    if lower is None and metrics["bound"] is not None:
        notes.append("No lower limit of R(D), so no gap: bound=samples finds one, in minutes.")
    elif lower is None and any(key.startswith("bound.") for key in metrics):
        notes.append("No limit of R(D) is known for this source and distortion.")
    elif lower is not None:
        notes.append(
            "Gaps count the model's rate; that of the bitstream what was written, headers too."
        )
    table.caption, table.caption_justify = " ".join(notes), "left"
    return table


def _held_out(metrics: dict[str, Any]) -> str:
    """Say which samples a run was measured on."""
    if metrics.get("source.test_path") is not None:
        return f"the rows of {metrics['source.test_path']}"
    if metrics.get("source.split") is not None:
        which = {"random": "chosen at random", "place": "the last"}.get(metrics["source.split"])
        return f"{metrics['source.held_out']:.0%} of the rows, {which}"
    if "source.root" in metrics:
        return "files that were not trained on"
    return "fresh samples"


def _seconds(metrics: dict[str, Any]) -> str:
    train, total = metrics["seconds_train"], metrics["seconds_total"]
    return f"{'-' if train is None else f'{train:.1f}'}, {total:.1f}"
