"""Whole sounds as `.ltc` files."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ltc.codec.described import described_sound
from ltc.codec.files import Aim
from ltc.codec.grid_files import GridFileCoder, Planes, Size
from ltc.coder.grid import FINEST
from ltc.errors import InputError
from ltc.media import SAMPLE_TYPES, Payload
from ltc.media.sounds import FULL_SCALE, LARGEST_SAMPLE, round_sound
from ltc.transforms.exact import products

__all__ = ["SoundFileCoder"]

# Numbers of a stream: a damaged one costs 16 s at 8 kHz, and each costs 0.2 % of the rate, because
# its first frames know none before.
PIECE = 1 << 17
# Axes of channels are integers over it; what they have to save, bits per sample, to be worth it.
UNIT, LEAST = 4096, 0.02
# Channels that have axes at most, and channels at most, as in libsndfile.
WITH_AXES, MOST_CHANNELS = 32, 1024


class SoundFileCoder(GridFileCoder):
    """A trained coder of whole sounds at work on files.

    Channels are turned to their principal axes, where that saves bits, and coded one by one, each
    in pieces that stand alone but for the overlap of their frames. The facts of the source are its
    `sample_rate`.
    """

    kind, called = "audio", "sound"
    size_aim, error_aim = "bps", "snr"

    def check(self, payload: Payload) -> None:
        """Refuse other rates than that of training, and samples that are none."""
        sound, rate = payload.arrays["audio"], payload.rate
        if rate != self.facts["sample_rate"]:
            raise InputError(
                f"this sound has {rate} samples per second, the model's training had "
                f"{self.facts['sample_rate']}; resample it first, or train a model with "
                f"source.rate={rate}"
            )
        if sound.dtype not in (np.float32, np.float64) or sound.ndim not in (1, 2):
            raise InputError(
                f"an array of shape {sound.shape} and type {sound.dtype} is no sound; expected "
                "float32 or float64, shape (samples,) or (samples, channels)"
            )
        self._check_channels(sound.shape)
        if not np.isfinite(sound).all():
            raise InputError("audio holds NaN or infinity, which have no distortion")
        largest = float(np.abs(sound).max(initial=0.0))
        if largest > LARGEST_SAMPLE:
            raise InputError(
                f"audio holds samples of up to {largest:.3g}; full scale is 1: divide them first"
            )

    @staticmethod
    def _check_channels(shape: tuple[int, ...]) -> None:
        if not 1 <= math.prod(shape[1:]) <= MOST_CHANNELS:
            raise InputError(
                f"a sound of {math.prod(shape[1:]):,} channels; expected 1 to {MOST_CHANNELS:,}"
            )

    def latents(self, payload: Payload) -> tuple[list[Planes], dict[str, Any]]:
        """Return a latent for each piece of each channel."""
        sound = payload.arrays["audio"]
        values = np.stack(self.values(sound), 1)
        metadata: dict[str, Any] = {"rate": payload.rate, "subtype": payload.subtype}
        axes = _axes(values)
        if axes is not None:
            metadata["axes"] = axes.tolist()
            for part in _parts(values):
                part[:] = np.linalg.solve(axes.T / UNIT, part.T.astype(float)).T
        frames, piece = -(-len(sound) // self.model.transform.stride), self._piece
        parts = []
        for channel in values.T:
            planes = self.model.planes(channel)
            starts = range(0, frames, piece)
            parts.append(
                [np.ascontiguousarray(planes[..., start : start + piece]) for start in starts]
            )
        return [part for together in zip(*parts, strict=True) for part in together], metadata

    def values(self, array: NDArray[Any]) -> list[NDArray[np.float32]]:
        """Return the channels of a sound, in 1/1024 of full scale."""
        channels = array.reshape(len(array), math.prod(array.shape[1:]))
        return list((channels * FULL_SCALE).astype(np.float32).T)

    @property
    def _piece(self) -> int:
        """Frames of a piece."""
        return max(1, PIECE // self.model.transform.stride)

    def sizes(self, shape: tuple[int, ...]) -> list[Size]:
        """Return the shapes of the latents of pieces."""
        n, planes = self.model.transform.stride, self.model.transform.group
        frames = -(-shape[0] // n)
        return [
            (planes, n // planes, min(self._piece, frames - start))
            for start in range(0, frames, self._piece)
            for _ in range(math.prod(shape[1:]))
        ]

    def joined(
        self, latents: list[Planes], shape: tuple[int, ...], metadata: dict[str, Any]
    ) -> NDArray[Any]:
        """Return the samples."""
        count = math.prod(shape[1:])
        values = np.zeros((shape[0], count), np.float32)
        for channel in range(count if latents else 0):
            planes = np.concatenate(latents[channel::count], -1)
            for i in range(channel, len(latents), count):
                latents[i] = planes[..., :0]  # its memory is needed
            values[:, channel] = self.model.values(planes, metadata["step"] / FINEST)[: shape[0]]
        bits, dtype = SAMPLE_TYPES[metadata["subtype"]], np.dtype(metadata["arrays"][0][2])
        found: NDArray[Any] = np.empty(values.shape, dtype)
        for part, written in zip(_parts(values), _parts(found), strict=True):
            if "axes" in metadata:
                part = products(part, np.array(metadata["axes"]) / UNIT)
            samples = part.astype(dtype) / FULL_SCALE
            written[:] = samples if bits is None else round_sound(samples, bits)
        return found.reshape(shape)

    def rate_and_type(self, metadata: dict[str, Any], shape: tuple[int, ...]) -> dict[str, Any]:
        """Return rate and sample type; axes are checked too."""
        rate, subtype = described_sound(metadata, self.facts["sample_rate"])
        self._check_channels(shape)
        axes = metadata.get("axes")
        if "axes" in metadata and not (
            isinstance(axes, list)
            and len(axes) == math.prod(shape[1:]) <= WITH_AXES
            and all(isinstance(row, list) and len(row) == len(axes) for row in axes)
            and all(type(n) is int and abs(n) <= 2 * UNIT for row in axes for n in row)
        ):
            raise InputError("the header's metadata describes no sound that this model codes")
        return {"rate": rate, "subtype": subtype}

    def step_of(self, aim: Aim) -> int:
        """Return the step of a lmbda."""
        return self.model.step(aim.value)

    def power(self, payload: Payload) -> float:
        """Return the variance; of samples that are all alike their mean square."""
        sound = payload.arrays["audio"]
        return payload.variance() or float(np.square(sound).sum(dtype=float)) / max(sound.size, 1)

    def units(self, shape: tuple[int, ...]) -> int:
        """Return the number of samples, those of all channels."""
        return math.prod(shape)


def _parts(values: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Yield parts of rows one after the other: copies of all take the memory of a whole sound."""
    for start in range(0, len(values), PIECE):
        yield values[start : start + PIECE]


