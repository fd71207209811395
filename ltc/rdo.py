"""Rate-distortion optimised encoding: the point that minimises rate + lmbda * distortion.

The code length is additive along the trellis up to a constant, and so is the squared error of a
synthesis with orthogonal columns: Viterbi with the metric `lmbda * error - log2 f` finds the
best point.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ltc.entropy import Exact

if TYPE_CHECKING:
    from ltc.model import LatticeTransformCoder

__all__ = ["encode", "mean_jacobian", "wanted_vectors"]


@torch.no_grad()
def encode(model: LatticeTransformCoder, x: Tensor) -> Tensor:
    """Return the points of least rate + lmbda * distortion.

    Of each coset the nearest point and its two neighbours are compared. For an orthogonal linear
    synthesis their costs are exact; otherwise those of its linearisation with the inner products
    between columns left out.

    Arguments:
        model: a coder with an exact entropy model.
        x: blocks, shape (batch, block, d).

    Returns:
        Lattice units, shape (batch, repeats, rows, n).
    """
    entropy = model.entropy
    assert isinstance(entropy, Exact)
    trellis, scale = entropy.trellis, model.quantizer.scale
    wanted, jacobian = wanted_vectors(model, x)
    vectors = wanted.unsqueeze(-1)
    weight = (jacobian.square().sum(0) * scale**2)[entropy.channel] * model.step.square()
    weight = model.lmbda * weight.unsqueeze(-1)
    offset = torch.as_tensor(trellis.offset, dtype=x.dtype, device=x.device)
    missing = torch.isnan(offset)  # where a section has fewer cosets than others
    offset = offset.nan_to_num(0.0)
    step = torch.as_tensor(trellis.step, dtype=x.dtype, device=x.device).unsqueeze(-1)
    nearest = torch.round((vectors - offset) / step)
    cost = integer = None
    for shift in (0, -1, 1):  # of each coset the nearest point and its neighbours
        candidate = offset + step * (nearest + shift)
        points = candidate.movedim(-1, 0)
        log_density = entropy.log_density(points, entropy.row)
        error = model.reconstruct(points).movedim(0, -1) - vectors
        price = weight * error.square() - log_density.movedim(0, -1) / math.log(2)
        if cost is None or integer is None:
            cost, integer = price, nearest
        else:
            integer = torch.where(price < cost, nearest + shift, integer)
            cost = torch.minimum(price, cost)
    assert cost is not None
    assert integer is not None
    path = trellis.shortest_path(cost.masked_fill(missing, math.inf).flatten(0, 2))
    chosen = path.reshape(vectors.shape[:-1]).unsqueeze(-1)
    # In double precision, as the decoder of the bitstream does: the same to the last place.
    exact_offset = torch.as_tensor(trellis.offset, device=x.device).expand(*integer.shape)
    exact_step = torch.as_tensor(trellis.step, device=x.device)
    points = exact_offset.gather(-1, chosen) + exact_step.unsqueeze(-1) * integer.gather(-1, chosen)
    return points.squeeze(-1).to(x.dtype)


def wanted_vectors(model: LatticeTransformCoder, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the vectors that the synthesis would want for blocks, and its mean derivative.

    Lattice units, unquantized, shape (batch, repeats, rows, n): the least-squares solution for
    an affine synthesis, otherwise those of the analysis. The derivative has shape (d, k).
    """
    latent = model.transform.analysis(x)
    jacobian = mean_jacobian(model.transform.synthesis, latent)
    if model.transform.affine:
        error = x - model.transform.synthesis(latent)
        latent = latent + error @ torch.linalg.pinv(jacobian).T
    return model.layout.split(latent / model.quantizer.scale) / model.step, jacobian


def mean_jacobian(function: Callable[[Tensor], Tensor], x: Tensor, count: int = 64) -> Tensor:
    """Return the mean derivative of a transform at some of its inputs, shape (outputs, inputs)."""
    vectors = x.flatten(0, 1)  # neighbours may resemble each other
    samples = vectors[:: max(1, len(vectors) // count)][:count]
    mean: Tensor = torch.func.vmap(torch.func.jacrev(function))(samples).mean(0)
    return mean.detach()
