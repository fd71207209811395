"""Runs of whole pictures and sounds."""

from __future__ import annotations

import sys
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from ltc.codec import grid_files
from ltc.codec.grid_files import GridFileCoder
from ltc.coder.grid import GridCoder
from ltc.errors import InputError
from ltc.measurement import Measured, summarise
from ltc.media import Payload
from ltc.media.sounds import FULL_SCALE
from ltc.progress import Progress
from ltc.runs.lattice_run import LatticeRun
from ltc.runs.run import Run, Shown, facts, load_parameters

if TYPE_CHECKING:  # not needed to code files
    from ltc.sources import Images, Sounds
    from ltc.sources.whole import WholeSource

__all__ = ["GridRun", "PictureRun", "SoundRun"]


class Coded(NamedTuple):
    """What a picture or a sound takes as a file, and what is lost.

    Attributes:
        payload: what it is.
        bits: by the tables.
        written: bits of the file.
        error: mean squared error in units of the values.
    """

    payload: Payload
    bits: float
    written: int
    error: float


@dataclass
class GridRun(Run):
    """A run of a coder of whole pictures or sounds.

    Attributes:
        coder: the coder. It serves every `lmbda`; that of the configuration is where it is
            measured, and what `ltc-compress` takes where nothing is asked for.
    """

    source: WholeSource
    coder: GridCoder

    @abstractmethod
    def values(self) -> list[Any]:
        """Return what the coder is fitted to, as its transform takes it."""

    @property
    @abstractmethod
    def unit(self) -> float:
        """What `entropy.steps` are in units of."""

    @abstractmethod
    def weights(self, coded: list[Coded]) -> list[float]:
        """Return what each of the held-out pictures or sounds counts for."""

    @abstractmethod
    def error_unit(self, payload: Payload) -> float:
        """Return what one of the units in which values are coded is in a payload."""

    def more(self, coded: list[Coded]) -> Mapping[str, float]:
        """Return other numbers, by their names in `metrics.json`."""
        return {}

    @property
    def files(self) -> GridFileCoder:
        """What codes files."""
        return grid_files(self.coder, facts(self.source))

    def fit(self, minimise: Callable[[LatticeRun], torch.device]) -> torch.device:
        """Fit the contexts to what the encoder makes of training data, at all rates."""
        steps = [step * self.unit for step in self.coder.context.steps]
        with Progress("fitting") as progress:
            self.coder.fit(self.values(), steps, lambda status: progress.update(status=status))
        return torch.device("cpu")

    def state(self) -> dict[str, Any]:
        """Return the coder's parameters: its probabilities are integers all along."""
        return {"coder": self.coder.state_dict()}

    def restore(self, state: dict[str, Any], device: torch.device) -> torch.device:
        """Take the coder from a checkpoint; it stays on the CPU."""
        load_parameters(self.coder, state)
        return torch.device("cpu")

    def measure(self, device: torch.device) -> Measured:
        """Write held-out pictures or sounds as files, read them back: bits and errors of each."""
        files, coded = self.files, []
        for payload in track(
            self.source.payloads(), "coding", transient=True, disable=not sys.stderr.isatty()
        ):
            written = files.encode(payload)
            decoded, _ = files.decompress(written.data)
            error = payload.squared_error(decoded) / self.error_unit(payload) ** 2
            coded.append(Coded(payload, written.bits, 8 * len(written.data), error))
        sizes = np.array([one.payload.scalars for one in coded])
        numbers = np.array([(one.bits, one.written, one.error) for one in coded])
        numbers /= np.stack([sizes, sizes, np.full(len(sizes), self.source.gain**2)], 1)
        # Of a mean with weights the standard error is that of what differs from it.
        weights = np.array(self.weights(coded))
        mean = np.average(numbers, axis=0, weights=weights)
        rates, _, errors = torch.from_numpy(
            mean + (weights / weights.mean())[:, None] * (numbers - mean)
        ).T
        return Measured(
            summarise(rates, errors),
            int(sizes.sum()),
            float(mean[1]) if self.config["evaluate"]["bitstream"] else None,
            self.more(coded),
        )

    def cells(self, blocks: Tensor) -> Tensor:
        """None: a picture or a sound is no point of a plane."""
        raise InputError("whole pictures and sounds have no cells that could be drawn")

    def reconstruct(self, vectors: Tensor) -> Tensor:
        """None: pixels or samples alone are neither picture nor sound."""
        raise InputError("whole pictures and sounds are coded as such; use ltc-compress")

    def latent_samples(self) -> Tensor:
        """Return the latent of training data, shape (positions, channels)."""
        largest = max(self.values(), key=lambda values: values.size)
        return torch.from_numpy(self.coder.planes(largest)).flatten(1).T

    def shown(self) -> Shown | None:
        """Return the first held-out picture or sound and what the decoder makes of it."""
        payload = self.source.payloads()[0]
        decoded, _ = self.files.decompress(self.files.compress(payload))
        (before,), (after,) = payload.arrays.values(), decoded.arrays.values()
        if payload.kind == "audio":  # the log plays one channel
            before, after = (array.reshape(len(array), -1)[:, 0] for array in (before, after))
        return Shown(before, after, payload.rate)


@dataclass
class PictureRun(GridRun):
    """A run of a coder of whole pictures."""

    source: Images
    unit = 1.0

    def values(self) -> list[Any]:
        """Return the crops of training pictures."""
        return [part for crop in self.source.train for part in self.files.values(crop)]

    def weights(self, coded: list[Coded]) -> list[float]:
        """Return the same for all pictures, as tables of picture codecs have it."""
        return [1.0] * len(coded)

    def error_unit(self, payload: Payload) -> float:
        """Return what a step of 8 bits is in a picture."""
        assert payload.peak is not None
        return payload.peak / 255

    def more(self, coded: list[Coded]) -> Mapping[str, float]:
        """Return the mean bits per pixel and PSNR of pictures, as tables of codecs have them."""
        pixels = [np.prod(one.payload.arrays["image"].shape[:2]) for one in coded]
        sizes = [one.written / count for one, count in zip(coded, pixels, strict=True)]
        psnr = [10 * np.log10(255**2 / max(one.error, 1e-9)) for one in coded]
        return {"bits_per_pixel": float(np.mean(sizes)), "psnr_db": float(np.mean(psnr))}


@dataclass
class SoundRun(GridRun):
    """A run of a coder of whole sounds."""

    source: Sounds

    @property
    def unit(self) -> float:
        """A 64th of the deviation of training samples, which pixels have too."""
        return self.source.gain / 64

    def values(self) -> list[Any]:
        """Return the channels of training recordings."""
        return [part for one in self.source.train for part in self.files.values(one.samples)]

    def weights(self, coded: list[Coded]) -> list[float]:
        """Return how many samples each recording has: all count the same."""
        return [float(one.payload.scalars) for one in coded]

    def error_unit(self, payload: Payload) -> float:
        """Return a 1024th of full scale."""
        return 1 / FULL_SCALE

    def more(self, coded: list[Coded]) -> Mapping[str, float]:
        """Return how many recordings there are."""
        return {"recordings": len(coded)}
