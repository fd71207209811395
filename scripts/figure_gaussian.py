"""The README's first figure: the gap to R(D) of each lattice on the Gaussian source.

    python scripts/figure_gaussian.py

Writes `scripts/figures/gaussian.svg` and prints the table behind it.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
from sweep import run

from ltc.files import atomic_write

# Lei, Hassani and Saeedi Bidokhti (ICLR 2025), from the precomputed results of their public
# repository: rate in bits per sample and gap to R(D) in bits per sample.
PUBLISHED = {
    "scalar": [(0.596, 0.1767), (1.049, 0.2464), (1.279, 0.2568), (1.486, 0.2596), (1.963, 0.2614)],
    "a2": [(0.407, 0.1217), (0.502, 0.1452), (0.657, 0.1766), (0.788, 0.1996), (0.989, 0.2236),
           (1.462, 0.2318), (1.958, 0.2332)],
    "d4_dual": [(0.091, 0.0263), (0.278, 0.0802), (0.472, 0.1282), (0.733, 0.1727),
                (0.946, 0.1884), (1.414, 0.1952), (1.919, 0.1964)],
    "e8": [(0.346, 0.0888), (0.481, 0.1142), (0.574, 0.1268), (0.763, 0.1431), (0.905, 0.1469),
           (1.38, 0.1481), (1.882, 0.1486)],
    "bw16": [(0.41, 0.1142), (0.537, 0.1292), (0.612, 0.1342), (0.766, 0.1351), (0.911, 0.1277),
             (1.354, 0.1182), (1.845, 0.1177)],
    "leech": [(0.331, 0.0772), (0.454, 0.092), (0.542, 0.0984), (0.692, 0.0973), (0.842, 0.0938),
              (1.324, 0.0928), (1.821, 0.0949)],
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = ["scalar", "a2", "d4_dual", "e8", "bw16", "leech", "trellis-8", "trellis-256"]
    parser.add_argument("--quantizers", nargs="+", default=names)
    parser.add_argument("--lmbdas", nargs="+", type=float, default=[1, 1.5, 2, 4, 8, 16])
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "figures")
    options = parser.parse_args()
    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    for i, quantizer in enumerate(options.quantizers):
        name, _, states = quantizer.partition("-")
        overrides = ["source=iid_gaussian", f"quantizer={name}"]
        if states:  # its blocks are 256 long, so fewer of them fill a batch
            overrides += [f"quantizer.states={states}", "batch=50", "steps=1000"]
        runs = [run(*overrides, f"lmbda={lmbda:g}") for lmbda in options.lmbdas]
        rates, gaps = [m["rate"] for m in runs], [m["gap_bits"] for m in runs]
        axes.plot(rates, gaps, "o-", color=f"C{i}", label=quantizer, markersize=4)
        published = PUBLISHED.get(quantizer, [])
        if published:
            axes.plot(*zip(*published, strict=True), "x", color=f"C{i}", alpha=0.6)
        for m in runs:
            print(
                f"{quantizer:8} lmbda {m['lmbda']:5g}  rate {m['rate']:.4f}  "
                f"SNR {m['snr_db']:7.3f} dB  gap {m['gap_bits']:.4f}"
            )
    axes.plot([], [], "x", color="grey", label="published (ICLR 2025)")
    axes.axhline(0, color="black", linewidth=1)
    axes.text(0.02, 0.004, "Shannon's limit, R(D)", fontsize=9)
    axes.set(
        xlabel="rate (bits per sample)",
        ylabel="rate above R(D) (bits per sample)",
        title="i.i.d. Gaussian source, held-out samples",
        xlim=(0, None),
    )
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, ncols=5, loc="lower center", bbox_to_anchor=(0.5, -0.32))
    for suffix in (".svg", ".png"):
        with atomic_write(options.output / f"gaussian{suffix}") as path:
            figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
