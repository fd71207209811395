"""The README's table: what trellis codes save over scalar quantization on real data.

    python scripts/table_trellis.py --source image_patches
    python scripts/table_trellis.py --source audio --overrides source.root=FOLDER

Each run of a trellis is compared with `scalar`, trained with the same kind of transform on the
same batches, at the same distortion, by interpolation of the rate over the SNR between runs of
`scalar`.
"""

import argparse

import numpy as np
from scipy.interpolate import PchipInterpolator
from sweep import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", default="image_patches")
    parser.add_argument("--lmbdas", nargs="+", type=float, default=[15, 40, 120])
    parser.add_argument("--states", nargs="+", type=int, default=[8, 256])
    parser.add_argument("--length", type=int, default=1024, help="of the blocks of both")
    parser.add_argument("--overrides", nargs="*", default=[], help="for both")
    options = parser.parse_args()
    common = [f"source={options.source}", *options.overrides]
    # `scalar` needs a larger lmbda for the same distortion: the grid reaches further.
    grid = np.geomspace(0.7 * min(options.lmbdas), 2.5 * max(options.lmbdas), 7)
    block = f"source.block={options.length}"
    scalar = [run(*common, "quantizer=scalar", block, f"lmbda={value:.4g}") for value in grid]
    scalar.sort(key=lambda m: m["snr_db"])
    snr = [m["snr_db"] for m in scalar]
    curve = PchipInterpolator(snr, [m["bitstream_rate"] for m in scalar])
    rows = []
    for states in options.states:
        for lmbda in options.lmbdas:
            trellis = [f"quantizer.states={states}", f"quantizer.length={options.length}"]
            found = run(*common, "quantizer=trellis", *trellis, f"lmbda={lmbda:g}")
            if not snr[0] <= found["snr_db"] <= snr[-1]:
                print(f"{found['snr_db']:.2f} dB lies outside the runs of scalar: left out")
                continue
            rate = float(curve(found["snr_db"]))
            rows.append((states, found["snr_db"], rate, found["bitstream_rate"]))
    print()
    print("| states | SNR (dB) | scalar | trellis | saved | saved (%) |")
    print("|---|---|---|---|---|---|")
    for states, decibel, rate, less in rows:
        saved = rate - less
        print(
            f"| {states} | {decibel:.2f} | {rate:.3f} | {less:.3f} | {saved:.3f} "
            f"| {100 * saved / rate:.1f} |"
        )


if __name__ == "__main__":
    main()
