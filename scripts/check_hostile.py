"""Decode 20,000 damaged and forged `.ltc` files: each must end in one error, soon and small.

    python scripts/check_hostile.py

Files of four coders have bits flipped, are cut, extended, given another magic or absurd sizes
with valid checksums, filled with noise, or belong to another model. Anything but an `InputError`,
a file that decodes although it was damaged, or memory far beyond the file's size, is a failure.
"""

import argparse
import random
import resource
import time

import numpy as np
from rich.progress import track
from sweep import experiment

from ltc.codec import Container, FileCoder, Payload
from ltc.errors import InputError

CODERS = {
    "e8": ["quantizer=e8", "lmbda=8"],
    "scalar": ["quantizer=scalar", "lmbda=100"],
    "trellis": ["quantizer=trellis", "quantizer.length=64"],
    "nested": ["quantizer=nested"],
}
QUICK = ["source=iid_gaussian", "steps=20", "evaluate.samples=20000", "bound=none", "logger=csv"]


def mutate(data: bytes, other: bytes, container: Container, chance: random.Random) -> bytes:
    """Return a damaged or forged file."""
    damaged = bytearray(data)
    kind = chance.randrange(7)
    if kind == 0:
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    elif kind == 1:
        damaged = damaged[: chance.randrange(len(data))]
    elif kind == 2:
        damaged += chance.randbytes(chance.randint(1, 100))
    elif kind == 3:
        damaged[:4] = chance.randbytes(4)
    elif kind == 4:  # sizes with a valid checksum
        chunks = [(chance.randrange(2**32), stream) for _, stream in container.chunks]
        shape = [chance.randrange(2 ** chance.randint(1, 80)) for _ in range(chance.randint(1, 3))]
        metadata = {**container.metadata, "arrays": [["array", shape, "<f4"]]}
        damaged = bytearray(Container(container.fingerprint, metadata, chunks).pack())
    elif kind == 5:  # streams of noise with a valid checksum
        chunks = [
            (count, chance.randbytes(4 * chance.randint(0, 40))) for count, _ in container.chunks
        ]
        damaged = bytearray(Container(container.fingerprint, container.metadata, chunks).pack())
    else:
        damaged = bytearray(other)
    return bytes(damaged)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=20_000)
    options = parser.parse_args()
    facts = {"dimension": 1}
    coders, files = {}, {}
    array = np.random.default_rng(0).normal(size=600).astype(np.float32)
    for name, overrides in CODERS.items():
        run, _ = experiment(*QUICK, *overrides)
        assert run.code is not None
        facts = {"dimension": run.source.dimension}
        coders[name] = FileCoder(run.coder.eval(), run.code, facts)
        files[name] = coders[name].compress(Payload("array", {"array": array}, ".npy"))
    names = list(coders)
    chance = random.Random(0)
    refused = noise = 0
    slowest = 0.0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for i in track(range(options.files), "decoding", transient=True):
        name, other = names[i % len(names)], names[(i + 1) % len(names)]
        container = Container.unpack(files[name])
        damaged = mutate(files[name], files[other], container, chance)
        start = time.perf_counter()
        try:
            payload, _ = coders[name].decompress(damaged, salvage=chance.random() < 0.5)
            # Noise under a valid checksum may be the stream of some points, and a salvaged file
            # has its undamaged chunks; anything else must be refused.
            assert all(np.isfinite(values).all() for values in payload.arrays.values())
            noise += 1
        except InputError:
            refused += 1
        slowest = max(slowest, time.perf_counter() - start)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(
        f"{options.files} files: {refused} refused with one error, {noise} salvaged or noise that "
        f"is a stream; slowest {slowest:.3f} s, memory grew by {grown:.0f} MB"
    )


if __name__ == "__main__":
    main()
