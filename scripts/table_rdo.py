"""What rate-distortion optimised encoding brings, at every rate.

    python scripts/table_rdo.py
    python scripts/table_rdo.py --source iid_laplacian

Trains each quantizer on a source with and without `quantizer.rdo`, prints both rates
and gaps, and fails where the Lagrangian, rate + lmbda * distortion, rises. A probability and a
reconstruction for each of thirty points, fitted to 2^19 samples, cost 30 / (ln 2 * 2^19) = 1e-4
bits; from three bits on there is less to gain.
"""

import argparse

from sweep import run

OVERFIT = 2e-4  # bits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", default="iid_gaussian")
    parser.add_argument("--quantizers", nargs="+", default=["scalar", "e8", "trellis_8"])
    parser.add_argument("--lmbdas", nargs="+", type=float, default=[1.2, 1.3, 1.6, 3, 10, 40])
    options = parser.parse_args()
    rows, risen = [], 0
    for quantizer in options.quantizers:
        for lmbda in options.lmbdas:
            overrides = [f"source={options.source}", f"quantizer={quantizer}", f"lmbda={lmbda:g}"]
            pair = [run(*overrides, f"quantizer.rdo={rdo}") for rdo in ("false", "true")]
            lagrangian = [m["rate"] + lmbda * m["distortion"] for m in pair]
            risen += lagrangian[1] > lagrangian[0] + OVERFIT
            cells = [f"{m['rate']:.3f} | {m['gap_bits']:.4f}" for m in pair]
            fall = lagrangian[0] - lagrangian[1]
            rows.append(f"| {quantizer} | {lmbda:g} | {' | '.join(cells)} | {fall:.4f} |")
    print()
    print("| quantizer | lmbda | rate | gap | rate, rdo | gap, rdo | fall of the Lagrangian |")
    print("|---|---|---|---|---|---|---|")
    print("\n".join(rows))
    if risen:
        raise SystemExit(f"the Lagrangian rose in {risen} runs")


if __name__ == "__main__":
    main()
