"""The README's first figure: how close quantizers come to R(D) of the Gaussian source.

    ltc-train -m experiment=beyond_leech hydra.sweep.dir=outputs/beyond_leech
    python scripts/figure_gaussian.py outputs/beyond_leech --out scripts/figures/gaussian.svg

Reads the `metrics.json` of a sweep's runs, writes a figure, without --out `snr.svg` in the sweep's
folder, and prints the table behind it. Rates are the sizes of real files.
"""

import argparse
import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from ltc.files import atomic_write

# Lei, Hassani and Saeedi Bidokhti (ICLR 2025), from the precomputed results of their public
# repository (arXiv 2403.07320): rate and gap to R(D), both in bits per sample.
PUBLISHED = {
    "scalar": [(0.596, 0.1767), (1.049, 0.2464), (1.279, 0.2568), (1.486, 0.2596), (1.963, 0.2614)],
    "e8": [(0.346, 0.0888), (0.481, 0.1142), (0.574, 0.1268), (0.763, 0.1431), (0.905, 0.1469),
           (1.38, 0.1481), (1.882, 0.1486)],
    "leech": [(0.331, 0.0772), (0.454, 0.092), (0.542, 0.0984), (0.692, 0.0973), (0.842, 0.0938),
              (1.324, 0.0928), (1.821, 0.0949)],
}  # fmt: skip
DECIBEL_PER_BIT = 20 * np.log10(2)  # of a Gaussian source


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="of a sweep")
    parser.add_argument("--out", type=Path, help="the figure; default: FOLDER/snr.svg")
    options = parser.parse_args()
    runs: dict[str, list[dict]] = {}
    for path in sorted(options.folder.glob("*/metrics.json")):
        metrics = json.loads(path.read_text())
        if metrics["source"] != "iid_gaussian":
            raise SystemExit(
                f"{path}: source={metrics['source']}; this is the figure of iid_gaussian"
            )
        if None in (metrics["bitstream_rate"], metrics["snr_db"], metrics["gap_bits"]):
            raise SystemExit(f"{path}: there is no bitstream or no bound to compare with")
        runs.setdefault(metrics["quantizer"], []).append(metrics)
    if not runs:
        raise SystemExit(f"{options.folder} holds no metrics.json of a sweep")
    worst = {name: max(m["gap_bits"] for m in found) for name, found in runs.items()}
    figure, (snr_axes, gap_axes) = plt.subplots(1, 2, figsize=(10, 4.4), layout="constrained")
    print("| quantizer | lmbda | rate | bytes / 8 n | SNR (dB) | gap (bits) | seconds |")
    print("|---|---|---|---|---|---|---|")
    for i, name in enumerate(sorted(runs, key=lambda name: -worst[name])):
        found = sorted(runs[name], key=lambda m: m["lmbda"])
        rates = np.array([m["bitstream_rate"] for m in found])
        gaps = [m["bitstream_rate"] - m["bound_rate_lower"] for m in found]
        style = {"color": f"C{i}", "label": name, "markersize": 4}
        snr_axes.plot(rates, [m["snr_db"] for m in found], "o-", **style)
        gap_axes.plot(rates, gaps, "o-", **style)
        if name in PUBLISHED:
            rate, gap = np.array(PUBLISHED[name]).T
            snr_axes.plot(rate, DECIBEL_PER_BIT * (rate - gap), "x", color=f"C{i}", alpha=0.6)
            gap_axes.plot(rate, gap, "x", color=f"C{i}", alpha=0.6)
        for m, gap in zip(found, gaps, strict=True):
            print(
                f"| {name} | {m['lmbda']:g} | {m['rate']:.4f} | {m['bitstream_rate']:.4f} "
                f"| {m['snr_db']:.3f} | {gap:.4f} | {m['seconds_total']:.0f} |"
            )
    ends = np.array([0, 3.2])
    snr_axes.plot(ends, DECIBEL_PER_BIT * ends, color="black", linewidth=1, label="R(D)")
    snr_axes.plot([], [], "x", color="grey", label="published (ICLR 2025)")
    snr_axes.set(ylabel="SNR (dB)", xlim=ends, ylim=DECIBEL_PER_BIT * ends)
    gap_axes.axhline(0, color="black", linewidth=1)
    gap_axes.text(1.4, 0.004, "Shannon's limit, R(D)", fontsize=9)
    gap_axes.set(ylabel="rate above R(D) (bits per sample)", xlim=(0, None))
    for axes in (snr_axes, gap_axes):
        axes.set_xlabel("bytes written (bits per sample)")
        axes.grid(alpha=0.3)
    snr_axes.legend(fontsize=8)
    figure.suptitle("i.i.d. Gaussian source, held-out samples")
    with atomic_write(options.out or options.folder / "snr.svg") as path:
        figure.savefig(path)


if __name__ == "__main__":
    main()
