"""Batches of blocks to train on."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from ltc.sources import Source

__all__ = ["BlockStream"]

# Scalars that are drawn at once.
PIECE = 1 << 20


class BlockStream(IterableDataset[Tensor]):
    """Batches of blocks of a source, drawn in large pieces on the training device.

    Arguments:
        source: where the samples come from.
        block: source vectors per block.
        batch: blocks per batch.
        count: number of batches.
        mixed: whether the vectors of a block come from anywhere in the source, as is best for the
            gradient wherever their order plays no part: neighbours of a finite source resemble
            each other. False: they follow each other as the source sends them.
        generator: returns where the randomness of the piece of a number comes from.
        first: the batch to begin with: those before it are what a run had that goes on.
        part: the blocks of each batch that are wanted.

    Example:
        >>> from ltc.sources import IIDGaussian
        >>> def generator(piece):
        ...     return torch.Generator().manual_seed(piece)
        >>> whole, rest = (BlockStream(IIDGaussian(2), 8, 4, 5, generator, first=k) for k in (0, 3))
        >>> [torch.equal(a, b) for a, b in zip(list(whole)[3:], rest, strict=True)]
        [True, True]
    """

    def __init__(
        self,
        source: Source,
        block: int,
        batch: int,
        count: int,
        generator: Callable[[int], torch.Generator],
        mixed: bool = False,
        first: int = 0,
        part: slice = slice(None),
    ) -> None:
        self.source = source
        self.shape = (batch, block, source.dimension)
        self.count = count
        self.mixed = mixed
        self.generator = generator
        self.first = first
        self.part = part

    def __iter__(self) -> Iterator[Tensor]:
        """Yield the wanted part of (batch, block, d), from the first wanted batch to the last."""
        batch, block, dimension = self.shape
        piece = max(1, min(self.count, PIECE // (batch * block * dimension)))
        for index in range(self.first // piece, -(-self.count // piece)):
            start = index * piece
            number = min(piece, self.count - start)
            shape = (number * batch * block, 1) if self.mixed else (number * batch, block)
            samples = self.source.blocks(*shape, self.generator(index))
            batches = samples.reshape(number, *self.shape)[max(0, self.first - start) :]
            yield from batches[:, self.part]
