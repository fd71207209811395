"""The code length of fixed-rate codes."""

import math

import torch
from torch import Tensor

from ltc.entropy.base import EntropyModel
from ltc.lattices import Lattice

__all__ = ["FixedRate"]


class FixedRate(EntropyModel):
    """Equal code lengths: all codewords of a nested lattice are equally likely.

    Arguments:
        lattice: the fine lattice.
        channel: the channel of each coordinate, shape (rows, n); all have the same rate.
        ratio: what the fine lattice is multiplied by to give the coarse one.

    Example:
        >>> from ltc.lattices import E8
        >>> channel = torch.arange(8)[None]
        >>> FixedRate(E8(), channel, ratio=4).bits(torch.zeros(2, 1, 8), channel)
        tensor([[16.],
                [16.]], dtype=torch.float64)
    """

    def __init__(self, lattice: Lattice, channel: Tensor, ratio: int) -> None:
        super().__init__()
        self.bits_per_vector = lattice.dimension * math.log2(ratio)

    def bits(self, points: Tensor, table: Tensor, dither: Tensor | None = None) -> Tensor:
        """Return n log2(ratio) for each of the points, shape (..., rows, n) to (..., rows)."""
        return points.new_full(points.shape[:-1], self.bits_per_vector, dtype=torch.float64)

    def initialise(self, vectors: Tensor, table: Tensor) -> None:
        """Do nothing: there is nothing to learn."""
