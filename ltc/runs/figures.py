"""Figures of a run."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ltc.runs.run import Run, generator

if TYPE_CHECKING:
    from ltc.bounds import RateDistortion

__all__ = ["latents", "operating_point", "overview", "pictures", "quantization_regions", "single"]


class _Shown(Figure):
    """A figure that a notebook shows, though it is none of pyplot's."""

    def _repr_png_(self) -> bytes:
        stream = io.BytesIO()
        self.savefig(stream, format="png")
        return stream.getvalue()


def overview(run: Run, metrics: dict[str, Any]) -> Figure:
    """Draw a run's point beside the rate-distortion function, and in the plane its cells.

    Of whole pictures, whose bound nobody knows: one beside what the decoder makes of it.

    Arguments:
        run: a trained run.
        metrics: the contents of `metrics.json`.

    Returns:
        The figure; with neither, it is empty.
    """
    with_point = run.bound is not None and metrics["snr_db"] is not None
    with_cells = run.source.dimension == 2
    count = with_point + with_cells
    shown = None if count else run.shown()
    if shown is not None and shown.sample_rate is None:
        return pictures({"source": shown.source, "reconstruction": shown.reconstruction})
    figure = _Shown(figsize=(6 * max(1, count), 5), layout="constrained")
    axes = list(figure.subplots(1, count, squeeze=False)[0]) if count else []
    if with_point:
        assert run.bound is not None
        operating_point(axes[0], metrics, run.bound, run.source.variance)
    if with_cells:
        quantization_regions(axes[-1], run)
    return figure


def single(draw: Callable[[Axes], None]) -> Figure:
    """Return a figure of one panel.

    Arguments:
        draw: draws it.
    """
    figure = Figure(figsize=(6, 5), layout="constrained")
    draw(figure.add_subplot())
    return figure


def operating_point(
    axes: Axes, metrics: dict[str, Any], bound: RateDistortion, variance: float
) -> None:
    """Draw SNR over rate: the point of a run on the source's rate-distortion function.

    Arguments:
        axes: where to draw.
        metrics: the contents of `metrics.json`.
        bound: the source's rate-distortion function.
        variance: the source's variance per scalar.
    """
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


@torch.no_grad()
def quantization_regions(axes: Axes, run: Run, size: int = 400) -> None:
    """Draw the cells of a two-dimensional source: Voronoi cells pulled back by the analysis.

    Where the lattice runs across a block, the other vectors of the block are held at one draw of
    the source: a slice through the cells.

    Arguments:
        axes: where to draw.
        run: a run of a source of dimension 2, trained or in training.
        size: pixels along each side.
    """
    device, block = run.device, run.block
    rng = generator(run.config["seed"], "figures", device)
    # A pixel costs a whole block: of long ones a coarser picture has to do.
    size = min(size, math.isqrt((1 << 23) // block))
    samples = run.source.sample(max(2000, block), rng)
    low, high = samples.quantile(0.002, 0) - 0.3, samples.quantile(0.998, 0) + 0.3
    lines = [torch.linspace(float(low[i]), float(high[i]), size, device=device) for i in range(2)]
    grid = torch.stack(torch.meshgrid(lines[0], lines[1], indexing="xy"), -1).reshape(-1, 1, 2)
    blocks = torch.cat([grid, samples[: block - 1].expand(len(grid), -1, -1)], 1)
    points = torch.cat([run.cells(part) for part in blocks.split(max(1, (1 << 17) // block))])
    _, cell = torch.unique((points * 1024).round(), dim=0, return_inverse=True)
    image = cell.reshape(size, size).cpu().numpy()
    # Neighbouring cells get different colours by a shuffle of the colour wheel.
    colours = (image * ((math.sqrt(5) - 1) / 2)) % 1.0
    extent = (float(low[0]), float(high[0]), float(low[1]), float(high[1]))
    axes.imshow(colours, origin="lower", extent=extent, cmap="hsv", alpha=0.5, aspect="equal")
    shown = samples.cpu()
    axes.plot(shown[:, 0], shown[:, 1], ".", color="black", markersize=1)
    slice_of = "" if block == 1 else f", slice of a block of {block}"
    axes.set(xlabel="x1", ylabel="x2", title=f"quantization regions{slice_of}")
    axes.set(xlim=extent[:2], ylim=extent[2:])


@torch.no_grad()
def latents(run: Run, most: int = 16) -> Figure:
    """Draw histograms of what is quantized, channel by channel.

    Arguments:
        run: a trained run.
        most: channels that are drawn.
    """
    values = run.latent_samples().cpu().numpy()[:, :most]
    columns = min(4, values.shape[1])
    rows = -(-values.shape[1] // columns)
    figure = Figure(figsize=(2.2 * columns, 1.6 * rows), layout="constrained")
    for channel, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        if channel < values.shape[1]:
            axes.hist(values[:, channel], bins=60)
            axes.set_title(f"channel {channel}", fontsize="small")
        else:
            axes.axis("off")
    return figure


def pictures(pair: dict[str, NDArray[Any]]) -> Figure:
    """Draw pictures side by side.

    Arguments:
        pair: by title, pixels of one type, shape (height, width) or (height, width, 3).
    """
    height, width = next(iter(pair.values())).shape[:2]
    figure = _Shown(figsize=(6 * len(pair), 6 * height / width + 0.4), layout="constrained")
    for axes, (title, pixels) in zip(figure.subplots(1, len(pair)), pair.items(), strict=True):
        shown = pixels if pixels.dtype == np.uint8 else np.uint8(pixels >> 8)
        axes.imshow(shown, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axes.set_title(title)
        axes.axis("off")
    return figure
