"""Batches of blocks to train on."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from ltc.sources import Source

__all__ = ["BlockStream"]


class BlockStream(IterableDataset[Tensor]):
    """Batches of blocks of a source, drawn in large pieces on the training device.

    Arguments:
        source: where the samples come from.
        block: source vectors per block.
        batch: blocks per batch.
        count: number of batches.
        generator: where the randomness comes from.
    """

    def __init__(
        self, source: Source, block: int, batch: int, count: int, generator: torch.Generator
    ) -> None:
        self.source = source
        self.shape = (batch, block, source.dimension)
        self.count = count
        self.generator = generator

    def __iter__(self) -> Iterator[Tensor]:
        """Yield `count` tensors of shape (batch, block, d)."""
        batch, block, dimension = self.shape
        piece = max(1, min(self.count, (1 << 20) // (batch * block * dimension)))
        for start in range(0, self.count, piece):
            number = min(piece, self.count - start)
            samples = self.source.blocks(number * batch, block, self.generator)
            yield from samples.reshape(number, *self.shape)
