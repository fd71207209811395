"""Squares against hexagons: the cells of rounding and of A2 behind a perceptron.

    python scripts/figure_regions.py --out scripts/figures/regions.png

On two Gaussian numbers and on the banana: nonlinear transform coding (rounded latents) beside
lattice transform coding with the hexagonal lattice, as in the paper. Prints rate, SNR and gap.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
from sweep import train_once

from ltc.files import atomic_write
from ltc.runs.figures import quantization_regions

SOURCES = {
    "two Gaussian numbers": ["source=iid_gaussian", "source.dimension=2"],
    "banana": ["source=banana"],
}
QUANTIZERS = {"rounding": "scalar", "hexagonal lattice": "a2"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("regions.png"))
    parser.add_argument("--lmbda", type=float, default=12)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="passed to each run")
    options = parser.parse_args()
    figure, axes = plt.subplots(1, 4, figsize=(12, 3.4), layout="constrained")
    panels = iter(axes)
    for source, choices in SOURCES.items():
        for quantizer, name in QUANTIZERS.items():
            common = ["transform=mlp", "source.block=1", "logger=csv", f"lmbda={options.lmbda:g}"]
            run = train_once(*choices, *common, f"quantizer={name}", *options.overrides)
            rate, snr, gap = (run.metrics[key] for key in ("rate", "snr_db", "gap_bits"))
            known = "" if gap is None else f", {gap:.4f} from R(D)"
            print(f"{source}, {quantizer}: {rate:.4f} bits, {snr:.3f} dB{known}", flush=True)
            panel = next(panels)
            quantization_regions(panel, run.run)
            panel.set(title=f"{source}, {quantizer}", xlabel="", ylabel="")
            panel.tick_params(labelsize="small")
            panel.title.set_size("medium")
    with atomic_write(options.out) as path:
        figure.savefig(path, dpi=100)


if __name__ == "__main__":
    main()
