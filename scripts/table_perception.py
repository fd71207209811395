"""How far dithered quantizers are from the rate-distortion-perception function of a Gaussian.

    python scripts/table_perception.py
    python scripts/table_perception.py --quantizers leech --dithers shared private

At P = 0: the reconstruction is to be distributed as the source is. Prints rate, distortion, the
squared Wasserstein-2 distance per scalar that is left, and how many bits the rate is above
R(D, 0), and the lower limit of R(D, P) at what is left, with the randomness that encoder and
decoder share: all of it, none (private), or one bit a sample (finite).
"""

import argparse
import math

from sweep import run

from ltc.bounds import GaussianPerception

DITHERS = {
    "shared": (math.inf, ["quantizer.dither=shared"]),
    "finite": (1, ["quantizer.dither=shared", "quantizer.shared_bits=1"]),
    "private": (0, ["quantizer.dither=private"]),
}
# What is quantized is nearly Gaussian, and each vector has a partition function of its own.
SHARED = ["realism=20", "entropy.components=2"]
# How far from the bound each is, roughly, to come near a rate; and blocks of a step of training
# where a partition function of each takes long.
QUANTIZERS = {
    "scalar": (0.25, "batch=2000"),
    "e8": (0.15, "batch=200"),
    "leech": (0.09, "batch=64"),
    "trellis_256": (0.03, "batch=4"),
}


def slope(bound: GaussianPerception, rate: float) -> float:
    """Return -dR/dD where R(D, 0) is a rate."""
    low, high = 0.0, 2.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if bound.bracket(middle).upper > rate else (low, middle)
    nearby = [bound.bracket(low * factor).upper for factor in (0.999, 1.001)]
    return (nearby[0] - nearby[1]) / (0.002 * low)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--quantizers", nargs="+", default=list(QUANTIZERS), choices=list(QUANTIZERS)
    )
    parser.add_argument("--dithers", nargs="+", default=list(DITHERS), choices=list(DITHERS))
    parser.add_argument("--rates", nargs="+", type=float, default=[1, 2, 3])
    parser.add_argument("--settings", nargs="*", default=["steps=1000", "evaluate.samples=500000"])
    options = parser.parse_args()
    print(
        "| dither | quantizer | rate | D | W2^2 | to R(D, 0) | to R(D, P) |\n"
        "|---|---|---|---|---|---|---|"
    )
    for dither in options.dithers:
        common, settings = DITHERS[dither]
        bound = GaussianPerception(1.0, common_bits=common)
        for quantizer in options.quantizers:
            away, batch = QUANTIZERS[quantizer]
            for rate in options.rates:
                # Private noise comes after training: the distortion without it is half.
                lmbda = slope(bound, rate - away) * (1 if common else 2)
                given = [f"quantizer={quantizer}", f"lmbda={lmbda:.4g}", *settings]
                given += [batch, *SHARED] if common else []
                found = run("source=iid_gaussian", *given, *options.settings)
                distortion = found["distortion"]
                gap = found["rate"] - bound.bracket(distortion).upper
                print(
                    f"| {dither} | {quantizer} | {found['rate']:.3f} | {distortion:.4f} "
                    f"| {found['perception']:.1e} | {gap:.4f} | {found['gap_bits']:.4f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
