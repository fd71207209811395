"""The README's table of exactly as many bits as asked: SNR on the i.i.d. Gaussian source.

    python scripts/table_fixed_rate.py

Every block of n samples takes exactly rate * n bits. Throughput is of this machine, in thousands of
samples a second: encoder, decoder.
"""

import argparse
import math
import time
from collections.abc import Callable

import torch
from fixed_rate_codes import BitshiftQuantizer, TrellisCodedQuantizer
from sweep import train_once
from table_nested import lloyd_max
from torch import Tensor

from ltc.coder import sequence

# There is nothing to train on this source but what the fit at the end finds.
COMMON = ["source=iid_gaussian", "transform=identity", "bound=none", "evaluate.bitstream=false"]


def measured(x: Tensor, encode: Callable[[Tensor], Tensor], decode: Callable[[Tensor], Tensor]):
    """Return SNR in dB and thousands of samples per second, encoded and decoded."""
    decode(encode(x[: max(1, len(x) // 8)]))  # compiles
    start = time.perf_counter()
    code = encode(x)
    middle = time.perf_counter()
    decoded = decode(code)
    end = time.perf_counter()
    # To the energy of these samples: with that of others the distortion would be another.
    ratio = x.double().square().mean() / (decoded - x).double().square().mean()
    snr = 10 * math.log10(float(ratio))
    speed = [f"{x.numel() / seconds / 1000:.3g}" for seconds in (middle - start, end - middle)]
    return f"{snr:.2f}", "/".join(speed)


def trained(x: Tensor, rate: int, n: int, *overrides: str):
    """Measure a coder that is trained on blocks of n samples: real bytes, every block checked."""
    coded = [*COMMON, "steps=300", "refine.samples=262144", "evaluate.samples=8192", *overrides]
    run = train_once(*coded)
    coder, code = run.coder, run.code

    def encode(blocks: Tensor) -> tuple[bytes, int]:
        vectors = blocks.reshape(-1, run.source.dimension)
        points = sequence.encode(coder, vectors, code.lengths)
        stream = code.encode(points)
        if abs(8 * len(stream) - rate * blocks.numel()) > 8:
            raise RuntimeError(f"{blocks.numel()} samples take {len(stream)} bytes")
        return stream, len(points)

    def decode(stream: tuple[bytes, int]) -> Tensor:
        return sequence.decode(coder, code.decode(*stream).float()).reshape(-1, n)

    return measured(x[: len(x) // n * n].reshape(-1, n), encode, decode)


def row(name: str, x: Tensor, fit: Tensor, n: int, rate: int):
    """Return SNR and speed of a quantizer by its name."""
    if name.startswith("trellis_"):
        settings = [f"quantizer={name}", f"quantizer.rate={rate}", f"quantizer.length={n}"]
        return trained(x, rate, n, *settings)
    if name == "nested leech":
        settings = ["quantizer=nested", "quantizer.fine=leech", f"quantizer.ratio={2**rate}"]
        return trained(x, rate, n, *settings)
    blocks = x.reshape(-1, n)
    if name == "Marcellin-Fischer":
        code = TrellisCodedQuantizer(rate, 256)
        code.fit(fit.reshape(-1, n))
        return measured(blocks, code.encode, code.decode)
    if name.startswith("bitshift"):
        shift = BitshiftQuantizer(rate, codebook=name.split()[1])
        shift.fit(fit[: 1 << 12].reshape(-1, n), rounds=2)
        return measured(blocks[: max(1, (1 << 16) // n)], shift.encode, shift.decode)
    return f"{-10 * math.log10(lloyd_max(2**rate)):.2f}", ""


NAMES = [
    "trellis_256", "trellis_8", "bitshift 1mad", "bitshift 3inst", "nested leech",
    "Marcellin-Fischer", "Lloyd-Max",
]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--names", nargs="+", default=NAMES)
    parser.add_argument("--rates", nargs="+", type=int, default=[1, 2, 3, 4])
    parser.add_argument("--blocks", nargs="+", type=int, default=[2048, 256])
    parser.add_argument("--samples", type=int, default=1 << 18)
    options = parser.parse_args()
    generator = torch.Generator().manual_seed(1)
    x, fit = (torch.randn(count, generator=generator) for count in (options.samples, 1 << 17))
    print("| code | block |", *(f"{rate} |" for rate in options.rates), "1000 samples/s |")
    print("|---|---|" + "---|" * (len(options.rates) + 1))
    print("| R(D) | |", *(f"{6.0206 * rate:.2f} |" for rate in options.rates), "|")
    for name in options.names:
        for n in {"Lloyd-Max": [1], "nested leech": [24]}.get(name, options.blocks):
            found = [row(name, x, fit, n, rate) for rate in options.rates]
            at = options.rates.index(2) if 2 in options.rates else 0
            line = [name, str(n), *(snr for snr, _ in found), found[at][1]]
            print("|", " | ".join(line), "|", flush=True)


if __name__ == "__main__":
    main()
