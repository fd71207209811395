"""Rate-distortion optimised encoding: the point that minimises rate + lmbda * distortion.

The code length is additive along the trellis up to a constant, and so is the squared error of a
synthesis with orthogonal columns: Viterbi with the metric `lmbda * error - log2 f` finds the
best point. The entropy model and the synthesis are then refitted to what the encoder produces,
in turn, as in the generalised Lloyd algorithm of Chou, Lookabaugh and Gray (*Entropy-constrained
vector quantization*, IEEE Trans. Acoust. Speech Signal Process. 37, 1989).
"""

from __future__ import annotations

import copy
import logging
import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ltc.entropy import Exact

if TYPE_CHECKING:
    from ltc.model import LatticeTransformCoder

__all__ = ["encode", "refine"]

log = logging.getLogger("ltc")


@torch.no_grad()
def encode(model: LatticeTransformCoder, x: Tensor) -> Tensor:
    """Return the points of least rate + lmbda * distortion.

    Exact for an orthogonal linear synthesis; otherwise for its linearisation with the inner
    products between columns left out.

    Arguments:
        model: a coder with an exact entropy model.
        x: blocks, shape (batch, block, d).

    Returns:
        Lattice units, shape (batch, repeats, rows, n).
    """
    entropy = model.entropy
    assert isinstance(entropy, Exact)
    trellis, scale = entropy.trellis, model.quantizer.scale
    latent = model.transform.analysis(x)
    jacobian = _mean_jacobian(model, latent)
    # Where the synthesis would want the latent, unquantized: a Gauss-Newton step.
    error = x - model.transform.synthesis(latent)
    latent = latent + error @ torch.linalg.pinv(jacobian).T
    vectors = model.layout.split(latent / scale).unsqueeze(-1)
    weight = model.lmbda * (jacobian.square().sum(0) * scale**2)[entropy.channel].unsqueeze(-1)
    offset = torch.as_tensor(trellis.offset, dtype=x.dtype, device=x.device)
    step = torch.as_tensor(trellis.step, dtype=x.dtype, device=x.device).unsqueeze(-1)
    nearest = torch.round((vectors - offset) / step)
    cost = integer = None
    for shift in (0, -1, 1):  # of each coset the nearest point and its neighbours
        candidate = offset + step * (nearest + shift)
        log_density = entropy.density.log_density(candidate.movedim(-1, 0), entropy.channel)
        price = weight * (candidate - vectors).square() - log_density.movedim(0, -1) / math.log(2)
        if cost is None or integer is None:
            cost, integer = price, nearest
        else:
            integer = torch.where(price < cost, nearest + shift, integer)
            cost = torch.minimum(price, cost)
    assert cost is not None
    assert integer is not None
    path = trellis.shortest_path(cost.nan_to_num(nan=math.inf).flatten(0, 2))
    chosen = path.reshape(vectors.shape[:-1]).unsqueeze(-1)
    # In double precision, as the decoder of the bitstream does: the same to the last place.
    exact_offset = torch.as_tensor(trellis.offset, device=x.device).expand(*integer.shape)
    exact_step = torch.as_tensor(trellis.step, device=x.device)
    points = exact_offset.gather(-1, chosen) + exact_step.unsqueeze(-1) * integer.gather(-1, chosen)
    return points.squeeze(-1).to(x.dtype)


def _mean_jacobian(model: LatticeTransformCoder, latent: Tensor, count: int = 64) -> Tensor:
    """Return the mean derivative of the synthesis at some latents, shape (d, k)."""
    samples = latent.flatten(0, 1)[:count]
    mean: Tensor = torch.func.vmap(torch.func.jacrev(model.transform.synthesis))(samples).mean(0)
    return mean.detach()


def refine(model: LatticeTransformCoder, blocks: Tensor, rounds: int = 20) -> list[float]:
    """Refit the entropy model and the synthesis to what the encoder produces, in turn.

    Stops when the Lagrangian falls by less than 1e-4 bits and leaves the best parameters. From a
    coarse lattice the optimised encoder can fall into sending nothing: where what it reaches is
    little better than that, it starts once more from a finer one.

    Arguments:
        model: a trained coder with an exact entropy model; changed in place.
        blocks: training samples, shape (count, block, d).
        rounds: rounds at most.

    Returns:
        The Lagrangian, bits per scalar, at the start of each round.
    """
    lagrangians = _alternate(model, blocks, rounds)
    variance = blocks.flatten(0, 1).double().var(0, correction=0).mean()
    nothing_sent = model.lmbda * float(variance)
    learned = model.quantizer.log_scale.requires_grad
    if model.quantizer.rdo and learned and min(lagrangians) > 0.9 * nothing_sent:
        best = copy.deepcopy(model.state_dict())
        with torch.no_grad():
            model.quantizer.log_scale.add_(math.log(0.85))
            # As if the source were sent: what the collapsed encoder left says nothing.
            vectors = model.vectors(blocks)
            model.entropy.initialise(vectors.flatten(0, 1))
        _fit(model, model.quantizer.quantize(vectors), blocks)
        again = _alternate(model, blocks, rounds)
        if min(again) > min(lagrangians):
            model.load_state_dict(best)
        lagrangians += again
    return lagrangians


def _alternate(model: LatticeTransformCoder, blocks: Tensor, rounds: int) -> list[float]:
    best = copy.deepcopy(model.state_dict())
    lagrangians: list[float] = []
    for _ in range(rounds):
        with torch.no_grad():
            parts = blocks.split(max(1, (1 << 17) // blocks[0].numel()))
            points = torch.cat([model.encode(part) for part in parts])
            rate = float(model.bits(points).double().mean()) / blocks[0].numel()
            distortion = float((model.decode(points) - blocks).double().square().mean())
        lagrangian = rate + model.lmbda * distortion
        falling = not lagrangians or lagrangian < min(lagrangians) - 1e-4
        if not lagrangians or lagrangian < min(lagrangians):
            best = copy.deepcopy(model.state_dict())
        lagrangians.append(lagrangian)
        if not falling:
            break
        try:
            _fit(model, points, blocks)
        except OverflowError:  # a line search went astray
            break
    model.load_state_dict(best)
    return lagrangians


def _fit(model: LatticeTransformCoder, points: Tensor, blocks: Tensor) -> None:
    """Refit the synthesis and the entropy model to the points that stand for blocks."""
    assert isinstance(model.entropy, Exact)
    latents = model.layout.join(points).flatten(0, 1) * model.quantizer.scale.detach()
    model.transform.fit_synthesis(latents, blocks.flatten(0, 1))
    # The gradient of log Z is how often each coset is used, and the surrogate's are the same.
    lattice = model.quantizer.lattice
    model.use(lattice.surrogate)
    model.entropy.fit(points)
    model.use(lattice)
