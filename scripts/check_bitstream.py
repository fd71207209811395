"""Compare the size of real files with the model's rate, from 0.1 to 4 bits per sample.

    python scripts/check_bitstream.py

For every lattice and every tenth of a bit, a million Gaussian samples are quantized at the scale
that gives this rate, the entropy model is fitted to other samples, and the points are written as
an `.ltc` file, read back and compared. Prints the worst excess of the file, headers included,
over the exact cross-entropy, and fails where it exceeds 0.5 % and 0.002 bits:
chunks that lose little when a byte is damaged cost most of it.
"""

import argparse
import math

import numpy as np
import torch
from rich.progress import track
from scipy.optimize import brentq

import ltc
from ltc.codec import code_for
from ltc.coder import LatticeTransformCoder
from ltc.runs.build import build
from ltc.runs.evaluate import measure


def coder(quantizer: str, training: torch.Tensor, rate: float) -> LatticeTransformCoder:
    """Return a coder of a Gaussian source at a rate, without training: the scale decides."""
    model = build(
        ltc.configuration(f"quantizer={quantizer}", "transform=identity", "bound=none")
    ).coder
    blocks = training.reshape(-1, model.layout.block, model.transform.dimension)
    some = blocks[: len(blocks) // 10]

    @torch.no_grad()
    def excess(log_scale: float) -> float:
        model.quantizer.log_scale.fill_(log_scale)
        model.entropy.initialise(model.vectors(some), model.layout.channel)
        return float(model.bits(model.encode(some)).mean()) / some[0].numel() - rate

    entropy = 0.5 * math.log(2 * math.pi * math.e)
    guess = entropy - rate * math.log(2)
    brentq(excess, guess - 1.0, guess + 3.0, xtol=1e-3)
    with torch.no_grad():
        points = model.encode(blocks)
    model.entropy.fit(points, model.layout.channel)
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = ["scalar", "a2", "e8", "bw16", "leech", "trellis"]
    parser.add_argument("--quantizers", nargs="+", default=names)
    parser.add_argument("--rates", nargs="+", type=float, default=np.arange(1, 41) / 10)
    parser.add_argument("--samples", type=int, default=1_000_000)
    options = parser.parse_args()
    generator = torch.Generator().manual_seed(0)
    failed = False
    for quantizer in options.quantizers:
        rows = []
        for target in track(options.rates, quantizer, transient=True):
            multiple = 48 * 1024  # every lattice divides it
            training = torch.randn(4 * multiple, generator=generator)
            held_out = torch.randn(
                math.ceil(options.samples / multiple) * multiple, generator=generator
            )
            model = coder(quantizer, training, float(target))
            blocks = held_out.reshape(-1, model.layout.block, model.transform.dimension)
            assert model.quantizer.lattice.trellis is not None
            measured, written = measure(model, blocks, code_for(model))
            rows.append((written - measured.rate, measured.rate))
        over = [(excess, rate) for excess, rate in rows if excess > max(0.002, 0.005 * rate)]
        failed |= bool(over)
        worst, rate = max(rows)
        relative = max(excess / rate for excess, rate in rows)
        print(
            f"{quantizer:8} {len(rows)} rates from {rows[0][1]:.3f} to {rows[-1][1]:.3f}: the file "
            f"is at most {worst:.5f} bits (at {rate:.3f}), {100 * relative:.2f} % above the rate; "
            f"over the limit: {len(over)}",
            flush=True,
        )
    if failed:
        raise SystemExit("the files are longer than the model says")


if __name__ == "__main__":
    main()
