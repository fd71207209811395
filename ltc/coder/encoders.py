"""Rate-distortion optimised encoding: the point that minimises rate + lmbda * distortion.

The code length is additive along the trellis up to a constant, and so is the squared error of a
synthesis with orthogonal columns: Viterbi with the metric `weight * error - log2 f` finds the
best point.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ltc.entropy import EntropyModel

__all__ = ["mean_derivative", "rate_distortion_optimised"]


@torch.no_grad()
def rate_distortion_optimised(
    vectors: Tensor,
    weight: Tensor,
    entropy: EntropyModel,
    reconstruct: Callable[[Tensor], Tensor],
) -> Tensor:
    """Return the points of least rate + weighted squared error.

    Of each coset the nearest point and its two neighbours are compared.

    Arguments:
        vectors: what the reconstruction points are to come near, lattice units, shape
            (..., rows, n).
        weight: bits that a squared error of one costs, for each coordinate, shape (rows, n).
        entropy: an exact entropy model: `-log2 p` is additive along its trellis.
        reconstruct: returns the reconstruction points of lattice points, shape (..., rows, n).

    Returns:
        Points, lattice units, shape of `vectors`.

    Example: at a high price of error it is the nearest point, at a low one the most likely.
        >>> from ltc.entropy import Exact
        >>> from ltc.lattices import Zn
        >>> model = Exact(Zn(), torch.tensor([[0]]))
        >>> def choose(weight: float) -> float:
        ...     x, price = torch.tensor([[[0.6]]]), torch.tensor([[weight]])
        ...     return float(rate_distortion_optimised(x, price, model, lambda points: points))
        >>> [choose(100.0), choose(0.1)]
        [1.0, 0.0]
    """
    trellis = entropy.trellis
    assert trellis is not None
    wanted = vectors.unsqueeze(-1)
    weight = weight.unsqueeze(-1)
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
        error = reconstruct(points).movedim(0, -1) - wanted
        price = weight * error.square() - log_density.movedim(0, -1) / math.log(2)
        if cost is None or integer is None:
            cost, integer = price, nearest
        else:
            integer = torch.where(price < cost, nearest + neighbour, integer)
            cost = torch.minimum(price, cost)
    assert cost is not None
    assert integer is not None
    path = trellis.shortest_path(cost.masked_fill(missing, math.inf).flatten(0, -4))
    chosen = path.reshape(vectors.shape).unsqueeze(-1)
    # In double precision, as the decoder of the bitstream does: the same to the last place.
    exact_offset = torch.as_tensor(trellis.offset, device=vectors.device).expand(*integer.shape)
    exact_step = torch.as_tensor(trellis.step, device=vectors.device)
    points = exact_offset.gather(-1, chosen) + exact_step.unsqueeze(-1) * integer.gather(-1, chosen)
    return points.squeeze(-1).to(vectors.dtype)


@torch.no_grad()
def mean_derivative(function: Callable[[Tensor], Tensor], x: Tensor, count: int = 64) -> Tensor:
    """Return the mean derivative of a transform at some of its inputs.

    Arguments:
        function: maps vectors, shape (inputs,), to vectors, shape (outputs,).
        x: inputs, shape (batch, positions, inputs).
        count: how many of them are used.

    Returns:
        The matrix of partial derivatives, shape (outputs, inputs).

    Example:
        >>> mean_derivative(lambda x: 2 * x, torch.zeros(1, 5, 1))
        tensor([[2.]])
    """
    vectors = x.flatten(0, 1)  # neighbours may resemble each other
    samples = vectors[:: max(1, len(vectors) // count)][:count]
    mean: Tensor = torch.func.vmap(torch.func.jacrev(function))(samples).mean(0)
    return mean.detach()
