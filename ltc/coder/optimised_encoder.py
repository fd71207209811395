"""Rate-distortion optimised encoding: the point that minimises rate + lmbda * distortion.

The code length is additive along the trellis up to a constant, and so is the squared error of a
synthesis with orthogonal columns: Viterbi with the metric `lmbda * distortion - log2 f` finds the
best point.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ltc.entropy import EntropyModel, PointTable

__all__ = ["rate_distortion_optimised"]

# Coordinates of a lattice vector that are looked at at once.
PIECE = 1 << 16


@torch.no_grad()
def rate_distortion_optimised(
    vectors: Tensor,
    weight: Tensor,
    entropy: EntropyModel,
    channel: Tensor,
    shift: PointTable | None = None,
    cost: Callable[[Tensor], Tensor] = torch.square,
) -> Tensor:
    """Return the points of least rate + weighted cost of their errors.

    Of each coset the nearest point and its two neighbours are compared. With a context, row after
    row: what a choice does to the tables of later rows is not looked at.

    Arguments:
        vectors: what the reconstruction points are to come near, lattice units, shape
            (..., rows, n).
        weight: bits that an error of cost one is worth, for each coordinate, shape (rows, n) or
            (rows, 1), or (..., rows, 1) of vectors that weigh it differently.
        entropy: an exact entropy model: `-log2 p` is additive along its trellis.
        channel: the channel of each coordinate, shape (rows, n) or (rows, 1).
        shift: how far from each lattice point its reconstruction point lies; None: nowhere.
        cost: what an error costs; convex and homogeneous.

    Returns:
        Points, lattice units, shape of `vectors`.

    Example: at a high price of error it is the nearest point, at a low one the most likely.
        >>> from ltc.entropy import Exact
        >>> from ltc.lattices import Zn
        >>> channel = torch.tensor([[0]])
        >>> model = Exact(Zn(), channel)
        >>> def choose(weight: float) -> float:
        ...     x, price = torch.tensor([[[0.6]]]), torch.tensor([[weight]])
        ...     return float(rate_distortion_optimised(x, price, model, channel))
        >>> [choose(100.0), choose(0.1)]
        [1.0, 0.0]
    """
    trellis = entropy.trellis
    assert trellis is not None

    def geometry(piece: slice, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Return the offsets of the cosets, shape (n, cosets), and their steps, shape (n, 1)."""
        offset, step = (
            torch.tensor(array[piece], dtype=dtype, device=vectors.device)
            for array in (trellis.offset, trellis.step)
        )
        return offset, step.unsqueeze(-1)

    def coset_costs(wanted: Tensor, weight: Tensor, table: Tensor, piece: slice) -> list[Tensor]:
        """Return the least cost in each coset and the integer of its point, (..., n, cosets)."""
        wanted, weight = wanted[..., piece].unsqueeze(-1), _piece(weight, piece).unsqueeze(-1)
        offset, step = geometry(piece, vectors.dtype)
        table, missing = _piece(table, piece), torch.isnan(offset)  # where others have more cosets
        offset = offset.nan_to_num(0.0)
        nearest = torch.round((wanted - offset) / step)
        integer, least = nearest, torch.full_like(nearest, math.inf)
        for neighbour in (0, -1, 1):  # of each coset the nearest point and its neighbours
            candidate = offset + step * (nearest + neighbour)
            points = candidate.movedim(-1, 0)
            log_density = entropy.log_density(points, table).movedim(0, -1)
            if shift is not None:
                candidate = candidate + shift(points, entropy.kinds(table)).movedim(0, -1)
            found = weight * cost(candidate - wanted) - log_density / math.log(2)
            integer = torch.where(found < least, nearest + neighbour, integer)
            least = torch.minimum(found, least)
        return [least.masked_fill(missing, math.inf), integer]

    def best_points(wanted: Tensor, weight: Tensor, table: Tensor) -> Tensor:
        n, size = wanted.shape[-1], max(1, PIECE // wanted.shape[-2])
        pieces = [slice(start, start + size) for start in range(0, n, size)]
        parts = [coset_costs(wanted, weight, table, piece) for piece in pieces]
        costs, integers = zip(*parts, strict=True)
        chosen = trellis.shortest_path(torch.cat(costs, -2)).unsqueeze(-1)
        points = []
        for piece, integer in zip(pieces, integers, strict=True):
            # In double precision, as the decoder of the bitstream does: the same to the last place.
            offset, step = geometry(piece, torch.float64)
            index = chosen[..., piece, :]
            offset = offset.expand_as(integer).gather(-1, index)
            points.append(offset + step * integer.gather(-1, index))
        return torch.cat(points, -2).squeeze(-1).to(vectors.dtype)

    if not entropy.context:
        return best_points(vectors, weight, entropy.table(vectors, channel))
    points = torch.zeros_like(vectors)
    for row in range(len(channel)):
        here = (..., slice(row, row + 1), slice(None))
        points[here] = best_points(
            vectors[here], weight[here], entropy.table(points, channel)[here]
        )
    return points


def _piece(values: Tensor, piece: slice) -> Tensor:
    """Return a piece of values along the last axis, where they are not the same for all."""
    return values[..., piece] if values.shape[-1] > 1 else values