def _axes(values: NDArray[np.float32]) -> NDArray[np.int64] | None:
    """Return principal axes of channels, in rows of integers; None where they save nothing.

    Arguments:
        values: shape (samples, channels).

    Example: what both of two channels have in common is one of the axes.
        >>> noise = np.random.default_rng(0).normal(size=(2, 999)).astype(np.float32)
        >>> _axes(np.stack([noise[0] + 0.1 * noise[1], noise[0]], 1)).round(-3).tolist()
        [[3000, 3000], [3000, -3000]]
        >>> _axes(noise.T) is None
        True
    """
    if len(values) == 0 or not 1 < values.shape[1] <= WITH_AXES:
        return None
    covariance = np.zeros((values.shape[1],) * 2)
    for part in _parts(values):
        exact = part.astype(float)
        covariance += exact.T @ exact / len(values)
    energy, axes = np.linalg.eigh(covariance)
    floor = 1e-9 * energy[-1]
    if floor <= 0:
        return None
    before, after = (np.maximum(x, floor) for x in (covariance.diagonal(), energy))
    if 0.5 * np.log2(before / after).mean() < LEAST:
        return None
    axes = axes.T[::-1]
    found: NDArray[np.int64] = np.rint(UNIT * axes * np.where(axes[:, :1] < 0, -1, 1)).astype(int)
    return found
