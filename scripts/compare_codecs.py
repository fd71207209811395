"""Compare picture codecs: runs of `source=images` beside JPEG, WebP, JPEG 2000, AVIF and JPEG XL.

    ltc-train source=images source.root=PHOTOS
    python scripts/compare_codecs.py KODAK outputs/… --figure scripts/figures/kodak.svg

All pictures below the folder are coded at several qualities by every codec, in this run, as files,
and decoded. A point is the mean bits per pixel and the mean PSNR (of all colours) of the pictures.
Printed are Bjontegaard differences of rate (PCHIP) from the first codec between two PSNRs, and
between them where the first run takes more than two bits per pixel; and seconds per picture.
The other codecs are those of Pillow, with its best settings, and of pillow-jxl-plugin where it is
installed. With --published there are also published points of the Kodak pictures (`ltc-report DIR
--with kodak`, which names their sources), whose pictures these have to be.
"""

import argparse
import csv
import functools
import io
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from numpy.typing import NDArray
from PIL import Image, features
from rich.progress import track
from scipy.interpolate import PchipInterpolator
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

from ltc.codec import Aim, Payload
from ltc.files import atomic_write
from ltc.media import read_picture
from ltc.report import read_beside
from ltc.runs.checkpoint import load_coder
from ltc.sources.kodak import PIXELS, pixel_sum

Pixels = NDArray[np.uint8]
Codec = Callable[[Pixels, float], tuple[int, Pixels, float, float]]
# Bits per pixel beyond which rates are high.
HIGH = 2.0
# Qualities at which runs are measured, from about 28 to 45 dB.
QUALITIES = [28, 38, 46, 54, 62, 70, 78]
KEYS = ("bits_per_pixel", "psnr_db", "ms_ssim_db", "encoding", "decoding")


def read_pictures(folder: Path) -> list[Pixels]:
    """Return all pictures below a folder, in sorted order."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() == ".png")
    return [read_picture(path) for path in paths]


def with_pillow(kind: str, settings: Callable[[float], dict]) -> Codec:
    """Return one of Pillow's codecs."""

    def code(pixels: Pixels, quality: float) -> tuple[int, Pixels, float, float]:
        start, stream = time.perf_counter(), io.BytesIO()
        Image.fromarray(pixels).save(stream, kind, **settings(quality))
        size, middle = len(stream.getvalue()), time.perf_counter()
        decoded = np.asarray(Image.open(stream).convert("RGB"))
        return size, decoded, middle - start, time.perf_counter() - middle

    return code


def with_run(folder: str) -> Codec:
    """Return the coder of a run."""
    coder = load_coder(folder)

    def code(pixels: Pixels, quality: float) -> tuple[int, Pixels, float, float]:
        start, payload = time.perf_counter(), Payload("image", {"image": pixels}, ".png")
        data = coder.compress(payload, aim=Aim("quality", quality))
        middle = time.perf_counter()
        decoded = coder.decompress(data)[0].arrays["image"]
        return len(data), decoded, middle - start, time.perf_counter() - middle

    return code


def others() -> dict[str, tuple[Codec, list[float]]]:
    """Return the codecs that are installed, and qualities from about 28 to 42 dB."""
    found: dict[str, tuple[Codec, list[float]]] = {
        "JPEG": (
            with_pillow(
                "JPEG",
                lambda q: {
                    "quality": int(q), "optimize": True, "progressive": True,
                    "subsampling": 0 if q > 94 else 2,
                },
            ),
            [14, 25, 40, 60, 75, 85, 92, 95],
        )
    }  # fmt: skip
    if features.check("webp"):
        settings = {"method": 6}
        found["WebP"] = (
            with_pillow("WEBP", lambda q: {"quality": q, **settings}),
            [3, 20, 40, 60, 75, 85, 92, 97],
        )
    if features.check("jpg_2000"):
        found["JPEG 2000"] = (
            with_pillow(
                "JPEG2000",
                lambda q: {
                    "quality_mode": "rates", "quality_layers": [q], "irreversible": True, "mct": 1,
                },
            ),
            [140, 90, 60, 40, 25, 16, 10, 7],
        )  # fmt: skip
    if features.check("avif"):
        found["AVIF"] = (
            # Speed 0 takes four times as long as 2 and gains nothing; 4 needs 4 % more.
            with_pillow("AVIF", lambda q: {"quality": int(q), "speed": 2, "subsampling": "4:4:4"}),
            [18, 35, 48, 60, 72, 84],
        )
    try:
        import pillow_jxl  # noqa: F401 (registers itself with Pillow)

        found["JPEG XL"] = (  # Effort 7 needs 1 % more; 9 gains nothing.
            with_pillow("JXL", lambda q: {"quality": q, "effort": 8}), [20, 40, 60, 75, 85, 92, 96],
        )  # fmt: skip
    except ImportError:
        pass
    return found


def similarity(decoded: Pixels, pixels: Pixels) -> float:
    """Return MS-SSIM (Wang, Simoncelli and Bovik 2003) of all colours as -10 log10(1 - it)."""
    one, other = (
        torch.from_numpy(x.astype(np.float32)).movedim(-1, 0)[None] for x in (decoded, pixels)
    )
    found = multiscale_structural_similarity_index_measure(one, other, data_range=255.0)
    return float(-10 * torch.log10(1 - found))


