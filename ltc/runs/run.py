"""A run: its parts, and what training, evaluation and the log ask of it."""

from __future__ import annotations

import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from hydra.utils import instantiate
from numpy.typing import NDArray
from torch import Tensor

from ltc import __version__
from ltc.codec import Code, code_for
from ltc.coder import LatticeTransformCoder
from ltc.distortion import Distortion
from ltc.errors import InputError
from ltc.files import atomic_write
from ltc.measurement import Measurement, summarise
from ltc.runs.evaluate import measure

if TYPE_CHECKING:  # neither is needed to code files
    from ltc.baselines import VectorQuantizer
    from ltc.bounds import RateDistortion
    from ltc.sources import Source

__all__ = ["LatticeRun", "Run", "VectorRun", "facts", "generator"]

log = logging.getLogger("ltc")

# Streams of random numbers that never meet: each use of the seed has its own.
STREAMS = {"initialise": 1, "train": 2, "validation": 3, "held_out": 4, "figures": 5, "refine": 6}


def generator(seed: int, stream: str, device: torch.device | str = "cpu") -> torch.Generator:
    """Return the generator of one of the `STREAMS` of a run's seed.

    Example:
        >>> a, b = generator(0, "train"), generator(0, "held_out")
        >>> bool((torch.rand(1, generator=a) == torch.rand(1, generator=b)).item())
        False
    """
    return torch.Generator(device).manual_seed((seed << 8) + STREAMS[stream])


@dataclass
class Run(ABC):
    """What training, evaluation and the log ask of a run, whatever it trains.

    Attributes:
        config: the resolved configuration, plain values.
        source: the source.
        distortion: what an error costs.
        bound: the source's rate-distortion function, or None.
        block: source vectors per block.
        high_rate_gap: of a lattice, what the theory says, bits per sample.
    """

    config: dict[str, Any]
    source: Source
    distortion: Distortion
    bound: RateDistortion | None
    block: int
    high_rate_gap: float | None

    @abstractmethod
    def fit(self, minimise: Callable[[LatticeRun], torch.device]) -> torch.device:
        """Fit what the run trains to the source; returns the device on which it then is.

        Arguments:
            minimise: does it by gradient, where there is a coder to train so.
        """

    @abstractmethod
    def finish(self, folder: Path) -> None:
        """Freeze what was trained and write it into the folder of the run."""

    @abstractmethod
    def measure(self, blocks: Tensor) -> tuple[Measurement, float | None]:
        """Return rate and distortion of held-out blocks, and the rate of a bitstream of them."""

    @abstractmethod
    def cells(self, blocks: Tensor) -> Tensor:
        """Return numbers that tell the cells of blocks apart, shape (count, numbers)."""

    def latents(self, blocks: Tensor) -> Tensor:
        """Return what is quantized of blocks, shape (number, channels)."""
        return blocks.flatten(0, 1)

    def blocks(self, samples: Tensor) -> Tensor:
        """Cut samples, shape (count, d), into blocks, shape (count // block, block, d)."""
        block = self.block
        if len(samples) < block:
            raise InputError(
                f"{len(samples)} held-out vectors do not fill one block of {block}; "
                "set a smaller source.block (of trellis codes quantizer.length) or use more data"
            )
        return samples[: len(samples) // block * block].unflatten(0, (-1, block))

    def held_out(self, device: torch.device) -> Tensor:
        """Return held-out blocks, shape (count, block, d)."""
        config = self.config
        dimension = self.source.dimension * self.block
        count = math.ceil(config["evaluate"]["samples"] / dimension) * self.block
        rng = generator(config["seed"], "held_out", device)
        return self.blocks(self.source.held_out(count, rng))


@dataclass
class LatticeRun(Run):
    """A run of a lattice transform coder.

    Attributes:
        coder: the coder.
        code: the frozen entropy model, once trained; None where there is no bitstream.
    """

    coder: LatticeTransformCoder
    code: Code | None = None

    def fit(self, minimise: Callable[[LatticeRun], torch.device]) -> torch.device:
        """Minimise rate + lmbda * distortion by gradient."""
        return minimise(self)

    def finish(self, folder: Path) -> None:
        """Freeze the entropy model and write the checkpoint, `checkpoints/best.ckpt`."""
        self.code = code_for(self.coder)
        state = {
            "version": __version__,
            "config": self.config,
            "coder": {key: value.cpu() for key, value in self.coder.state_dict().items()},
            "code": None if self.code is None else self.code.state(),
            "source": facts(self.source),
        }
        with atomic_write(folder / "checkpoints" / "best.ckpt") as temporary:
            torch.save(state, temporary)

    @torch.no_grad()
    def measure(self, blocks: Tensor) -> tuple[Measurement, float | None]:
        """Encode and decode held-out blocks, and write them as a file where that is asked for."""
        coder = self.coder
        code = self.code if self.config["evaluate"]["bitstream"] else None
        measured = measure(coder, blocks, code)
        points = coder.encode(blocks[:1000])
        bias = float(coder.entropy.bias(points, coder.table(points)).sum((-1, -2)).mean())
        if bias:
            log.info(
                "the logarithm of a Monte Carlo mean makes the rate too high by about %.2g bits",
                bias / blocks[0].numel(),
            )
        return measured

    def cells(self, blocks: Tensor) -> Tensor:
        """Return the lattice points."""
        return self.coder.encode(blocks).flatten(1)

    def latents(self, blocks: Tensor) -> Tensor:
        """Return what the lattice quantizes, joined to latents."""
        return self.coder.layout.join(self.coder.vectors(blocks)).flatten(0, -2)


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
        """Write the quantizer, `quantizer.npz`."""
        with atomic_write(folder / "quantizer.npz") as path, path.open("wb") as file:
            np.savez(file, **self.quantizer._asdict())

    def measure(self, blocks: Tensor) -> tuple[Measurement, None]:
        """Return what held-out blocks cost; there is no bitstream."""
        costs = self.quantizer.costs(_vectors(blocks))
        return summarise(*(torch.from_numpy(cost) / blocks[0].numel() for cost in costs)), None

    def cells(self, blocks: Tensor) -> Tensor:
        """Return the index of the reconstruction."""
        return torch.from_numpy(self.quantizer.encode(_vectors(blocks)))[:, None]


def _vectors(blocks: Tensor) -> NDArray[np.float64]:
    return blocks.flatten(1).double().cpu().numpy()


def facts(source: Source) -> dict[str, Any]:
    """Return what a decoder has to know of a source, whose data it does not have."""
    known = ("dimension", "patch", "sample_rate", "offset", "gain")
    return {key: getattr(source, key) for key in known if hasattr(source, key)}
