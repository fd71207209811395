"""A run: its parts, and what training, evaluation and the log ask of it."""

from __future__ import annotations

import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ltc.codec import Code, code_for
from ltc.coder import LatticeTransformCoder
from ltc.distortion import Distortion
from ltc.errors import InputError
from ltc.files import write_state
from ltc.measurement import Measured
from ltc.media import Vectors
from ltc.runs.seen import seen_again, sketch
from ltc.version import __version__

if TYPE_CHECKING:  # neither is needed to code files
    from ltc.bounds import RateDistortion
    from ltc.sources import Source

__all__ = [
    "Run",
    "Shown",
    "bring_to_scale",
    "facts",
    "generator",
    "load_parameters",
    "restored",
]

log = logging.getLogger("ltc")

# The share of held-out rows, seen in training, of which there is a warning.
SEEN = 0.05

# Streams of random numbers that never meet: each use of the seed has its own.
NAMES = ("initialise", "train", "validation", "held_out", "figures", "refine", "noise")
STREAMS = {name: number for number, name in enumerate(NAMES, start=1)}
# What torch's generators on the CPU make of a seed is its last 32 bits. Multiples of this number,
# 2^64 over the golden ratio, lie evenly among them.
SPREAD = 0x9E3779B97F4A7C15
# Scalars that figures of latents are drawn from, about.
DRAWN = 1 << 21


def generator(
    seed: int, stream: str, device: torch.device | str = "cpu", part: int = 0
) -> torch.Generator:
    """Return the generator of one of the `STREAMS` of a run's seed.

    Arguments:
        seed: of the run.
        stream: what the randomness is for.
        device: where it is made.
        part: of the stream: each has its own, so that one can begin with any of them.

    Example:
        >>> a, b = generator(0, "train"), generator(0, "held_out")
        >>> bool((torch.rand(1, generator=a) == torch.rand(1, generator=b)).item())
        False
    """
    number = (seed << 8) + STREAMS[stream] + part * SPREAD
    return torch.Generator(device).manual_seed(number % (1 << 63))


class Shown(NamedTuple):
    """A picture or a sound beside what the decoder makes of it.

    Attributes:
        source: a picture of 8 or 16 bits, shape (height, width) or (height, width, 3), or a sound
            from -1 to 1, shape (samples,).
        reconstruction: likewise.
        sample_rate: of a sound, in Hz; None of a picture.
    """

    source: NDArray[Any]
    reconstruction: NDArray[Any]
    sample_rate: int | None = None


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

    @property
    def device(self) -> torch.device:
        """Where what is trained is."""
        return torch.device("cpu")

    @abstractmethod
    def fit(self, minimise: Callable[[Any], torch.device]) -> torch.device:
        """Fit what the run trains to the source; returns the device on which it then is.

        Arguments:
            minimise: does it by gradient, where there is a coder to train so.
        """

    def finish(self, folder: Path) -> None:
        """Freeze what was trained and write it into the folder: `checkpoints/best.ckpt`."""
        trained = sketch(self.source)
        share = seen_again(trained, self.source)
        if share > SEEN:
            log.warning("%.0f %% of the held-out rows stand among those of training", 100 * share)
        state = {
            "version": __version__,
            "config": self.config,
            "source": facts(self.source),
            "seen": trained,
            "seen_again": share,
            **self.state(),
        }
        write_state(state, folder / "checkpoints" / "best.ckpt")

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Return what was trained, tensors and plain values: its part of a checkpoint."""

    @abstractmethod
    def restore(self, state: dict[str, Any], device: torch.device) -> torch.device:
        """Take what was trained from a checkpoint; returns the device on which it then is.

        Arguments:
            state: the contents of a checkpoint.
            device: where a coder is to be; others have a place of their own.

        Raises:
            InputError: it does not fit the configuration.
        """

    @abstractmethod
    def measure(self, device: torch.device) -> Measured:
        """Return rate and distortion of held-out samples, and the rate of a bitstream of them.

        Arguments:
            device: where what was trained is.
        """

    def limit(self, measured: Measured) -> RateDistortion | None:
        """Return the rate-distortion function that what was measured is compared with."""
        return self.bound

    @abstractmethod
    def cells(self, blocks: Tensor) -> Tensor:
        """Return numbers that tell the cells of blocks apart, shape (count, numbers)."""

    @abstractmethod
    def reconstruct(self, vectors: Tensor) -> Tensor:
        """Return the reconstruction of vectors that follow each other, shape (number, d)."""

    def latents(self, blocks: Tensor) -> Tensor:
        """Return what is quantized of blocks, shape (number, channels)."""
        return blocks.flatten(0, 1)

    def latent_samples(self) -> Tensor:
        """Return what is quantized of some training vectors, shape (number, channels)."""
        rng = generator(self.config["seed"], "figures", self.device)
        of_block = self.block * self.source.dimension
        return self.latents(self.source.blocks(min(1000, -(-DRAWN // of_block)), self.block, rng))

    def shown(self) -> Shown | None:
        """Return a held-out picture or sound and what the decoder makes of it, if there is one."""
        example = self.source.example
        if example is None:
            return None
        decoded = self.reconstruct(example.vectors.to(self.device))
        known = facts(self.source)
        sound = example.sample_rate is not None
        found = []
        for vectors in (example.vectors, decoded):
            array = np.zeros(example.shape, np.float32 if sound else np.uint8)
            scale = known.get("offset", 0.0), known.get("gain", 1.0)
            whole = Vectors({"": array}, self.source.dimension, known.get("patch"), *scale)
            whole.put(0, vectors.cpu().numpy())
            found.append(whole.arrays[""].clip(-1, 1) if sound else whole.arrays[""])
        return Shown(found[0], found[1], example.sample_rate)

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


def facts(source: Source) -> dict[str, Any]:
    """Return what a decoder has to know of a source, whose data it does not have."""
    known = ("dimension", "patch", "sample_rate", "offset", "gain")
    found = {key: getattr(source, key) for key in known if hasattr(source, key)}
    return found | ({"whole": source.whole} if source.whole else {})


def bring_to_scale(source: Source, known: dict[str, Any]) -> None:
    """Bring the numbers of a source to the scale that a coder was trained on.

    Offset and gain are the coder's, as they are where it codes files.

    Arguments:
        source: changed in place, where it has a scale.
        known: the `facts` of the source that the coder was trained on.

    Raises:
        InputError: its vectors are of another kind.
    """
    for key in ("dimension", "patch", "sample_rate", "whole"):
        if known.get(key) != facts(source).get(key) and (key == "dimension" or key in known):
            raise InputError(
                f"source={source.name} has the {key} {facts(source).get(key)}, and the coder was "
                f"trained on {known[key]}; choose data of the same kind"
            )
    source.rescale(known.get("offset", 0.0), known.get("gain", 1.0))


def load_parameters(coder: nn.Module, state: dict[str, Any]) -> None:
    """Give a coder the parameters of a checkpoint.

    Arguments:
        coder: changed in place.
        state: the contents of a checkpoint.

    Raises:
        InputError: they do not fit.
    """
    try:
        coder.load_state_dict(state["coder"])
    except (KeyError, RuntimeError, TypeError, AttributeError, ValueError) as error:
        raise InputError("its parameters do not fit its configuration") from error


def restored(coder: LatticeTransformCoder, state: dict[str, Any]) -> Code | None:
    """Return the frozen entropy model of a checkpoint, and do what `load_parameters` does."""
    load_parameters(coder, state)
    return None if state.get("code") is None else code_for(coder, state["code"])