def measure(
    codec: Codec, quality: float, pictures: list[Pixels], structure: bool
) -> dict[str, float]:
    """Return the mean bits per pixel, PSNR, MS-SSIM if asked for, and seconds of a picture."""
    rows = []
    for pixels in pictures:
        size, decoded, encoding, decoding = codec(pixels, quality)
        error = np.square(decoded.astype(float) - pixels).mean()
        psnr = 10 * np.log10(255**2 / max(error, 1e-9))
        rate = 8 * size / (pixels.shape[0] * pixels.shape[1])
        alike = similarity(decoded, pixels) if structure else float("nan")
        rows.append((rate, psnr, alike, encoding, decoding))
    return dict(zip(KEYS, map(float, np.mean(rows, 0)), strict=True))


def saving(
    reference: list[dict], curve: list[dict], low: float, high: float, quality: str = "psnr_db"
) -> float:
    """Return the Bjontegaard difference of rate from a reference, per cent, between two PSNRs."""
    sides = []
    for points in (reference, curve):
        points = sorted(points, key=lambda point: point[quality])
        psnr, rate = (np.array([p[key] for p in points]) for key in (quality, "bits_per_pixel"))
        low, high = max(low, psnr[0]), min(high, psnr[-1])
        sides.append(PchipInterpolator(psnr, np.log(rate)))
    if high - low < 1:
        return float("nan")
    first, second = (side.integrate(low, high) / (high - low) for side in sides)
    return float(100 * np.expm1(second - first))


def mean_seconds(points: list[dict], key: str) -> str:
    return f"{np.mean([p[key] for p in points]):.2f} s" if key in points[0] else ""


def draw(curves: dict[str, list[dict]], path: Path) -> None:
    """Draw PSNR over bits per pixel."""
    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.add_subplot()
    for name, points in curves.items():
        of_run = name.startswith("ltc")
        x, y = ([point[key] for point in points] for key in ("bits_per_pixel", "psnr_db"))
        axes.plot(x, y, "o-" if of_run else "--", markersize=3, label=name)
    axes.set(xlabel="bits per pixel", ylabel="PSNR (dB)", xscale="log")
    axes.set(title="mean of pictures, sizes of files")
    ticks = [0.1, 0.2, 0.5, 1, 2, 4]
    axes.set_xticks(ticks, map("{:g}".format, ticks))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:])


def main() -> None:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", type=Path, help="folder of pictures that nobody trained on")
    parser.add_argument("runs", nargs="+", help="folders of runs; the name after = is shown")
    parser.add_argument("--figure", type=Path, help="where to draw, .svg or .png")
    parser.add_argument("--csv", type=Path, help="where the points go")
    parser.add_argument("--range", type=float, nargs=2, default=(28.0, 40.0), metavar="PSNR")
    parser.add_argument("--qualities", type=float, nargs="+", default=QUALITIES)
    parser.add_argument("--ms-ssim", action="store_true", help="also rates at equal MS-SSIM")
    parser.add_argument("--without-others", action="store_true", help="runs alone")
    parser.add_argument("--published", action="store_true", help="beside points of Kodak pictures")
    options = parser.parse_args()
    pictures = read_pictures(options.pictures)
    if options.published and pixel_sum(sorted(options.pictures.rglob("*.png"))) != PIXELS:
        parser.error(f"--published: {options.pictures} does not hold the 24 Kodak pictures alone")
    codecs = {} if options.without_others else others()
    for run in options.runs:
        folder, _, name = run.partition("=")
        codecs[f"ltc {name or Path(folder).name}"] = with_run(folder), options.qualities
    curves: dict[str, list[dict]] = {}
    for name, (codec, qualities) in codecs.items():
        codec(pictures[0][:64, :64], qualities[0])  # kernels are compiled before time is taken
        points = track(qualities, name, transient=True)
        structure = options.ms_ssim
        curves[name] = [measure(codec, quality, pictures, structure) for quality in points]
        shown = ", ".join(f"{p['bits_per_pixel']:.3f}: {p['psnr_db']:.2f}" for p in curves[name])
        print(f"{name}: {shown}", flush=True)
    for one in read_beside("kodak") if options.published else []:
        curves[f"{one.label}, published"] = list(one.rows)
    reference = next(iter(curves))
    base = next(name for name in curves if name.startswith("ltc"))
    order = sorted(curves[base], key=lambda point: point["bits_per_pixel"])
    rates, psnr = ([p[key] for p in order] for key in ("bits_per_pixel", "psnr_db"))
    from_high = float(np.interp(HIGH, rates, psnr))
    low, high = options.range
    print(f"\n{len(pictures)} pictures; rate at equal PSNR, {low:g} to {high:g} dB")
    columns = [f"to {reference}", f"to {base}", f"above {HIGH:g} bits"]
    columns += [f"to {reference}, MS-SSIM"] * options.ms_ssim + ["encoding", "decoding"]
    print(f"| codec | {' | '.join(columns)} |\n{'|---' * (len(columns) + 1)}|")
    percent = functools.partial("{:+.1f} %".format)
    for name, points in curves.items():
        seconds = (mean_seconds(points, key) for key in ("encoding", "decoding"))
        differences = [
            saving(curves[reference], points, low, high),
            saving(curves[base], points, low, high),
            saving(curves[base], points, from_high, 60),
        ]
        if options.ms_ssim and "ms_ssim_db" in points[0]:
            differences.append(saving(curves[reference], points, 0, 60, "ms_ssim_db"))
        print(f"| {name} | {' | '.join([*map(percent, differences), *seconds])} |")
    if options.figure:
        draw(curves, options.figure)
    if options.csv:
        with atomic_write(options.csv) as path, path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["codec", *KEYS])
            for name, points in curves.items():
                writer.writerows([name, *(point.get(key) for key in KEYS)] for point in points)


if __name__ == "__main__":
    main()
