"""What a file holds: arrays, a picture or a sound."""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from ltc.errors import InputError
from ltc.media.arrays import read_archive, read_array, write_archive
from ltc.media.pictures import PICTURES, check_picture, read_picture, write_picture
from ltc.media.size import LARGEST, PIECE
from ltc.media.sounds import SAMPLE_TYPES, WRITTEN_SOUNDS, check_sound, read_sound, write_sound

__all__ = ["ARRAYS", "IMAGES", "SOUNDS", "Payload"]

Array = npt.NDArray[Any]

ARRAYS = (".npy", ".npz")
IMAGES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp")
# soundfile's names of codecs whose samples have no type: they come back as floats.
LOSSY = ("VORBIS", "OPUS")
SOUNDS = (*WRITTEN_SOUNDS, ".ogg")


@dataclass
class Payload:
    """What a file holds.

    Attributes:
        kind: `array`, `image` or `audio`.
        arrays: the numbers, by name. An image has one, `image`, of shape (height, width) or
            (height, width, 3), unsigned, 8 or 16 bits; a sound has one, `audio`, of shape
            (samples,) or (samples, channels), float, full scale from -1 to 1.
        suffix: the ending of the file to write.
        rate: samples per second of a sound.
        subtype: of a sound, one of the `SAMPLE_TYPES`.
    """

    kind: str
    arrays: dict[str, Array]
    suffix: str
    rate: int | None = None
    subtype: str = "PCM_16"

    @property
    def scalars(self) -> int:
        """How many numbers it holds."""
        return sum(array.size for array in self.arrays.values())

    @property
    def peak(self) -> float | None:
        """The largest value that a number can have, for the PSNR of images."""
        return float(np.iinfo(self.arrays["image"].dtype).max) if self.kind == "image" else None

    def squared_error(self, other: "Payload") -> float:
        """Return the mean squared error between two payloads of the same shapes; 0 of nothing."""
        total = 0.0
        for name, array in self.arrays.items():
            for a, b in _pieces(array, other.arrays[name]):
                total += float(np.square(a - b).sum())
        return total / max(self.scalars, 1)

    def variance(self) -> float:
        """Return the variance of its numbers; 0 of nothing."""
        count, arrays = max(self.scalars, 1), self.arrays.values()
        mean = sum(float(a.sum()) for array in arrays for (a,) in _pieces(array)) / count
        squares = (np.square(a - mean).sum() for array in arrays for (a,) in _pieces(array))
        return sum(map(float, squares)) / count

    @classmethod
    def read(cls, data: bytes, suffix: str, largest: int | None = None) -> Self:
        """Read a file's bytes.

        Arguments:
            data: the file.
            suffix: its ending, which says what it is.
            largest: bytes that its numbers may take in memory; None: 2^30.

        Raises:
            InputError: it cannot be read as what the ending says, is larger, or holds what
                would not come back: see `read_picture`, `read_sound` and `read_archive`.

        Example:
            >>> payload = Payload("array", {"x": np.arange(3)}, ".npz")
            >>> Payload.read(payload.write(), ".npz").arrays["x"]
            array([0, 1, 2])
        """
        suffix, largest = suffix.lower(), LARGEST if largest is None else largest
        try:
            if suffix in IMAGES:
                return cls("image", {"image": read_picture(data, largest)}, ".png")
            if suffix in SOUNDS:
                types = (*SAMPLE_TYPES, *LOSSY) if suffix == ".ogg" else SAMPLE_TYPES
                sound, rate, subtype = read_sound(io.BytesIO(data), largest, types, mono=False)
                if suffix == ".ogg":
                    subtype = "FLOAT" if subtype in LOSSY else subtype
                    return cls("audio", {"audio": sound}, ".wav", rate, subtype)
                if suffix == ".flac" and len(sound) == 0:  # which could not be written again
                    raise InputError("this .flac holds no samples; expected one at least")
                check_sound(sound, subtype, suffix)  # of a WAV that is named .flac
                return cls("audio", {"audio": sound}, suffix, rate, subtype)
            if suffix == ".npy":
                return cls("array", {"array": read_array(data, largest=largest)}, suffix)
            if suffix == ".npz":
                return cls("array", read_archive(data, largest), suffix)
        except InputError:
            raise
        except Exception as error:  # decoders raise whatever they stumble over
            reason = re.sub(r"<_io.BytesIO object at \w+>", "it", str(error))
            raise InputError(f"the input is no valid {suffix} file: {reason}") from error
        kinds = ", ".join((*ARRAYS, *IMAGES, *SOUNDS))
        raise InputError(
            f"cannot compress {suffix or 'a file without an ending'}; expected {kinds}"
        )

    def check_suffix(self, suffix: str) -> None:
        """Refuse the ending of a file that cannot hold it; its numbers need not be there yet.

        Arguments:
            suffix: the ending.

        Raises:
            InputError: the ending does not suit the payload.

        Example:
            >>> Payload("array", {"x": np.empty(3)}, ".npz").check_suffix(".png")
            Traceback (most recent call last):
            ltc.errors.InputError: cannot write array as .png; use .npz
        """
        suffix = suffix.lower()
        arrays = ARRAYS if len(self.arrays) == 1 else ARRAYS[1:]  # a .npy holds one
        if suffix not in {"image": PICTURES, "audio": WRITTEN_SOUNDS, "array": arrays}[self.kind]:
            raise InputError(f"cannot write {self.kind} as {suffix}; use {self.suffix}")
        if self.kind == "image":
            check_picture(self.arrays["image"], suffix)
        elif self.kind == "audio":
            check_sound(self.arrays["audio"], self.subtype, suffix)

    def write(self, suffix: str | None = None) -> bytes:
        """Return the bytes of a file.

        Arguments:
            suffix: its ending; None: as the payload says.

        Raises:
            InputError: the ending does not suit the payload.
        """
        suffix = (suffix or self.suffix).lower()
        self.check_suffix(suffix)
        stream = io.BytesIO()
        try:
            if self.kind == "image":
                return write_picture(self.arrays["image"], suffix)
            if self.kind == "audio":
                rate = self.rate or 0
                write_sound(stream, self.arrays["audio"], rate, self.subtype, suffix)
            elif suffix == ".npy":
                (array,) = self.arrays.values()
                npy.write_array(stream, array, allow_pickle=False)
            else:
                write_archive(stream, self.arrays)
        except InputError:
            raise
        except Exception as error:  # encoders too
            raise InputError(f"cannot write this {self.kind} as {suffix}: {error}") from error
        return stream.getvalue()


def _pieces(*arrays: Array) -> Iterator[tuple[Array, ...]]:
    """Yield pieces of arrays of one shape side by side, as float64."""
    walk = np.nditer(
        arrays,
        flags=["buffered", "external_loop", "zerosize_ok"],
        op_dtypes=[np.float64] * len(arrays),
        casting="same_kind",
        buffersize=PIECE,
        order="C",
    )
    for piece in walk:
        yield piece if isinstance(piece, tuple) else (piece,)
