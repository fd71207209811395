"""The README's table: what E8 saves over scalar quantization on every kind of source.

    python scripts/table_sources.py --speech FOLDER

Both quantizers are trained with the same kind of transform on both sides of `--rate` bits per
sample. `scalar` is read at that rate and `e8` at the same distortion, by linear interpolation
between the two runs.
"""

import argparse

from sweep import bracket, interpolate

SOURCES = {
    "iid_gaussian": ["source=iid_gaussian"],
    "iid_laplacian": ["source=iid_laplacian"],
    "banana": ["source=banana", "transform=mlp", "steps=5000"],
    "correlated_vector": ["source=correlated_vector"],
    "image_patches": ["source=image_patches"],
    "audio": ["source=audio"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=float, default=2.0, help="bits per sample")
    parser.add_argument("--speech", help="folder of WAV files; default: download")
    parser.add_argument("--sources", nargs="+", default=list(SOURCES), choices=list(SOURCES))
    options = parser.parse_args()
    rows = []
    for name in options.sources:
        overrides = list(SOURCES[name])
        if name == "audio" and options.speech:
            overrides.append(f"source.root={options.speech}")
        scalar = bracket("rate", options.rate, *overrides, "quantizer=scalar", lmbda=8.0)
        snr = interpolate(scalar, "rate", options.rate, "snr_db")
        start = interpolate(scalar, "rate", options.rate, "lmbda")
        e8 = bracket("snr_db", snr, *overrides, "quantizer=e8", lmbda=start)
        rate = interpolate(e8, "snr_db", snr, "rate")
        known = all(m["bound_rate_lower"] is not None for m in e8)
        bound = interpolate(e8, "snr_db", snr, "bound_rate_upper")
        rows.append((name, snr, options.rate, rate, bound, known))
    print()
    print("| source | SNR (dB) | scalar | e8 | saved | R(D) |")
    print("|---|---|---|---|---|---|")
    for name, snr, scalar, rate, bound, known in rows:
        limit = f"{bound:.3f}" if known else f"≤ {bound:.3f}"
        print(f"| {name} | {snr:.2f} | {scalar:.3f} | {rate:.3f} | {scalar - rate:.3f} | {limit} |")


if __name__ == "__main__":
    main()
