"""Whole sounds."""

import logging
import math
from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from torch import Tensor

from ltc.checks import integer
from ltc.errors import InputError
from ltc.media import LARGEST, SAMPLE_TYPES, SOUNDS, Payload, read_sound
from ltc.media.size import check_size
from ltc.media.sounds import FULL_SCALE, LARGEST_SAMPLE, round_sound
from ltc.sources._folder import check_split, find_files, read_files
from ltc.sources.audio import free_spoken_digits
from ltc.sources.split import recordings_held_out
from ltc.sources.whole import WholeSource

__all__ = ["Sounds"]

log = logging.getLogger("ltc")

# Samples that are held in memory at most: of a training sound, of all of them (half a minute on
# one core), and of the held-out sounds.
MOST_OF_ONE, MOST_TRAIN, MOST_TEST = 1 << 16, 1 << 21, 1 << 27

Samples = NDArray[np.floating]


class Recording(NamedTuple):
    """A sound, and the type of its samples in a file.

    Attributes:
        samples: full scale from -1 to 1, shape (samples, channels).
        subtype: one of the `SAMPLE_TYPES`.
    """

    samples: Samples
    subtype: str


class Sounds(WholeSource):
    """Whole recordings, of any length, of one or several channels.

    Without `root` they are the Free Spoken Digit Dataset, fetched once. The split is by file, see
    `recordings_held_out`. Of a long training recording the middle is taken, of very many some, all
    over the folder. Recordings of other rates are resampled, and a note says how many. As a source
    of vectors its vectors are samples.

    Arguments:
        root: folder of WAV, FLAC and Ogg files, also in folders within; None: the Free Spoken Digit
            Dataset.
        rate: samples per second; None: that of most files.

    Attributes:
        sample_rate: in Hz.
        train: recordings to train on.
        test: held-out recordings, whole.
        offset, gain: mean and deviation of training samples: sample = gain * value + offset.

    Raises:
        InputError: the folder is missing or empty, fewer than two files can be read (fewer broken
            ones are named in a warning), or the samples of a set are all equal; or there is no
            `root` and the data set cannot be fetched.

    Example:
        >>> import tempfile
        >>> root = Path(tempfile.mkdtemp())
        >>> for name in ("a.wav", "b.flac"):
        ...     soundfile.write(root / name, np.sin(np.arange(900).reshape(-1, 2) / 9), 8000)
        >>> source = Sounds(root)
        >>> source.train[0].samples.shape, source.sample_rate
        ((450, 2), 8000)
    """

    name = "sounds"
    whole = "audio"
    dimension = 1

    def __init__(self, root: str | Path | None = None, rate: int | None = None) -> None:
        paths = find_files(free_spoken_digits() if root is None else root, SOUNDS)
        known = dict(read_files(paths, _known))
        rates = Counter(info.samplerate for info in known.values())
        most = rates.most_common(1)[0][0]
        self.sample_rate = integer("source.rate", most if rate is None else rate, 1, 1 << 20)
        other = len(known) - rates[self.sample_rate]
        if other:
            log.warning(
                "resampled %d of %d recordings to %d samples per second",
                other, len(known), self.sample_rate,
            )  # fmt: skip
        self.train: list[Recording] = []
        self.test: list[Recording] = []
        held_out = dict(zip(known, recordings_held_out(list(known)), strict=True))
        to_train = [path for path in known if not held_out[path]]
        size = sum(min(known[path].frames, MOST_OF_ONE) * known[path].channels for path in to_train)
        chosen = [path for path in known if held_out[path]]
        chosen += to_train[:: max(1, math.ceil(size / MOST_TRAIN))]
        numbers = left_out = 0
        for path, samples in read_files(chosen, self._read):
            subtype = _writable(known[path].subtype)
            if not held_out[path]:
                start = max(0, len(samples) - MOST_OF_ONE) // 2
                cut = np.ascontiguousarray(samples[start : start + MOST_OF_ONE])
                self.train.append(Recording(cut, subtype))
            elif self.test and numbers + samples.size > MOST_TEST:
                left_out += 1
            else:
                numbers += samples.size
                self.test.append(Recording(samples, subtype))
        if left_out:
            log.warning(
                "measured on %d of %d held-out recordings: more do not fit into memory",
                len(self.test), len(self.test) + left_out,
            )  # fmt: skip
        check_split(self.train, self.test, "recordings")
        mean, variance = _moments(self.train)
        self.offset, self.gain = FULL_SCALE * mean, FULL_SCALE * math.sqrt(variance)
        if self.gain == 0:
            raise InputError(f"all training samples are {mean:g}: they need no coder")
        if self.variance == 0:
            raise InputError(
                f"the samples of {len(self.test)} held-out recordings do not differ, so that "
                "nothing can be measured on them; add recordings"
            )

    def _read(self, path: Path) -> Samples:
        """Return samples, shape (samples, channels), at the source's rate."""
        samples, rate, subtype = read_sound(path, mono=False)
        if not np.isfinite(samples).all():
            raise ValueError("it holds NaN or infinity")
        if np.abs(samples).max() > LARGEST_SAMPLE:
            raise ValueError(
                f"it holds samples of up to {np.abs(samples).max():.3g}, full scale is 1"
            )
        samples = samples.reshape(len(samples), -1)
        if rate != self.sample_rate:
            from scipy.signal import resample_poly  # not above: slow to import, and seldom needed

            common = math.gcd(rate, self.sample_rate)
            try:
                check_size(8 * samples.size * self.sample_rate // rate, LARGEST)
            except InputError as error:  # one file of an odd rate is no reason to stop
                raise ValueError(str(error)) from error
            samples = resample_poly(samples, self.sample_rate // common, rate // common)
            samples = samples.clip(-LARGEST_SAMPLE, LARGEST_SAMPLE)  # a filter overshoots
            bits = SAMPLE_TYPES[_writable(subtype)]
            if bits is not None:
                samples = round_sound(samples, bits)
        found: Samples = samples.astype(np.float32)
        return found

    def payloads(self) -> list[Payload]:
        """Return the held-out recordings as what is compressed."""
        return [
            Payload(
                "audio", {"audio": samples[:, 0] if samples.shape[1] == 1 else samples}, ".wav",
                self.sample_rate, subtype,
            )
            for samples, subtype in self.test
        ]  # fmt: skip

    def vectors(self, recordings: list[Recording]) -> Tensor:
        """Return the samples of all channels of recordings, shape (number, 1)."""
        values = [
            ((FULL_SCALE * one.samples.reshape(-1, 1) - self.offset) / self.gain).astype(np.float32)
            for one in recordings
        ]
        return torch.from_numpy(np.concatenate(values))

    @cached_property
    def covariance(self) -> Tensor:
        """The variance of a held-out sample, as a matrix."""
        _, variance = _moments(self.test)
        return torch.tensor([[variance * (FULL_SCALE / self.gain) ** 2]]).double()


def _moments(recordings: list[Recording]) -> tuple[float, float]:
    """Return the mean and the variance of samples."""
    count, total, squares = 0, 0.0, 0.0
    for one in recordings:
        exact = one.samples.astype(float)
        count, total = count + exact.size, total + float(exact.sum())
        squares += float(np.square(exact).sum())
    return total / count, max(squares / count - (total / count) ** 2, 0.0)


def _known(path: Path) -> Any:
    """Return what soundfile tells of a file without reading its samples."""
    info = soundfile.info(path)
    if info.frames == 0:
        raise ValueError("it holds no samples")
    return info


def _writable(subtype: str) -> str:
    """Return the type in which samples are measured: of a lossy format floats."""
    return subtype if subtype in SAMPLE_TYPES else "FLOAT"
