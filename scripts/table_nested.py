"""The README's table: SNR of nested lattices on the i.i.d. Gaussian source at fixed rate.

    python scripts/table_nested.py

Beside them stands the best that a scalar quantizer of the same rate can do (Lloyd, *Least squares
quantization in PCM*, 1957; Max, *Quantizing for minimum distortion*, 1960), and R(D).
"""

import argparse
import math

import numpy as np
import numpy.typing as npt
from scipy.stats import norm
from sweep import run

LATTICES = ["scalar", "a2", "d4_dual", "e8", "k12", "bw16", "leech"]


def lloyd_max(levels: int) -> float:
    """Return the least distortion of a Gaussian of unit variance with this many levels.

    The Gaussian is log-concave, so Lloyd's iteration converges to the optimum from anywhere
    (Fleischer, 1964).
    """
    points: npt.NDArray[np.float64] = norm.ppf((np.arange(levels) + 0.5) / levels)
    while True:
        edges = np.concatenate([[-np.inf], (points[1:] + points[:-1]) / 2, [np.inf]])
        mass = np.diff(norm.cdf(edges))
        centroids = -np.diff(norm.pdf(edges)) / mass
        if np.abs(centroids - points).max() < 1e-12:
            return float(1 - (mass * centroids**2).sum())
        points = centroids


def decibel(distortion: float) -> str:
    return f"{-10 * math.log10(distortion):.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lattices", nargs="+", default=LATTICES)
    parser.add_argument("--ratios", nargs="+", type=int, default=[2, 4, 8])
    parser.add_argument("--samples", type=int, default=1_000_000)
    options = parser.parse_args()
    rows = [
        ["R(D)", *(decibel(ratio**-2.0) for ratio in options.ratios)],
        ["Lloyd-Max", *(decibel(lloyd_max(ratio)) for ratio in options.ratios)],
    ]
    # The scale starts where it belongs; there is nothing else to train on this source.
    common = ["transform=identity", "bound=none", "steps=1", f"evaluate.samples={options.samples}"]
    for lattice in options.lattices:
        nested = ["quantizer=nested", f"quantizer.fine={lattice}"]
        runs = [run(*nested, f"quantizer.ratio={ratio}", *common) for ratio in options.ratios]
        rows.append([lattice, *(decibel(metrics["distortion"]) for metrics in runs)])
    print()
    print("| bits per sample |", *(f"{math.log2(ratio):.4g} |" for ratio in options.ratios))
    print("|---" * (1 + len(options.ratios)) + "|")
    for row in rows:
        print("|", " | ".join(row), "|")


if __name__ == "__main__":
    main()
