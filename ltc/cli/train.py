"""`ltc-train`: train a coder, measure it, compare it with the bound."""

from __future__ import annotations

import math
from typing import Any

from omegaconf import DictConfig
from rich.table import Table

from ltc.cli.command import claimed, command, console

__all__ = ["main"]


def main() -> None:
    """Run `ltc-train`."""
    command(_task, "train")


def _task(config: DictConfig) -> float:
    # torch is slow to import, and --help should not be
    from ltc.runs.train import train, train_vector_quantizer

    with claimed(config) as folder:
        if "lattice" in config.quantizer:
            run, metrics = train(config, folder)
            high_rate_gap = run.coder.quantizer.lattice.high_rate_gap
        else:
            metrics, high_rate_gap = train_vector_quantizer(config, folder), None
    console.print(table(metrics, high_rate_gap))
    console.print(f"[dim]{folder}[/]")
    return float(metrics["rate"] + metrics["lmbda"] * metrics["distortion"])


def table(metrics: dict[str, Any], high_rate_gap: float | None) -> Table:
    """Return the final table of a run.

    Arguments:
        metrics: the contents of `metrics.json`.
        high_rate_gap: what the theory says of the lattice, bits per sample.
    """

    def number(value: float | None, stderr: float | None = None) -> str:
        if value is None:
            return "-"
        known = stderr is not None and math.isfinite(stderr)
        return f"{value:.4f}" + (f" ± {stderr:.4f}" if known else "")

    from ltc.lattices import Zn

    parts = (metrics[key] for key in ("source", "transform", "quantizer", "entropy"))
    name = " · ".join(part for part in parts if part is not None)
    table = Table(title=f"{name} · lmbda {metrics['lmbda']:g}", title_justify="left")
    table.add_column("")
    table.add_column("held-out samples", justify="right")
    table.add_column("unit")
    rows = [
        ("rate", number(metrics["rate"], metrics["rate_stderr"]), "bits per sample"),
        ("rate of the bitstream", number(metrics["bitstream_rate"]), "bits per sample"),
        ("distortion", f"{metrics['distortion']:.5g} ± {metrics['distortion_stderr']:.2g}", "MSE"),
        ("SNR", number(metrics["snr_db"]), "dB"),
    ]
    lower, upper = metrics["bound_rate_lower"], metrics["bound_rate_upper"]
    if lower is not None and upper is not None:
        value = number(lower) if lower == upper else f"{number(lower)} to {number(upper)}"
        rows.append((f"R(D), {metrics['bound']}", value, "bits per sample"))
        rows.append(("gap to R(D)", number(metrics["gap_bits"]), "bits per sample"))
        rows.append(("gap to R(D)", number(metrics["gap_db"]), "dB"))
    elif upper is not None:
        rows.append((f"R(D) ≤, {metrics['bound']}", number(upper), "bits per sample"))
        rows.append(("rate over this bound", number(metrics["rate"] - upper), "bits per sample"))
    for lattice, gap in (("this lattice", high_rate_gap), ("scalar", Zn().high_rate_gap)):
        if gap is not None:
            rows.append((f"{lattice} at high rate, ½ log2(2πeG)", number(gap), "bits per sample"))
    rows.append(("training, total", _seconds(metrics), "s"))
    for row in rows:
        table.add_row(*row)
    table.caption = (
        "±: standard error over blocks. The samples are fresh, or rows, pictures or sounds held "
        "out of training. The gap counts the model's rate; the README's tables count bytes."
    )
    if lower is None and metrics["bound"] is not None:
        table.caption += " bound=samples gives a lower limit and a gap."
    return table


def _seconds(metrics: dict[str, Any]) -> str:
    return f"{metrics['seconds_train']:.1f}, {metrics['seconds_total']:.1f}"


if __name__ == "__main__":
    main()
