"""Rate-distortion optimised encoding: the point that minimises rate + lmbda * distortion.

The code length is additive along the trellis up to a constant, and so is the squared error of a
synthesis with orthogonal columns: Viterbi with the metric `lmbda * distortion - log2 f` finds the
best point.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ltc.entropy import EntropyModel

__all__ = ["rate_distortion_optimised"]


@torch.no_grad()
def rate_distortion_optimised(
    vectors: Tensor,
    price: Callable[[Tensor], Tensor],
    entropy: EntropyModel,
    reconstruct: Callable[[Tensor], Tensor],
) -> Tensor:
    """Return the points of least rate + price of their errors.

    Of each coset the nearest point and its two neighbours are compared.

    Arguments:
        vectors: what the reconstruction points are to come near, lattice units, shape
            (..., rows, n).
        price: returns the bits that errors are worth, shape (..., rows, n) in and out; convex.
        entropy: an exact entropy model: `-log2 p` is additive along its trellis.
        reconstruct: returns the reconstruction points of lattice points, shape (..., rows, n).

    Returns:
        Points, lattice units, shape of `vectors`.

    Example: at a high price of error it is the nearest point, at a low one the most likely.
        >>> from ltc.entropy import Exact
        >>> from ltc.lattices import Zn
        >>> model = Exact(Zn(), torch.tensor([[0]]))
        >>> def choose(weight: float) -> float:
        ...     def price(error: torch.Tensor) -> torch.Tensor:
        ...         return weight * error**2
        ...
        ...     x = torch.tensor([[[0.6]]])
        ...     return float(rate_distortion_optimised(x, price, model, lambda points: points))
        >>> [choose(100.0), choose(0.1)]
        [1.0, 0.0]
    """
    trellis = entropy.trellis
    assert trellis is not None
    wanted = vectors.unsqueeze(-1)
    offset = torch.as_tensor(trellis.offset, dtype=vectors.dtype, device=vectors.device)
    missing = torch.isnan(offset)  # where a section has fewer cosets than others
    offset = offset.nan_to_num(0.0)
    step = torch.as_tensor(trellis.step, dtype=vectors.dtype, device=vectors.device).unsqueeze(-1)
    nearest = torch.round((wanted - offset) / step)
    cost = integer = None
    for neighbour in (0, -1, 1):  # of each coset the nearest point and its neighbours
        candidate = offset + step * (nearest + neighbour)
        points = candidate.movedim(-1, 0)
        log_density = entropy.log_density(points)
        found = price(reconstruct(points) - vectors) - log_density / math.log(2)
        found = found.movedim(0, -1)
        if cost is None or integer is None:
            cost, integer = found, nearest
        else:
            integer = torch.where(found < cost, nearest + neighbour, integer)
            cost = torch.minimum(found, cost)
    assert cost is not None
    assert integer is not None
    path = trellis.shortest_path(cost.masked_fill(missing, math.inf).flatten(0, -4))
    chosen = path.reshape(vectors.shape).unsqueeze(-1)
    # In double precision, as the decoder of the bitstream does: the same to the last place.
    exact_offset = torch.as_tensor(trellis.offset, device=vectors.device).expand(*integer.shape)
    exact_step = torch.as_tensor(trellis.step, device=vectors.device)
    points = exact_offset.gather(-1, chosen) + exact_step.unsqueeze(-1) * integer.gather(-1, chosen)
    return points.squeeze(-1).to(vectors.dtype)
