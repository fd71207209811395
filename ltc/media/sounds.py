"""Sounds, in the sample type that they came in."""

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import soundfile

from ltc.errors import InputError
from ltc.media.size import LARGEST, PIECE, check_size

__all__ = [
    "FULL_SCALE",
    "LARGEST_SAMPLE",
    "SAMPLE_TYPES",
    "WRITTEN_SOUNDS",
    "check_sound",
    "read_sound",
    "round_sound",
    "write_sound",
]

Array = npt.NDArray[Any]

# Endings that a sound can be written with.
WRITTEN_SOUNDS = (".wav", ".flac")

# What full scale is in the units in which whole sounds are coded, and steps are 1/1024 of one.
FULL_SCALE = 1024.0
# Of whole sounds: beyond it levels at the finest step would have no code.
LARGEST_SAMPLE = 4.0
# soundfile's names of the sample types that can be written as they were read, and the bits of
# their integers; None: they are floats.
SAMPLE_TYPES = {
    "PCM_U8": 8,
    "PCM_S8": 8,
    "PCM_16": 16,
    "PCM_24": 24,
    "PCM_32": 32,
    "FLOAT": None,
    "DOUBLE": None,
}


def read_sound(
    file: str | Path | BinaryIO,
    largest: int = LARGEST,
    types: Collection[str] | None = None,
    mono: bool = True,
) -> tuple[Array, int, str]:
    """Read a sound.

    Arguments:
        file: a path, or a file open for reading.
        largest: bytes that its samples may take.
        types: of samples, of which it has to have one; None: any.
        mono: whether it has to have one channel.

    Returns:
        Samples, shape (samples,), of several channels (samples, channels), full scale from -1 to 1,
        as wide a float as is exact; their number per second; and soundfile's name of their type.

    Raises:
        InputError: it has several channels, samples of another type, or is larger.
        EOFError: it is not whole.
        soundfile.LibsndfileError: it cannot be read. Broken files raise other exceptions too.
    """
    with soundfile.SoundFile(file) as sound:
        if mono and sound.channels != 1:
            name = file if isinstance(file, str | Path) else "this sound"
            raise InputError(
                f"{name} has {sound.channels} channels; expected mono: convert it, for example "
                "with `ffmpeg -i IN -ac 1 OUT`"
            )
        if types is not None and sound.subtype not in types:  # decoders of some read no stream
            raise InputError(
                f"this sound has samples of type {sound.subtype}; expected PCM or float: "
                "convert it, for example with `ffmpeg -i IN -c:a pcm_s16le OUT.wav`"
            )
        dtype = np.dtype("f8" if sound.subtype in ("PCM_32", "DOUBLE") else "f4")
        check_size(sound.frames * sound.channels * dtype.itemsize, largest)
        samples = sound.read(dtype=dtype.name)
        _refuse_parts(sound.extra_info)  # now: some is found on the way
        if len(samples) < sound.frames:
            raise EOFError(f"it is damaged: {len(samples)} of {sound.frames} samples can be read")
        return samples, sound.samplerate, sound.subtype


def _refuse_parts(log: str) -> None:
    """Refuse a file of which not all samples are read, which libsndfile only notes in its log."""
    sizes = re.search(r"^data : (\d+) \(should be (\d+)\)", log, re.M)
    # Who writes to a pipe cannot know the size, and says that it is the largest.
    if sizes and int(sizes[2]) < int(sizes[1]) < 0xFFFFFFFF:
        raise EOFError(f"it is truncated: {sizes[2]} of {sizes[1]} bytes of samples are there")
    if re.search(r"^data : 0\n(.*\n)*.*([Uu]nknown (chunk )?marker|Have 0 marker)", log, re.M):
        raise EOFError(
            "its header says that it has no samples, and something follows: who wrote it was cut "
            "off; mend the header, for example with `ffmpeg -ignore_length 1 -i IN OUT`"
        )
    pages = re.search(r"^Ogg ?: .*(hole|Junk after|lacks an end|ended unexpected).*", log, re.M)
    if pages:
        raise EOFError(
            "it is truncated or damaged, or holds several streams one after the other "
            f"({pages[0].strip()})"
        )


def round_sound(samples: Array, bits: int) -> Array:
    """Return the nearest samples that integers can hold, float64, from -1 to 1.

    Arguments:
        samples: any shape, full scale from -1 to 1.
        bits: of the integers.

    Example:
        >>> round_sound(np.array([0.3, 1.5]), 2)
        array([0.5, 0.5])
    """
    scale = 2.0 ** (bits - 1)
    rounded: Array = np.clip(np.rint(samples.astype(np.float64) * scale), -scale, scale - 1) / scale
    return rounded


def check_sound(samples: Array, subtype: str, suffix: str) -> str:
    """Refuse the ending of a file that cannot hold a sound.

    Arguments:
        samples: as of `write_sound`, of which the number matters; so are the others.

    Returns:
        What the format calls the sample type.

    Raises:
        InputError: the format has no such samples, or cannot do without any.

    Example: each format has one kind of 8 bits.
        >>> check_sound(np.empty(1), "PCM_S8", ".wav")
        'PCM_U8'
    """
    form = suffix[1:].upper()
    if SAMPLE_TYPES[subtype] == 8:
        subtype = "PCM_U8" if form == "WAV" else "PCM_S8"
    if not soundfile.check_format(form, subtype):
        raise InputError(f"{suffix} holds no samples of type {subtype}; use .wav")
    if form == "FLAC" and len(samples) == 0:  # libsndfile would write no byte
        raise InputError(f"{suffix} holds no sound without samples; use .wav")
    if form == "FLAC" and samples.shape[1:] > (8,):
        raise InputError(f"{suffix} holds 8 channels at most, not {samples.shape[1]}; use .wav")
    return subtype


def write_sound(stream: BinaryIO, samples: Array, rate: int, subtype: str, suffix: str) -> None:
    """Write a sound.

    Arguments:
        stream: a file open for writing.
        samples: shape (samples,) or (samples, channels), full scale from -1 to 1.
        rate: samples per second.
        subtype: one of the `SAMPLE_TYPES`.
        suffix: `.wav` or `.flac`.

    Raises:
        InputError: the format has no such samples, or cannot do without any.
    """
    bits, form = SAMPLE_TYPES[subtype], suffix[1:].upper()
    subtype = check_sound(samples, subtype, suffix)
    channels = samples.shape[1] if samples.ndim == 2 else 1
    with soundfile.SoundFile(stream, "w", rate, channels, subtype, format=form) as file:
        for start in range(0, len(samples), PIECE):
            part = samples[start : start + PIECE]
            if bits is not None:
                # As integers, of which libsndfile takes the first bits: floats it multiplies
                # by one less when it writes them than it divides by when it reads them.
                part = (round_sound(part, bits) * 2.0**31).astype(np.int32)
            file.write(part)
