"""Throughput of the lattice bitstream, beside constriction's range coder.

    python scripts/bench_codec.py

The baseline codes the same number of independent symbols in one batch call of constriction, with
one pmf for all: the least work that a range coder can have.
"""

import argparse
import time

import constriction
import numpy as np
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from ltc.cli.command import config_directory
from ltc.codec import FixedRateCode, LatticeCode
from ltc.entropy import Exact
from ltc.lattices import Lattice
from ltc.quantizers import NestedQuantizer


def best(call, repeats=3):
    """Return the result of a call and its least time, after one call to compile."""
    result, times = call(), []
    for _ in range(repeats):
        start = time.perf_counter()
        result = call()
        times.append(time.perf_counter() - start)
    return result, min(times)


def measure(
    lattice: Lattice, samples: int, deviation: float = 1.0
) -> tuple[float, float, float, float]:
    """Return samples per second of encoding and decoding, bits per sample written and modelled."""
    n = lattice.dimension
    channel = torch.tensor([[0]]) if lattice.runs_across else torch.arange(n)[None]
    model = Exact(lattice, channel)
    vectors = deviation * torch.randn(samples // n, 1, n)
    model.initialise(vectors[:20_000], channel)
    code = LatticeCode.of(model, channel, lattice.section)
    points = lattice.closest_point(vectors)
    if lattice.section is not None:  # as files are written: paths, begun anew after `most_vectors`
        paths = vectors.flatten().split(code.most_vectors)
        found = [lattice.of_length(len(path)).closest_point(path) for path in paths]
        points = torch.cat(found)[:, None, None]
    chunks, encode_time = best(lambda: code.encode_chunks(points))
    decoded, decode_time = best(lambda: code.decode_chunks(chunks))
    assert torch.allclose(torch.cat(decoded).float(), points, atol=1e-3)
    written = 8 * sum(len(stream) for _, stream in chunks) / points.numel()
    with torch.no_grad():
        bits = float(model.bits(lattice.closest_point(vectors), channel).double().mean()) / n
    return points.numel() / encode_time, points.numel() / decode_time, written, bits


def measure_nested(
    lattice: Lattice, samples: int, ratio: int = 4
) -> tuple[float, float, float, float]:
    """Return the same of nested lattices; where vectors lie outside, finding codewords is apart."""
    n = lattice.dimension
    quantizer = NestedQuantizer(lattice, ratio)
    code = FixedRateCode(quantizer, rows=1)
    points = quantizer.point(torch.randint(ratio, (samples // n, 1, n))).float()
    chunks, encode_time = best(lambda: code.encode_chunks(points))
    decoded, decode_time = best(lambda: code.decode_chunks(chunks))
    assert torch.allclose(torch.cat(decoded).float(), points, atol=1e-3)
    written = 8 * sum(len(stream) for _, stream in chunks) / points.numel()
    return points.numel() / encode_time, points.numel() / decode_time, written, np.log2(ratio)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=2_400_000)
    parser.add_argument("--deviation", type=float, default=1.0, help="of the latent; 1: 2 bits")
    names = ["scalar", "a2", "d4_dual", "e8", "bw16", "leech", "trellis_8", "trellis_256", "nested"]
    parser.add_argument("--quantizers", nargs="+", default=names)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    symbols = np.rint(options.deviation * rng.standard_normal(options.samples)).astype(np.int32)
    gaussian = constriction.stream.model.QuantizedGaussian(-100, 100, 0.0, options.deviation)

    def encode():
        coder = constriction.stream.queue.RangeEncoder()
        coder.encode(symbols, gaussian)
        return coder.get_compressed()

    words, encode_time = best(encode)
    _, decode_time = best(
        lambda: constriction.stream.queue.RangeDecoder(words).decode(gaussian, len(symbols))
    )
    baseline = len(symbols) / encode_time / 1e6, len(symbols) / decode_time / 1e6
    print(f"{torch.get_num_threads()} threads; millions of samples per second; x constriction")
    print(f"{'':14} {'encode':>8} {'':7} {'decode':>8} {'':7} {'bits':>7} {'model':>7}")
    print(f"{'constriction':14} {baseline[0]:8.1f} {1:6.2f}x {baseline[1]:8.1f} {1:6.2f}x")
    for name in options.quantizers:
        with initialize_config_dir(str(config_directory()), version_base="1.3"):
            config = compose("train", [f"quantizer={name}"])
        lattice = instantiate(config.quantizer.lattice, _convert_="all")
        if name == "nested":
            found = measure_nested(lattice, options.samples)
        else:
            found = measure(lattice, options.samples, options.deviation)
        encode_speed, decode_speed, written, bits = found
        speed = encode_speed / 1e6, decode_speed / 1e6
        print(
            f"{name:14} {speed[0]:8.1f} {speed[0] / baseline[0]:6.2f}x {speed[1]:8.1f} "
            f"{speed[1] / baseline[1]:6.2f}x {written:7.4f} {bits:7.4f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
