"""`ltc-compress` and `ltc-decompress`: files to real bytes and back."""

from __future__ import annotations

import argparse
import errno
import math
import os
import re
import stat
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TextIO

from rich.console import Console

from ltc.checks import number
from ltc.cli.command import run_and_report
from ltc.errors import InputError
from ltc.files import MAGIC, atomic_write, use_config_directory
from ltc.progress import Progress
from ltc.version import __version__

if TYPE_CHECKING:  # it is slow to import, and --help should not be
    from ltc.codec import Payload

__all__ = ["compress", "decompress"]

# What the file of a whole picture or sound is asked to have.
AIMS = ("quality", "bpp", "psnr", "bps", "snr", "lmbda")

console = Console(stderr=True, highlight=False, soft_wrap=True)


def _arguments(name: str, what: str, epilog: str | None = None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=name, description=what, epilog=epilog)
    parser.add_argument("input", metavar="IN", help="a file, or - for standard input")
    parser.add_argument("output", metavar="OUT", nargs="?", help="a file, or - for standard output")
    parser.add_argument("ckpt", metavar="ckpt=RUN", help="folder of a run, or a checkpoint file")
    parser.add_argument("--force", action="store_true", help="overwrite an existing output")
    parser.add_argument(
        "--largest",
        default="1G",
        metavar="BYTES",
        help="memory that the numbers of a file may take, such as 500M or 2G (default: 1G)",
    )
    parser.add_argument(
        "--config-dir", metavar="DIR", help="of lattices and transforms of one's own"
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.add_argument("-v", action="store_true", help="show the full traceback of an error")
    return parser


def _size(text: str) -> int:
    """Return a number of bytes; as everywhere a K is 1,024, and a KB, as everywhere, 1,000.

    Example:
        >>> _size("1.5k"), _size("2GB"), _size("1GiB"), _size("1e6")
        (1536, 2000000000, 1073741824, 1000000)
    """
    found = re.fullmatch(
        r"([\d.]+(?:e[+]?\d{1,2})?)\s*(?:([kmgt])(b|ib)?|b)?", text.strip().lower()
    )
    try:
        count, unit, kind = float(found[1]), found[2], found[3]  # type: ignore[index]
    except (TypeError, ValueError):
        count, unit, kind = math.nan, None, None
    if unit:
        count *= (1000 if kind == "b" else 1024) ** ("kmgt".index(unit) + 1)
    if not 1 <= count < 1 << 62:
        raise InputError(f"--largest {text}; expected a number of bytes, such as 500M or 2G")
    return int(count)


def _run(
    parser: argparse.ArgumentParser,
    task: Callable[[argparse.Namespace], None],
    aimed: tuple[str, ...] = (),
) -> None:
    aims = [word for word in sys.argv[1:] if word.partition("=")[0] in aimed and "=" in word]
    # Options may stand between the files.
    options = parser.parse_intermixed_args([word for word in sys.argv[1:] if word not in aims])

    def run() -> None:
        if options.config_dir:
            use_config_directory(options.config_dir)
        if not options.ckpt.startswith("ckpt="):
            raise InputError(
                f"expected ckpt=RUN, the folder of a run of ltc-train; got {options.ckpt!r}"
            )
        options.ckpt = options.ckpt.removeprefix("ckpt=")
        options.largest = _size(options.largest)
        options.aim = _aim(aims)
        task(options)

    run_and_report(run, options.v)


def _aim(words: list[str]) -> tuple[str, float] | None:
    """Return what a file is to have, of words such as `bpp=0.5`."""
    if not words:
        return None
    if len(words) > 1:
        raise InputError(f"got {' and '.join(words)}; expected one of them")
    name, _, text = words[0].partition("=")
    try:
        value = float(text)
    except ValueError as error:
        raise InputError(f"{words[0]}; expected a number, for example {name}=1.5") from error
    return name, number(name, value) if name != "quality" else value


def _read(path: str, largest: int, begins: bytes = b"") -> bytes:
    """Return a file's bytes; of one that begins otherwise than its kind, only the first.

    Arguments:
        path: the file, or - for standard input.
        largest: bytes that its numbers may take in memory.
        begins: how files of its kind begin.
    """
    # Some devices never end. No format takes twice what its numbers do in memory.
    most = 2 * largest + (1 << 20)
    try:
        with _stream(sys.stdin) if path == "-" else open(path, "rb") as file:
            # To bytes that are there already Python adds by copying all of them.
            data = file.read(1024) if begins else b""
            if data.startswith(begins):
                data += file.read(most + 1)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    if len(data) > most:
        raise InputError(f"{path} has more than {most:,} bytes; raise the limit with --largest")
    return data


def _stream(stream: TextIO | None) -> nullcontext[BinaryIO]:
    """Return the bytes of a standard stream, which outlives its use."""
    if stream is None:
        raise OSError(errno.EBADF, "it is closed")
    return nullcontext(stream.buffer)


def _check_output(path: str, options: argparse.Namespace) -> None:
    """Refuse an output that would replace what is there."""
    if path == "-":
        return
    try:
        found = os.stat(path)
    except OSError:
        return  # it does not exist, or what is wrong is said where it is written
    if stat.S_ISDIR(found.st_mode):
        raise InputError(f"{path} is a folder; name a file in it")
    for descriptor in (1, 2):
        with suppress(OSError):  # it is closed
            if os.path.samestat(found, os.fstat(descriptor)):
                raise InputError(f"{path} is where this command prints; use - for standard output")
    if not stat.S_ISREG(found.st_mode):
        raise InputError(
            f"{path} is no regular file, and would be replaced by one; use - for standard output"
        )
    if os.path.exists(options.input) and os.path.samefile(path, options.input):
        raise InputError(f"{path} is the input, which would be lost; name another output")
    if not options.force:
        raise InputError(f"{path} exists; --force overwrites it")


def _write(path: str, data: bytes) -> None:
    """Write a file, whole or not at all."""
    try:
        if path == "-":
            with _stream(sys.stdout) as file:
                file.write(data)
                file.flush()
        else:
            # Of a link what it leads to is replaced, not the link.
            with atomic_write(os.path.realpath(path)) as temporary:
                temporary.write_bytes(data)
    except OSError as error:
        name = path
        if path == "-":
            name = "standard output"
            # Python would try again when it ends, and complain again.
            if sys.stdout is not None:
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise InputError(f"cannot write {name}: {error.strerror}") from error


def compress() -> None:
    """Run `ltc-compress`."""
    parser = _arguments(
        "ltc-compress",
        "Compress an array, a picture or a sound.",
        "Models of whole pictures (source=images) and sounds (source=sounds) serve every rate: ask "
        "for one with quality=0..100, bpp=BITS_PER_PIXEL or psnr=DECIBEL, of sounds "
        "bps=BITS_PER_SAMPLE or snr=DECIBEL, or lmbda=WEIGHT beside ckpt=RUN.",
    )
    parser.add_argument(
        "--type", help="ending that says what standard input is, for example npy or png"
    )
    _run(parser, _compress, AIMS)


def _compress(options: argparse.Namespace) -> None:
    if options.input == "-" and not options.type:
        raise InputError("--type is needed with standard input, for example --type npy")
    suffix = f".{options.type.lstrip('.')}" if options.type else Path(options.input).suffix
    output = options.output or ("-" if options.input == "-" else options.input + ".ltc")
    _check_output(output, options)
    data = _read(options.input, options.largest)
    with Progress("loading"):
        # Not above: torch alone takes seconds to load, and something is to be seen before.
        from ltc.codec import Aim, Payload
        from ltc.media import ARRAYS, IMAGES, SOUNDS
        from ltc.runs.checkpoint import load_coder

        if Path(output).suffix.lower() in (*ARRAYS, *IMAGES, *SOUNDS):
            raise InputError(f"{output} would be an .ltc file; let its name end in .ltc")
        payload = Payload.read(data, suffix, options.largest)
        coder = load_coder(options.ckpt)
        aim = None if options.aim is None else Aim(*options.aim)
    start = time.perf_counter()
    with Progress("compressing", total=100) as progress:
        data = coder.compress(
            payload, lambda share: progress.update(round(100 * share)), aim, options.largest
        )
    seconds = time.perf_counter() - start
    _write(output, data)
    # What is reported is measured on what a decoder makes of the bytes.
    with Progress("measuring", total=100) as progress:
        decoded, _ = coder.decompress(
            data,
            largest=options.largest,
            progress=lambda share: progress.update(round(100 * share)),
        )
        error = payload.squared_error(decoded)
        variance = payload.variance()
    scalars = payload.scalars
    lines = [f"{scalars} samples to {len(data)} bytes"]
    if scalars == 0:  # of which there is no more to say
        console.print(lines[0])
        return
    lines[0] += f": {8 * len(data) / scalars:.4f} bits per sample"
    if payload.kind == "image":
        high, wide = payload.arrays["image"].shape[:2]
        lines.append(f"{8 * len(data) / (high * wide):.4f} bits per pixel")
    lines.append(f"mean squared error {error:.6g}")
    if error > 0 and payload.peak is not None:
        lines.append(f"PSNR {10 * math.log10(payload.peak**2 / error):.3f} dB")
    elif error > 0 and variance > 0:
        lines.append(f"SNR {10 * math.log10(variance / error):.3f} dB")
    lines.append(_speed(seconds, scalars))
    if error > variance and payload.kind != "image":  # of a picture the scale is known
        lines.append(
            "warning: their mean alone would be nearer to the numbers than what comes back: this "
            "model was trained on others; divide them by their standard deviation, or train one "
            "on numbers like them"
        )
    console.print("\n".join(lines))


def _speed(seconds: float, scalars: int) -> str:
    return f"{seconds:.2f} s, {scalars / seconds / 1e6:.3g} million samples per second"


def decompress() -> None:
    """Run `ltc-decompress`."""
    parser = _arguments("ltc-decompress", "Decompress an .ltc file.")
    parser.add_argument(
        "--salvage", action="store_true", help="recover what the damaged chunks leave"
    )
    _run(parser, _decompress)


def _output(payload: Payload, options: argparse.Namespace) -> tuple[str, str]:
    """Return where a payload is to be written, and as a file of which ending."""
    output, suffix = options.output, payload.suffix
    if output is None:
        name = options.input.removesuffix(".ltc")
        if not Path(name).name or name.endswith("/"):
            raise InputError(f"{options.input} leaves no name for the output; give one")
        output = "-" if name == "-" else str(Path(name).with_suffix(suffix))
        if output == name and Path(output).exists() and not options.force:
            output = str(Path(name).with_suffix(f".decoded{suffix}"))
    _check_output(output, options)
    if output != "-":
        suffix = Path(output).suffix or suffix
    payload.check_suffix(suffix)
    return output, suffix


def _decompress(options: argparse.Namespace) -> None:
    if options.output is not None:
        _check_output(options.output, options)
    data = _read(options.input, options.largest, MAGIC)
    with Progress("loading"):
        from ltc.runs.checkpoint import load_coder  # not above, as for compression

        coder = load_coder(options.ckpt)
    start = time.perf_counter()
    with Progress("decompressing", total=100) as progress:
        payload, damaged = coder.decompress(
            data,
            options.salvage,
            options.largest,
            lambda share: progress.update(round(100 * share)),
            lambda payload: _output(payload, options),
        )
    seconds = time.perf_counter() - start
    output, suffix = _output(payload, options)
    _write(output, payload.write(suffix))
    if damaged:
        names = ", ".join(map(str, damaged[:10])) + (", ..." if len(damaged) > 10 else "")
        lost = "damaged chunks, of whose numbers only a guess is left"
        console.print(f"{lost}: {len(damaged)} ({names})")
    console.print(f"{payload.scalars} samples to {output}\n{_speed(seconds, payload.scalars)}")
