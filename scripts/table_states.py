"""What the states of a trellis code bring, and what they cost.

    python scripts/table_states.py

Trains `quantizer=trellis` with `rdo` on the Gaussian source with each number of states, in blocks
of `--length`, and prints the gap to R(D) of the exact rate and of the bytes written, the seconds
from start to end, and the throughput of the closest-point search in millions of samples per second.
"""

import argparse
import time

import torch
from sweep import run

from ltc.lattices import Convolutional
from ltc.lattices.families.convolutional import CODES


def throughput(states: int, length: int) -> float:
    """Return samples per second, the best of three."""
    lattice = Convolutional(states, length)
    rows = max(64, (1 << 26) // (states * length))
    x = torch.randn(rows, length, generator=torch.Generator().manual_seed(0))
    times = []
    for _ in range(4):
        start = time.perf_counter()
        lattice.closest_point(x)
        times.append(time.perf_counter() - start)
    return x.numel() / min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--states", nargs="+", type=int, default=list(CODES))
    parser.add_argument("--length", type=int, default=2048)
    parser.add_argument("--overrides", nargs="*", default=["lmbda=8", "quantizer.rdo=true"])
    options = parser.parse_args()
    rows = []
    for states in options.states:
        lattice = [f"quantizer.states={states}", f"quantizer.length={options.length}"]
        m = run("quantizer=trellis", *lattice, *options.overrides)
        written = m["bitstream_rate"] - m["bound_rate_lower"]
        speed = throughput(states, options.length) / 1e6
        rows.append(
            f"| {states} | {m['bitstream_rate']:.4f} | {m['snr_db']:.3f} "
            f"| {m['gap_bits']:.4f}, {written:.4f} "
            f"| {m['seconds_total']:.0f} | {float(f'{speed:.2g}'):g} |"
        )
    print()
    print("| states | bits written | SNR (dB) | gap, of bytes | seconds | closest point |")
    print("|---|---|---|---|---|---|")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
