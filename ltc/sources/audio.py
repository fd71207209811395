"""Frames of waveforms."""

import hashlib
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pooch
from numpy.typing import NDArray

from ltc.checks import integer
from ltc.errors import InputError
from ltc.media import SOUNDS, read_sound
from ltc.sources._fetched import download, fetched
from ltc.sources._folder import assemble, find_files, read_files, thin
from ltc.sources.base import LARGEST_EXAMPLE, Example, FiniteSource
from ltc.sources.split import recordings_held_out

__all__ = ["Audio", "free_spoken_digits", "read_recordings"]

COMMIT = "26eb9aaf76e81b692f806f9140c2d2777410d7a1"
URL = f"https://github.com/Jakobovski/free-spoken-digit-dataset/archive/{COMMIT}.tar.gz"
# SHA-256 of what `sha256sum recordings/*.wav` prints in the C locale. GitHub does not promise
# that an archive keeps its bytes, so the sum is that of the contents.
CONTENT = "04e1baae96c6a26e39c623f2b01d0182ddae627ba0ac02a3cdc17ba2af99fd9b"


def content_sum(folder: Path) -> str:
    """Return the SHA-256 of the SHA-256 sums of all `.wav` files in a folder, in sorted order.

    Example:
        >>> import tempfile
        >>> content_sum(Path(tempfile.mkdtemp()))[:8]
        'e3b0c442'
    """
    lines = "".join(
        f"{pooch.file_hash(str(path))}  recordings/{path.name}\n"
        for path in sorted(folder.glob("*.wav"))
    )
    return hashlib.sha256(lines.encode()).hexdigest()


def free_spoken_digits() -> Path:
    """Return the folder of the Free Spoken Digit Dataset, fetched once into the user's cache.

    3,000 recordings of spoken digits at 8 kHz, named `DIGIT_SPEAKER_INDEX.wav`, under the
    licence CC BY-SA 4.0: https://github.com/Jakobovski/free-spoken-digit-dataset

    Raises:
        InputError: it is not in the cache and cannot be fetched, or what came is something else.
    """
    instead = "set source.root=DIR, a folder of WAV, FLAC or Ogg files, to use that instead"

    def fill(folder: Path) -> None:
        with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
            _unpack(download(URL, Path(temporary)), folder)
        if content_sum(folder) != CONTENT:
            raise InputError(f"{URL} holds other recordings than it did; {instead}")

    return fetched("Free Spoken Digit Dataset", ("fsdd", COMMIT), URL, fill, instead)


def _unpack(archive: Path, folder: Path) -> None:
    """Write the `.wav` files of an archive into a folder, wherever the archive wants them."""
    with tarfile.open(archive) as tar:
        for member in tar:
            name = Path(member.name).name
            content = tar.extractfile(member) if name.endswith(".wav") else None
            if content is not None:
                (folder / name).write_bytes(content.read())


def read_recordings(
    paths: list[Path], frames: Callable[[NDArray[Any]], NDArray[Any]]
) -> tuple[list[NDArray[Any]], list[NDArray[Any]], int]:
    """Read mono recordings of one rate, and split them, see `recordings_held_out`.

    Broken files are left out before the split, so that one of them cannot empty a set.

    Arguments:
        paths: the files, sorted.
        frames: the vectors, shape (number, dimension), of the samples of one, full scale from -1
            to 1; a ValueError means that it holds none.

    Returns:
        Vectors of each recording to train on, of each that is held out, float32, and the samples
        per second.

    Raises:
        InputError: none can be used, or one is not mono or of another rate.
    """
    first: tuple[Path, int] | None = None

    def read(path: Path) -> NDArray[np.float32]:
        nonlocal first
        samples, rate, _ = read_sound(path)
        if first is None:
            first = (path, rate)
        if rate != first[1]:
            raise InputError(
                f"{first[0]} has {first[1]} samples per second and {path} {rate}; "
                "expected one rate in source.root: convert them or choose a folder of one rate"
            )
        if not np.isfinite(samples).all():
            raise ValueError("it holds NaN or infinity")
        return frames(samples).astype(np.float32)

    usable = list(read_files(paths, read))
    assert first is not None
    held_out = recordings_held_out([path for path, _ in usable])
    train = [rows for (_, rows), out in zip(usable, held_out, strict=True) if not out]
    test = [rows for (_, rows), out in zip(usable, held_out, strict=True) if out]
    return train, test, first[1]


class Audio(FiniteSource):
    """Frames of consecutive samples of mono recordings; frames of a file do not overlap.

    Without `root` the recordings are the Free Spoken Digit Dataset, fetched once. The split is
    by file, see `recordings_held_out`: no recording is in both sets. Silence is kept: a coder of
    recordings meets it. Of very many recordings each keeps as many frames, chosen at random
    but always the same, as fit in memory. They are normalised, see `FiniteSource`; full scale is
    from -1 to 1.

    Arguments:
        frame: samples per vector, the dimension.
        root: folder of WAV, FLAC and Ogg files, also in folders within, all mono and of one sample
            rate; None: the Free Spoken Digit Dataset.

    Attributes:
        sample_rate: in Hz.

    Raises:
        InputError: a parameter is out of its range; the folder is missing or empty; a file is
            not mono, or two differ in their sample rates; fewer than two files can be read and
            hold a frame (fewer broken ones are named in a warning), or the samples of a set are all
            equal; or there is no `root` and the data set cannot be fetched.

    Example:
        >>> import numpy as np, soundfile, tempfile, torch
        >>> root = Path(tempfile.mkdtemp())
        >>> for name in ("a.wav", "b.wav"):
        ...     soundfile.write(root / name, np.sin(np.arange(800) / 9), 8000)
        >>> source = Audio(frame=16, root=root)
        >>> source.train.shape, source.sample_rate
        (torch.Size([50, 16]), 8000)
    """

    name = "audio"
    sample_rate: int

    def __init__(self, frame: int = 16, root: str | Path | None = None) -> None:
        self.frame = integer("source.frame", frame)
        paths = find_files(free_spoken_digits() if root is None else root, SOUNDS)
        train, test, self.sample_rate = read_recordings(
            paths, lambda samples: self._frames(samples, len(paths))
        )
        super().__init__(*assemble(train, test))

    @property
    def example(self) -> Example:
        """The beginning of what is held out."""
        vectors = self.test[: max(1, LARGEST_EXAMPLE // self.frame)]
        return Example(vectors, (vectors.numel(),), self.sample_rate)

    def _frames(self, samples: NDArray[Any], files: int) -> NDArray[Any]:
        """Return frames, shape (number, frame)."""
        count = len(samples) // self.frame
        if count == 0:
            raise ValueError(f"{len(samples)} samples hold no frame of {self.frame}")
        frames = samples[: count * self.frame].reshape(count, self.frame)
        return frames[thin(count, self.frame, files)]
