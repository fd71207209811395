"""The README's table: what each part of the picture codec brings.

    python scripts/table_pictures.py KODAK --root PHOTOS

Trains a coder for each line on the photographs in a folder (default: those in scikit-image),
which adds one part to the line before, and prints Bjontegaard differences of rate (PCHIP) on all
pictures below another, to JPEG and to the line before.
"""

import argparse
import tempfile
from pathlib import Path

from compare_codecs import QUALITIES, measure, others, read_pictures, saving, with_run

import ltc

FIXED = ["transform.overlap=biorthogonal"]
NOISY = [*FIXED, "transform.denoise=false"]
NEAREST = ["quantizer=scalar", "quantizer.rdo=false"]
LINES = {
    "contexts, cosine transform, nearest levels": [
        *NEAREST, "transform=dct", "transform.denoise=false",
    ],
    "blocks that overlap": [*NEAREST, *NOISY],
    "levels of least rate + lmbda * distortion": ["quantizer=scalar", *NOISY],
    "8 states instead of scalar": ["quantizer=trellis_8", *NOISY],
    "noise taken out": ["quantizer=trellis_8", *FIXED],
    "overlap and transform of blocks learned": ["quantizer=trellis_8"],
}  # fmt: skip


def main() -> None:
    """Train, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", type=Path, help="folder of pictures that nobody trained on")
    parser.add_argument("--root", help="folder of photographs to train on")
    parser.add_argument("--range", type=float, nargs=2, default=(28.0, 40.0), metavar="PSNR")
    options = parser.parse_args()
    pictures = read_pictures(options.pictures)
    codec, qualities = others()["JPEG"]
    jpeg = [measure(codec, quality, pictures, False) for quality in qualities]
    before = None
    print("| codec | to JPEG | to the line before |\n|---|---|---|")
    for name, choices in LINES.items():
        common = ["source=images", *([f"source.root={options.root}"] if options.root else [])]
        with tempfile.TemporaryDirectory() as folder:
            ltc.train(*common, *choices, "logger=csv", folder=folder)
            codec = with_run(folder)
        points = [measure(codec, quality, pictures, False) for quality in QUALITIES]
        cells = [f"{saving(jpeg, points, *options.range):+.1f} %"]
        cells.append("" if before is None else f"{saving(before, points, *options.range):+.1f} %")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
        before = points


if __name__ == "__main__":
    main()
