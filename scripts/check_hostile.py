"""Decode damaged and forged files: each must end in one error or in a payload, soon and small.

    python scripts/check_hostile.py --files 20000

Files of nine coders (arrays, a picture and a sound, in vectors and as a whole; exact codes of four
lattices, one of fixed size, and a nested one) are damaged at random, or forged with all their
checksums right: metadata with values of other types and sizes, tables that promise more than there
is, streams of noise, the header of another file. Every fourth file is one to be compressed (NPY,
NPZ, PNG, JPEG, WAV, FLAC, OGG), mutated likewise. Anything but an `InputError` or a payload that
can be written, a file that decodes although its checksums are wrong, a second of a processor
(five to compress), or memory far beyond the file's size is a failure.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import resource
import struct
import tempfile
import time
import traceback
import warnings
import zipfile
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from PIL import Image
from rich.progress import track

from ltc.codec import Container, FileCoder, Payload
from ltc.codec.container import Parts
from ltc.codec.grid_files import GridFileCoder
from ltc.errors import InputError

SECONDS, MEGABYTES = 1.0, 300
# Of a file to be compressed: its header may say that it is a picture of half a million pixels.
ENCODING = 5.0
# Bytes that the numbers in a file may take; more would be allowed, and take longer.
LARGEST = 1 << 22
QUICK = ["steps=20", "evaluate.samples=20000", "bound=none", "logger=csv"]
GAUSSIAN = ["source=iid_gaussian", *QUICK]
CODERS = {
    "e8": [*GAUSSIAN, "quantizer=e8", "lmbda=8"],
    "scalar": [*GAUSSIAN, "quantizer=scalar", "lmbda=100"],
    "trellis": [*GAUSSIAN, "quantizer=trellis", "quantizer.length=64"],
    "fixed": [*GAUSSIAN, "quantizer=trellis", "quantizer.length=64", "quantizer.rate=2"],
    "nested": [*GAUSSIAN, "quantizer=nested"],
    "picture": ["source=image_patches", *QUICK, "quantizer=e8", "lmbda=50"],
    "whole": [
        "source=images",
        "source.crop=64",
        "transform.overlap=biorthogonal",
        "entropy.steps=[16]",
        "logger=csv",
    ],
    "sound": ["source=audio", *QUICK, "quantizer=d4_dual"],
    "sounds": ["source=sounds", "entropy.steps=[16]", "logger=csv"],
}
VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 0.5, 8, 2**20, 2**31, 2**40 - 1, 2**53, 2**63, 2**64, 10**30,
    float("nan"), float("inf"), -1e308, "", "x", "array", "image", "audio", "file", "../../x",
    "a\0b", "\ud800", "x" * 70_000, ".png", ".npz", ".npy", ".wav", ".flac", ".jpg", ".exe",
    "<f4", ">f8", "|u1", "<u8", "|b1", "<f2", "<f16", "O", "<U5", "M8[s]", "V1000000000", "f4,f4",
    "(2,3)f4", "{'names':['a'],'formats':['<f4']}", "f4[", "(", "3f4", "i4(", "é", "x.npy",
    [], {}, [[]], [1], [0], [0, 2**39], [2**39, 2**39], [0] * 70, [1] * 70, {"": {}}, [[["x"]]],
]  # fmt: skip


def forge(container: Container, metadata: bytes, table: bytes | None = None) -> bytes:
    """Return a file with the right checksums, whatever its metadata and table hold."""
    parts, _ = Parts.unpack(Container(container.fingerprint, {}, container.chunks).pack())
    return parts._replace(metadata=metadata, table=parts.table if table is None else table).pack()


def shake(data: bytes, chance: random.Random) -> bytes:
    """Return bytes with some changed, left out, put in or repeated."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randint(0, len(changed))
        kind = chance.randrange(4)
        if kind == 0 and at < len(changed):
            changed[at] = chance.randrange(256)
        elif kind == 1:
            del changed[at : at + chance.randint(1, 8)]
        elif kind == 2:
            changed[at:at] = chance.randbytes(chance.randint(1, 8))
        elif at < len(changed):
            changed[at] ^= 1 << chance.randrange(8)
    return bytes(changed)


def twist(value: Any, chance: random.Random) -> Any:
    """Return JSON values of which one, somewhere, is another, missing, or there twice."""
    if isinstance(value, dict | list) and value and chance.random() < 0.85:
        copy: Any = dict(value) if isinstance(value, dict) else list(value)
        key = (
            chance.choice(list(value)) if isinstance(value, dict) else chance.randrange(len(value))
        )
        kind = chance.randrange(8)
        if kind == 0:
            del copy[key]
        elif kind == 1 and isinstance(copy, list):
            copy.insert(chance.randint(0, len(copy)), copy[key])
        elif kind == 2 and isinstance(copy, dict):
            copy[chance.choice(["rate", "suffix", "kind", "arrays", "x"])] = chance.choice(VALUES)
        else:
            copy[key] = twist(copy[key], chance)
        return copy
    if isinstance(value, int) and chance.random() < 0.5:
        return value + chance.choice([-1, 1]) * 2 ** chance.randint(0, 70)
    return chance.choice(VALUES)


