"""A run of whole pictures."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor

from ltc.codec.grid_files import GridFileCoder
from ltc.coder.grid import GridCoder
from ltc.errors import InputError
from ltc.measurement import Measured, summarise
from ltc.media import Payload
from ltc.progress import Progress
from ltc.runs.run import LatticeRun, Run, Shown, facts, load_parameters

if TYPE_CHECKING:  # not needed to code files
    from ltc.sources import Images

__all__ = ["GridRun"]


@dataclass
class GridRun(Run):
    """A run of a coder of whole pictures.

    Attributes:
        coder: the coder. It serves every `lmbda`; that of the configuration is where it is
            measured, and what `ltc-compress` takes where nothing is asked for.
    """

    source: Images
    coder: GridCoder

    @property
    def files(self) -> GridFileCoder:
        """What codes files."""
        return GridFileCoder(self.coder, facts(self.source))

    def fit(self, minimise: Callable[[LatticeRun], torch.device]) -> torch.device:
        """Fit the contexts to what the encoder makes of training pictures, at all rates."""
        crops = [self.files.values(crop) for crop in self.source.train]
        with Progress("fitting") as progress:
            self.coder.fit(
                crops, self.coder.context.steps, lambda status: progress.update(status=status)
            )
        return torch.device("cpu")

    def state(self) -> dict[str, Any]:
        """Return the coder's parameters: its probabilities are integers all along."""
        return {"coder": self.coder.state_dict()}

    def restore(self, state: dict[str, Any], device: torch.device) -> torch.device:
        """Take the coder from a checkpoint; it stays on the CPU."""
        load_parameters(self.coder, state)
        return torch.device("cpu")

    def measure(self, device: torch.device) -> Measured:
        """Write held-out pictures as files and read them back: bits and errors of each picture.

        Beside the rate by the tables stand the mean bits per pixel and the mean PSNR of colours, as
        tables of picture codecs have them.
        """
        rates, errors, sizes, psnr, counts = [], [], [], [], []
        for picture in track(
            self.source.test, "coding pictures", transient=True, disable=not sys.stderr.isatty()
        ):
            payload = Payload("image", {"image": _squeezed(picture)}, ".png")
            written = self.files.encode(payload)
            decoded, _ = self.files.decompress(written.data)
            unit = payload.peak / 255 if payload.peak is not None else 1.0
            error = payload.squared_error(decoded) / unit**2
            rates.append(written.bits / picture.size)
            errors.append(error / self.source.gain**2)
            sizes.append(8 * len(written.data) / (picture.shape[0] * picture.shape[1]))
            psnr.append(10 * np.log10(255**2 / max(error, 1e-9)))
            counts.append(picture.size)
        bytes_rate = np.mean([s / p.shape[2] for s, p in zip(sizes, self.source.test, strict=True)])
        return Measured(
            summarise(torch.tensor(rates).double(), torch.tensor(errors).double()),
            sum(counts),
            float(bytes_rate) if self.config["evaluate"]["bitstream"] else None,
            {"bits_per_pixel": float(np.mean(sizes)), "psnr_db": float(np.mean(psnr))},
        )

    def cells(self, blocks: Tensor) -> Tensor:
        """None: a picture is no point of a plane."""
        raise InputError("whole pictures have no cells that could be drawn")

    def reconstruct(self, vectors: Tensor) -> Tensor:
        """None: pixels alone are no picture."""
        raise InputError("whole pictures are coded as pictures; use ltc-compress")

    def latent_samples(self) -> Tensor:
        """Return the latent of a training picture, shape (positions, channels)."""
        crop = next(crop for crop in self.source.train if crop.shape[2] == 3)
        planes = self.coder.planes(self.files.values(crop))
        return torch.from_numpy(planes).flatten(1).T

    def shown(self) -> Shown | None:
        """Return the first held-out picture and what the decoder makes of it."""
        payload = Payload("image", {"image": _squeezed(self.source.test[0])}, ".png")
        decoded, _ = self.files.decompress(self.files.compress(payload))
        return Shown(payload.arrays["image"], decoded.arrays["image"])


def _squeezed(picture: NDArray[Any]) -> NDArray[Any]:
    """Return a picture as files hold it: grey ones have no third axis."""
    return np.ascontiguousarray(picture[..., 0] if picture.shape[2] == 1 else picture)
