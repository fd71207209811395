"""The README's first figure: how close the quantizers of a sweep come to R(D).

    ltc-train -m experiment=beyond_leech hydra.sweep.dir=outputs/beyond_leech
    python scripts/figure_gaussian.py outputs/beyond_leech --out scripts/figures/gaussian.svg

Reads the `metrics.json` of a sweep's runs, of one source whose R(D) is known, draws them and prints
the table behind the figure. Rates are the sizes of real files.
"""

import argparse
import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from ltc.files import atomic_write
from ltc.report import read_beside

# The published counterparts of quantizers, see `ltc/report/published`.
PUBLISHED = {
    "scalar": "NTC, scalar (2025)",
    "e8": "LTC, e8 (2025)",
    "leech": "LTC, leech (2025)",
}
DECIBEL_PER_BIT = 20 * np.log10(2)  # of a Gaussian source


def read(folder: Path, rate: str = "bitstream_rate") -> dict[str, list[dict]]:
    """Return the runs of a sweep by what tells their curves apart, each in the order of lmbda.

    Those count that have this rate and a gap.
    """
    paths = sorted(folder.glob("**/metrics.json"))
    found = [json.loads(path.read_text()) for path in paths]
    found = [m for m in found if m[rate] is not None and m["gap_bits"] is not None]
    if not found:
        raise SystemExit(f"{folder} holds no metrics.json of a run with a {rate} and an R(D)")
    sources = sorted({m["source"] for m in found})
    if len(sources) > 1:
        raise SystemExit(f"{folder} holds runs of several sources ({', '.join(sources)}); name one")
    parts = ("quantizer", "transform", "entropy")
    choices = {key for m in found for key in m if key.partition(".")[0] in parts}
    runs: dict[str, list[dict]] = {}
    for metrics in sorted(found, key=lambda m: m["lmbda"]):
        alike = [m for m in found if m["quantizer"] == metrics["quantizer"]]
        # Quantizers have names of their own; of one, what was tried in several ways tells apart.
        varied = sorted(k for k in choices if len({str(m.get(k)) for m in alike}) > 1)
        said = [f"{key.rpartition('.')[2]}={metrics.get(key)}" for key in varied]
        runs.setdefault(" ".join([metrics["quantizer"], *said]), []).append(metrics)
    return runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="of a sweep")
    parser.add_argument("--out", type=Path, help="the figure; default: FOLDER/snr.svg")
    options = parser.parse_args()
    runs = read(options.folder)
    source = next(iter(runs.values()))[0]["source"]
    worst = {name: max(m["gap_bits"] for m in found) for name, found in runs.items()}
    published = {curve.label: curve.rows for curve in read_beside("paper")}
    figure, (snr_axes, gap_axes) = plt.subplots(1, 2, figsize=(10, 4.4), layout="constrained")
    print("| quantizer | lmbda | rate | bytes / 8 n | SNR (dB) | gap of bytes | seconds |")
    print("|---|---|---|---|---|---|---|")
    for i, name in enumerate(sorted(runs, key=lambda name: -worst[name])):
        found = runs[name]
        rates = np.array([m["bitstream_rate"] for m in found])
        gaps = [m["bitstream_rate"] - m["bound_rate_lower"] for m in found]
        style = {"color": f"C{i}", "label": name, "markersize": 4}
        snr_axes.plot(rates, [m["snr_db"] for m in found], "o-", **style)
        gap_axes.plot(rates, gaps, "o-", **style)
        if source == "iid_gaussian" and name in PUBLISHED:
            rate, gap = np.array([(p["rate"], p["gap_bits"]) for p in published[PUBLISHED[name]]]).T
            snr_axes.plot(rate, DECIBEL_PER_BIT * (rate - gap), "x", color=f"C{i}", alpha=0.6)
            gap_axes.plot(rate, gap, "x", color=f"C{i}", alpha=0.6)
        for m, gap in zip(found, gaps, strict=True):
            print(
                f"| {name} | {m['lmbda']:g} | {m['rate']:.4f} | {m['bitstream_rate']:.4f} "
                f"| {m['snr_db']:.3f} | {gap:.4f} | {m['seconds_total']:.0f} |"
            )
    limit = sorted((m["bound_rate_lower"], m["snr_db"]) for found in runs.values() for m in found)
    snr_axes.plot(*np.array(limit).T, color="black", linewidth=1, label="R(D)")
    if source == "iid_gaussian":
        snr_axes.plot([], [], "x", color="grey", label="published (ICLR 2025)")
    snr_axes.set(ylabel="SNR (dB)", xlim=(0, None))
    gap_axes.axhline(0, color="black", linewidth=1)
    gap_axes.annotate(
        "Shannon's limit, R(D)", (0.5, 0), (0, 3), gap_axes.get_yaxis_transform(),
        textcoords="offset points", fontsize=9,
    )  # fmt: skip
    gap_axes.set(ylabel="rate above R(D) (bits per sample)", xlim=(0, None))
    for axes in (snr_axes, gap_axes):
        axes.set_xlabel("bytes written (bits per sample)")
        axes.grid(alpha=0.3)
    snr_axes.legend(fontsize=8)
    figure.suptitle(f"{source}, held-out samples")
    out = options.out or options.folder / "snr.svg"
    with atomic_write(out) as path:
        figure.savefig(path)
    print(out)


if __name__ == "__main__":
    main()
