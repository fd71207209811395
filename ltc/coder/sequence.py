"""Sequences of source vectors through a coder, as lattice vectors in the order of a bitstream.

A lattice of one dimension takes a sequence in blocks. A trellis that repeats without end takes it
as one path for each channel: what a code then calls a lattice vector is one position, a coordinate
of each path.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import pad

from ltc.coder.coder import LatticeTransformCoder
from ltc.coder.fixed_size import fit_to_size, gain

__all__ = [
    "LONGEST",
    "decode",
    "encode",
    "longest",
    "piece",
    "unit",
    "vector_bits",
    "vectors_of_unit",
]

# Latent scalars of paths that go on without a new start. A start in a known state costs a few bits.
LONGEST = 1 << 20


def unit(coder: LatticeTransformCoder) -> int:
    """Return of how many source vectors a sequence has to be a multiple."""
    return coder.layout.block if coder.endless is None else coder.transform.stride


def vectors_of_unit(coder: LatticeTransformCoder) -> int:
    """Return how many lattice vectors `encode` makes of a `unit`."""
    return coder.layout.repeats if coder.endless is None else 1


def longest(coder: LatticeTransformCoder) -> int | None:
    """Return the source vectors after which paths start anew; None where there are blocks."""
    if coder.endless is None:
        return None
    return max(1, LONGEST // len(coder.layout.channel)) * coder.transform.stride


def piece(coder: LatticeTransformCoder, dimension: int, scalars: int) -> int:
    """Return how many source vectors of a sequence are coded at once, a multiple of `unit`.

    A whole path, which a transform that overlaps has to get in the same pieces each way; or blocks.

    Arguments:
        coder: the coder.
        dimension: scalars per source vector, d.
        scalars: that blocks hold at most, unless one alone holds more.
    """
    block = coder.layout.block
    return longest(coder) or block * max(1, scalars // (block * dimension))


@torch.no_grad()
def encode(
    coder: LatticeTransformCoder, x: Tensor, lengths: Callable[[Tensor], Tensor] | None = None
) -> Tensor:
    """Return the lattice vectors of a sequence.

    Arguments:
        coder: the coder.
        x: source vectors, shape (number, d); a multiple of `unit`.
        lengths: of the streams of lattice vectors, see `ltc.codec.Code.lengths`: where the coder
            has a `size`, vectors fit into it; None: as if it had none.

    Returns:
        Lattice units, shape (count, rows, n); with an endless trellis (positions of the latent,
        channels, 1); of a coder with a `size` (count, rows, n + 1), of which the last coordinate
        is the index of the vector's gain, the same in all rows.
    """
    if coder.endless is None:
        blocks = x.unflatten(0, (-1, coder.layout.block))
        if coder.size is None:
            return coder.encode(blocks).flatten(0, 1)
        if lengths is None:
            return pad(coder.encode(blocks), (0, 1)).flatten(0, 1)
        return fit_to_size(coder, blocks, lengths, coder.size).flatten(0, 1)
    with coder.of_length(len(x) // coder.transform.stride):
        return coder.layout.join(coder.encode(x[None]))[0].unsqueeze(-1)


@torch.no_grad()
def decode(coder: LatticeTransformCoder, points: Tensor) -> Tensor:
    """Return the reconstruction of a sequence, shape (number, d), from what `encode` returned."""
    if coder.endless is None:
        points = points.unflatten(0, (-1, coder.layout.repeats))
        if coder.size is None:
            return coder.decode(points).flatten(0, 1)
        return coder.decode(points[..., :-1], gain(coder, points[..., :1, -1:])).flatten(0, 1)
    with coder.of_length(len(points)):
        return coder.decode(coder.layout.split(points[None].squeeze(-1)))[0]


@torch.no_grad()
def vector_bits(coder: LatticeTransformCoder, points: Tensor) -> Tensor:
    """Return the code length of each lattice vector that `encode` returned, shape (count,)."""
    if coder.size is not None:
        return points.new_full((len(points),), coder.size, dtype=torch.float64)
    section = coder.endless
    if section is None:
        return coder.vector_bits(points).double().sum(-1)
    with coder.of_length(len(points)):
        paths = coder.layout.split(points[None].squeeze(-1))
        return coder.entropy.bits_along(paths, coder.table(paths), section).sum((0, 1, 2))
