"""A run of a vector quantizer, which has no lattice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from hydra.utils import instantiate
from numpy.typing import NDArray
from torch import Tensor

from ltc.errors import InputError
from ltc.files import atomic_write
from ltc.measurement import Measured, summarise
from ltc.runs.lattice_run import LatticeRun
from ltc.runs.run import Run, generator

if TYPE_CHECKING:  # not needed to code files
    from ltc.baselines import VectorQuantizer

__all__ = ["VectorRun"]


class VectorRun(Run):
    """A run of a quantizer of whole blocks, which has no transform or entropy model beside it.

    Attributes:
        quantizer: the quantizer, once fitted to as many vectors as a lattice sees, `steps * batch`.
    """

    quantizer: VectorQuantizer

    def fit(self, minimise: Callable[[LatticeRun], torch.device]) -> torch.device:
        """Let the quantizer fit itself to training vectors."""
        config = self.config
        settings = dict(config["quantizer"])
        del settings["dimension"]  # of the source, see `build`
        count = config["steps"] * (config["batch"] or 200) * self.block
        samples = self.source.training_set(count, generator(config["seed"], "train"))
        vectors = _vectors(self.blocks(samples))
        self.quantizer = instantiate(settings, samples=vectors, lmbda=config["lmbda"])
        return torch.device("cpu")

    def finish(self, folder: Path) -> None:
        """Write the quantizer as a checkpoint, and for NumPy, `quantizer.npz`."""
        super().finish(folder)
        with atomic_write(folder / "quantizer.npz") as path, path.open("wb") as file:
            np.savez(file, **self.quantizer._asdict())

    def state(self) -> dict[str, Any]:
        """Return points, lengths of code words and lmbda."""
        quantizer = self.quantizer._asdict()
        return {"quantizer": {key: torch.as_tensor(value) for key, value in quantizer.items()}}

    def restore(self, state: dict[str, Any], device: torch.device) -> torch.device:
        """Take the quantizer from a checkpoint; it stays on the CPU."""
        from ltc.baselines import VectorQuantizer  # of no use to who codes files

        try:
            values = {key: value.numpy() for key, value in state["quantizer"].items()}
            self.quantizer = VectorQuantizer(**{**values, "lmbda": float(values["lmbda"])})
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError("its parameters do not fit its configuration") from error
        return torch.device("cpu")

    def measure(self, device: torch.device) -> Measured:
        """Return what held-out blocks cost; there is no bitstream."""
        blocks = self.held_out(device)
        costs = self.quantizer.costs(_vectors(blocks))
        measurement = summarise(*(torch.from_numpy(cost) / blocks[0].numel() for cost in costs))
        return Measured(measurement, blocks.numel())

    def cells(self, blocks: Tensor) -> Tensor:
        """Return the index of the reconstruction."""
        return torch.from_numpy(self.quantizer.encode(_vectors(blocks)))[:, None]

    def reconstruct(self, vectors: Tensor) -> Tensor:
        """Return the points of the vectors; what does not fill a block is left out."""
        points = self.quantizer.points[self.quantizer.encode(_vectors(self.blocks(vectors)))]
        return torch.from_numpy(points).float().reshape(-1, vectors.shape[1])


def _vectors(blocks: Tensor) -> NDArray[np.float64]:
    return blocks.flatten(1).double().cpu().numpy()
