"""`ltc-compress` and `ltc-decompress`: files to real bytes and back."""

from __future__ import annotations

import argparse
import math
import sys
import time
from pathlib import Path

from rich.console import Console

from ltc.cli.command import run_and_report
from ltc.errors import InputError
from ltc.files import atomic_write, use_config_directory

__all__ = ["compress", "decompress"]

console = Console(stderr=True, highlight=False, soft_wrap=True)


def _arguments(name: str, what: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=name, description=what)
    parser.add_argument("input", metavar="IN", help="a file, or - for standard input")
    parser.add_argument("output", metavar="OUT", nargs="?", help="a file, or - for standard output")
    parser.add_argument("ckpt", metavar="ckpt=RUN", help="folder of a run, or a checkpoint file")
    parser.add_argument("--force", action="store_true", help="overwrite an existing output")
    parser.add_argument(
        "--largest",
        type=int,
        metavar="BYTES",
        help="memory that the numbers of a file may take (default: 2^30)",
    )
    parser.add_argument(
        "--config-dir", metavar="DIR", help="of lattices and transforms of one's own"
    )
    parser.add_argument("-v", action="store_true", help="show the full traceback of an error")
    return parser


def _checkpoint(text: str) -> str:
    if not text.startswith("ckpt="):
        raise InputError(f"expected ckpt=RUN, the folder of a run of ltc-train; got {text!r}")
    return text.removeprefix("ckpt=")


def _read(path: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error


def _check_output(path: str, force: bool) -> None:
    if path != "-" and Path(path).exists() and not force:
        raise InputError(f"{path} exists; --force overwrites it")


def _write(path: str, data: bytes) -> None:
    if path == "-":
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)


def compress() -> None:
    """Run `ltc-compress`."""
    parser = _arguments("ltc-compress", "Compress an array, a picture or a sound.")
    parser.add_argument(
        "--type", help="ending that says what standard input is, for example npy or png"
    )
    options = parser.parse_args()
    run_and_report(lambda: _compress(options), options.v)


def _compress(options: argparse.Namespace) -> None:
    from ltc.codec import Payload
    from ltc.runs.checkpoint import load_coder

    if options.config_dir:
        use_config_directory(options.config_dir)
    checkpoint = _checkpoint(options.ckpt)
    if options.input == "-" and not options.type:
        raise InputError("--type is needed with standard input, for example --type npy")
    suffix = f".{options.type.lstrip('.')}" if options.type else Path(options.input).suffix
    output = options.output or ("-" if options.input == "-" else options.input + ".ltc")
    _check_output(output, options.force)
    payload = Payload.read(_read(options.input), suffix, options.largest)
    coder = load_coder(checkpoint)
    start = time.perf_counter()
    data = coder.compress(payload)
    seconds = time.perf_counter() - start
    _write(output, data)
    # What is reported is measured on what a decoder makes of the bytes.
    decoded, _ = coder.decompress(data, largest=options.largest)
    scalars = payload.scalars
    lines = [f"{scalars} samples to {len(data)} bytes"]
    if scalars == 0:  # of which there is no more to say
        console.print(lines[0])
        return
    lines[0] += f": {8 * len(data) / scalars:.4f} bits per sample"
    if payload.kind == "image":
        high, wide = payload.arrays["image"].shape[:2]
        lines.append(f"{8 * len(data) / (high * wide):.4f} bits per pixel")
    distortion = payload.distortion(decoded)
    lines.append(f"distortion {distortion:.6g}")
    if distortion > 0 and payload.peak is not None:
        lines.append(f"PSNR {10 * math.log10(payload.peak**2 / distortion):.3f} dB")
    elif distortion > 0 and payload.variance() > 0:
        lines.append(f"SNR {10 * math.log10(payload.variance() / distortion):.3f} dB")
    lines.append(f"{seconds:.2f} s, {scalars / seconds / 1e6:.2f} million samples per second")
    console.print("\n".join(lines))


def decompress() -> None:
    """Run `ltc-decompress`."""
    parser = _arguments("ltc-decompress", "Decompress an .ltc file.")
    parser.add_argument(
        "--salvage", action="store_true", help="recover what the damaged chunks leave"
    )
    options = parser.parse_args()
    run_and_report(lambda: _decompress(options), options.v)


def _decompress(options: argparse.Namespace) -> None:
    from ltc.runs.checkpoint import load_coder

    if options.config_dir:
        use_config_directory(options.config_dir)
    checkpoint = _checkpoint(options.ckpt)
    if options.output is not None:
        _check_output(options.output, options.force)
    data = _read(options.input)
    coder = load_coder(checkpoint)
    start = time.perf_counter()
    payload, damaged = coder.decompress(data, options.salvage, options.largest)
    seconds = time.perf_counter() - start
    output = options.output
    if output is None:
        name = options.input.removesuffix(".ltc")
        output = "-" if name == "-" else str(Path(name).with_suffix(payload.suffix))
        if output == name and Path(output).exists() and not options.force:
            output = str(Path(name).with_suffix(f".decoded{payload.suffix}"))
    _check_output(output, options.force)
    suffix = None if output == "-" else Path(output).suffix
    _write(output, payload.write(suffix))
    if damaged:
        console.print(
            f"damaged chunks, filled with the decoded origin: {', '.join(map(str, damaged))}"
        )
    console.print(
        f"{payload.scalars} samples to {output}\n"
        f"{seconds:.2f} s, {payload.scalars / seconds / 1e6:.2f} million samples per second"
    )