def mutate(data: bytes, other: bytes, chance: random.Random) -> tuple[bytes, bool]:
    """Return a damaged or forged file, and whether its checksums are right."""
    container = Container.unpack(data)
    metadata = json.dumps(container.metadata).encode()
    kind = chance.randrange(12)
    if kind == 0:
        return shake(data, chance), False
    if kind == 1:
        return data[: chance.randrange(len(data))], False
    if kind == 2:
        return data + chance.randbytes(chance.randint(1, 100)), False
    if kind == 3:
        return other, False
    if kind == 4:
        parts, _ = Parts.unpack(data)
        return forge(container, metadata, shake(parts.table, chance)), True
    if kind == 5:
        metadata = shake(metadata, chance)
    elif kind < 9:
        for _ in range(chance.randint(1, 3)):
            container.metadata = twist(container.metadata, chance)
        metadata = json.dumps(container.metadata).encode()
    if kind == 9 or (kind < 9 and chance.random() < 0.3):
        chunks = container.chunks
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(chunks)) if chunks else 0
            how = chance.randrange(4)
            if how == 0:
                chunks[at : at + 1] = []
            elif how == 1:
                chunks[at:at] = chunks[at : at + 1] * chance.randint(1, 50)
            elif how == 2:
                chance.shuffle(chunks)
            elif chunks:
                chunks[at] = (chance.randint(1, 2 ** chance.randint(1, 21)), chunks[at][1])
    elif kind == 10:
        container.chunks = [
            (count, chance.randbytes(chance.randint(0, 2 * len(stream or b""))))
            for count, stream in container.chunks
        ]
    elif kind == 11:
        container.chunks = [
            (count, shake(stream or b"", chance)) for count, stream in container.chunks
        ]
        if chance.random() < 0.3:
            container.chunks = [
                (count, bytes(chance.randint(0, 40))) for count, _ in container.chunks
            ]
    return forge(container, metadata), True


def decode(coder: FileCoder | GridFileCoder, data: bytes, whole: bool, salvage: bool) -> str:
    """Decode a mutated file and write what it holds; return how it ended.

    Raises:
        Exception: something went wrong that is no `InputError`.
    """
    try:
        payload, damaged = coder.decompress(data, salvage, LARGEST)
        assert all(np.isfinite(values).all() for values in payload.arrays.values())
        payload.write()
    except InputError:
        return "refused"
    assert whole or salvage, "a damaged file was taken for a whole one"
    return "salvaged" if damaged else "decoded"


def inputs() -> dict[str, bytes]:
    """Return a file of each kind that can be compressed, by its ending."""
    rng = np.random.default_rng(0)
    pixels = (40 * rng.normal(size=(9, 12, 3)) + 128).clip(0, 255).astype(np.uint8)
    sound = rng.normal(0, 0.1, 300)
    files = {}
    for suffix in (".png", ".jpg"):
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "PNG" if suffix == ".png" else "JPEG")
        files[suffix] = stream.getvalue()
    for suffix in (".wav", ".flac", ".ogg"):
        stream = io.BytesIO()
        soundfile.write(stream, sound, 8000, format=suffix[1:].upper())
        files[suffix] = stream.getvalue()
    stream = io.BytesIO()
    np.save(stream, sound)
    files[".npy"] = stream.getvalue()
    stream = io.BytesIO()
    np.savez_compressed(stream, a=sound, b=pixels)
    files[".npz"] = stream.getvalue()
    return files


def mutate_input(data: bytes, suffix: str, chance: random.Random) -> bytes:
    """Return a mutated file to be compressed, half of the time with its checksums right."""
    if chance.random() < 0.5 or suffix not in (".png", ".npz"):
        return shake(data, chance)
    if suffix == ".npz":
        stream = io.BytesIO()
        with (
            zipfile.ZipFile(io.BytesIO(data)) as archive,
            zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as changed,
        ):
            for name in archive.namelist():
                if chance.random() < 0.3:
                    name = chance.choice(["file.npy", "x.txt", "é.npy", "../x.npy", ".npy", name])
                content = archive.read(chance.choice(archive.namelist()))
                changed.writestr(name, shake(content, chance) if chance.random() < 0.7 else content)
        return stream.getvalue()
    chunks = []
    at = 8
    while at < len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        chunks.append((name, data[at + 8 : at + 8 + length]))
        at += 12 + length
    changed = data[:8]
    target = chance.randrange(len(chunks))
    for i, (name, content) in enumerate(chunks):
        if i == target:
            if name == b"IDAT" and chance.random() < 0.5:
                content = zlib.compress(shake(zlib.decompress(content), chance))
            else:
                content = shake(content, chance)
        changed += struct.pack(">I", len(content)) + name + content
        changed += struct.pack(">I", zlib.crc32(name + content))
    return changed


