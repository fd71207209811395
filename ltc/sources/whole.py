"""Sources of whole pictures or sounds."""

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor

from ltc.media import Payload
from ltc.sources.base import Source

__all__ = ["WholeSource"]


class WholeSource(Source):
    """Pictures or sounds that are coded as such; as a source of vectors, their pixels or samples.

    Attributes:
        train: what to train on.
        test: what is held out.
        offset, gain: what is taken out of training vectors: original = gain * value + offset.
    """

    finite = True
    train: list[Any]
    test: list[Any]
    offset: Any  # a number; of other sources it may be one of each number in a vector
    gain: float

    @abstractmethod
    def payloads(self) -> list[Payload]:
        """Return what is held out as what is compressed."""

    @abstractmethod
    def vectors(self, parts: list[Any]) -> Tensor:
        """Return the vectors of some of `train` or `test`, shape (number, dimension), float32."""

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw training vectors, shape (count, dimension)."""
        vectors = self.vectors(self.train)
        chosen = torch.randint(len(vectors), (count,), generator=generator, device=generator.device)
        return vectors.to(generator.device)[chosen]

    def held_out(self, count: int, generator: torch.Generator) -> Tensor:
        """Return every held-out vector, shape (number, dimension)."""
        return self.vectors(self.test).to(generator.device)

    def training_set(self, count: int, generator: torch.Generator) -> Tensor:
        """Return training vectors, `count` at most, in their order."""
        vectors = self.vectors(self.train)
        return vectors[:: -(-len(vectors) // count)].to(generator.device)

    def rescale(self, offset: float | list[float], gain: float) -> None:
        """Take out another offset and gain than those of its own training vectors."""
        self.offset, self.gain = offset, gain
        self.__dict__.pop("covariance", None)
