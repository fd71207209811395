"""Figures of a run."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from ltc.bounds import RateDistortion
    from ltc.runs.run import Run

__all__ = ["operating_point", "quantization_regions"]


def operating_point(metrics: dict[str, Any], bound: RateDistortion, variance: float) -> Figure:
    """Draw SNR over rate: the point of a run on the source's rate-distortion function.

    Arguments:
        metrics: the contents of `metrics.json`.
        bound: the source's rate-distortion function.
        variance: the source's variance per scalar.

    Returns:
        The figure.
    """
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    decibel = np.linspace(0, max(metrics["snr_db"] + 3, 3), 60)[1:]
    lower, upper = bound.curve(variance * 10 ** (-decibel / 10))
    known = "R(D)" if np.isfinite(lower).all() else "R(D) ≤"
    axes.plot(upper, decibel, color="black", label=f"{known} {bound.name}")
    if known == "R(D)":
        axes.plot(lower, decibel, color="black", linewidth=0.5)
    axes.plot(metrics["rate"], metrics["snr_db"], "o", label=metrics["quantizer"])
    axes.set(
        xlabel="rate (bits per sample)",
        ylabel="SNR (dB)",
        title=f"{metrics['source']}, lmbda {metrics['lmbda']:g}",
    )
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    return figure


@torch.no_grad()
def quantization_regions(run: Run, generator: torch.Generator, size: int = 400) -> Figure:
    """Draw the cells of a two-dimensional source: Voronoi cells pulled back by the analysis.

    Where the lattice runs across a block, the other vectors of the block are held at one draw of
    the source: a slice through the cells.

    Arguments:
        run: a run of a source of dimension 2.
        generator: where the randomness comes from.
        size: pixels along each side.

    Returns:
        The figure.
    """
    device = generator.device
    block = run.block
    # A pixel costs a whole block: of long ones a coarser picture has to do.
    size = min(size, math.isqrt((1 << 23) // block))
    samples = run.source.sample(max(2000, block), generator)
    low, high = samples.quantile(0.002, 0) - 0.3, samples.quantile(0.998, 0) + 0.3
    lines = [torch.linspace(float(low[i]), float(high[i]), size, device=device) for i in range(2)]
    grid = torch.stack(torch.meshgrid(lines[0], lines[1], indexing="xy"), -1).reshape(-1, 1, 2)
    blocks = torch.cat([grid, samples[: block - 1].expand(len(grid), -1, -1)], 1)
    points = torch.cat([run.cells(part) for part in blocks.split(max(1, (1 << 17) // block))])
    _, cell = torch.unique((points * 1024).round(), dim=0, return_inverse=True)
    image = cell.reshape(size, size).cpu().numpy()
    # Neighbouring cells get different colours by a shuffle of the colour wheel.
    colours = (image * ((math.sqrt(5) - 1) / 2)) % 1.0
    figure = Figure(figsize=(6, 6), layout="constrained")
    axes = figure.add_subplot()
    extent = (float(low[0]), float(high[0]), float(low[1]), float(high[1]))
    axes.imshow(colours, origin="lower", extent=extent, cmap="hsv", alpha=0.5, aspect="equal")
    shown = samples.cpu()
    axes.plot(shown[:, 0], shown[:, 1], ".", color="black", markersize=1)
    slice_of = "" if block == 1 else f", slice of a block of {block}"
    axes.set(xlabel="x1", ylabel="x2", title=f"quantization regions{slice_of}")
    axes.set(xlim=extent[:2], ylim=extent[2:])
    return figure