def encode(coder: FileCoder | GridFileCoder, data: bytes, suffix: str) -> str:
    """Compress a mutated file and decode what that gives; return how it ended.

    Raises:
        Exception: something went wrong that is no `InputError`.
    """
    try:
        payload = Payload.read(data, suffix, LARGEST)
        compressed = coder.compress(payload)
    except InputError:
        return "refused"
    decoded, _ = coder.decompress(compressed)
    assert {n: a.shape for n, a in decoded.arrays.items()} == {
        n: a.shape for n, a in payload.arrays.items()
    }
    decoded.write()
    return "compressed"


def trained() -> tuple[dict[str, FileCoder | GridFileCoder], dict[str, bytes]]:
    """Train a coder of each kind for a moment; return them, and a file of each."""
    # Here and not above: the tests take the mutations from this file, and nothing else.
    from sweep import train_once

    rng = np.random.default_rng(0)
    array = rng.normal(size=20_000).astype(np.float32)
    archive = {"a": array[:12_000].reshape(100, -1), "b": array[:7].astype(np.int16)}
    payloads = {
        "picture": Payload.read(inputs()[".png"], ".png"),
        "whole": Payload.read(inputs()[".png"], ".png"),
        "sound": Payload.read(inputs()[".wav"], ".wav"),
        "sounds": Payload.read(inputs()[".wav"], ".wav"),
        "scalar": Payload("array", archive, ".npz"),
    }
    coders, files = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for i in range(3):
            soundfile.write(Path(folder, f"{i}.wav"), rng.normal(0, 0.1, 4000), 8000)
        for name, overrides in track(CODERS.items(), "training", transient=True):
            root = [f"source.root={folder}"] if name.startswith("sound") else []
            run = train_once(*overrides, *root)
            coders[name] = run.run.files
            payload = payloads.get(name, Payload("array", {"array": array}, ".npy"))
            files[name] = coders[name].compress(payload)
    return coders, files


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    coders, files = trained()
    names, endings = list(coders), inputs()
    ended: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    slowest = 0.0
    for name, coder in coders.items():  # compiled kernels are no part of what is measured
        coder.decompress(files[name])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # A file that asks for too much is to fail here, not to have the system end something else.
    reserved = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (reserved + (4 << 30), resource.RLIM_INFINITY))
    for i in track(range(options.files), "decoding", transient=True):
        chance = random.Random(f"{options.seed} {i}")
        name, other = names[i % len(names)], chance.choice(names)
        start = time.process_time()  # a machine that is busy is no failure
        try:
            if i % 4 == 3:
                suffix = chance.choice(list(endings))
                if suffix in (".png", ".jpg"):
                    name = chance.choice(["picture", "whole"])
                elif suffix in (".wav", ".flac", ".ogg"):
                    name = chance.choice(["sound", "sounds"])
                end = encode(coders[name], mutate_input(endings[suffix], suffix, chance), suffix)
            else:
                if other == name:
                    other = names[(i + 1) % len(names)]
                data, whole = mutate(files[name], files[other], chance)
                whole |= data == files[name]
                end = decode(coders[name], data, whole, salvage=chance.random() < 0.5)
            ended[end] += 1
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{Path(where.filename).name}:{where.lineno}"
            failures[f"{type(error).__name__} at {place}: {str(error)[:100]} (coder {name})"] += 1
        seconds = time.process_time() - start
        if seconds > (ENCODING if i % 4 == 3 else SECONDS):
            failures[f"file {i} took {seconds:.1f} s"] += 1
        slowest = max(slowest, seconds)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    if grown > MEGABYTES:
        failures[f"memory grew by {grown:.0f} MB"] += 1
    counts = ", ".join(f"{count} {end}" for end, count in sorted(ended.items()))
    print(
        f"{options.files} files: {counts}; slowest {slowest:.3f} s, memory grew by {grown:.0f} MB"
    )
    for failure, count in failures.most_common(40):
        print(f"{count:6} x {failure}")
    if failures:
        raise SystemExit(f"{failures.total()} failures")


if __name__ == "__main__":
    main()
