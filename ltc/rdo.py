"""Rate-distortion optimised encoding: the point that minimises rate + lmbda * distortion.

The code length is additive along the trellis up to a constant, and so is the squared error of a
synthesis with orthogonal columns: Viterbi with the metric `lmbda * error - log2 f` finds the
best point. The entropy model and the synthesis are then refitted to what the encoder produces,
in turn, as in the generalised Lloyd algorithm of Chou, Lookabaugh and Gray (*Entropy-constrained
vector quantization*, IEEE Trans. Acoust. Speech Signal Process. 37, 1989).
"""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ltc.entropy import Exact

if TYPE_CHECKING:
    from ltc.model import LatticeTransformCoder

__all__ = ["encode", "refine"]


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
    wanted, jacobian = _wanted(model, x)
    vectors = wanted.unsqueeze(-1)
    weight = model.lmbda * (jacobian.square().sum(0) * scale**2)[entropy.channel].unsqueeze(-1)
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


def _wanted(model: LatticeTransformCoder, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the vectors that the synthesis would want for blocks, and its mean derivative.

    Lattice units, unquantized, shape (batch, repeats, rows, n): the least-squares solution for
    an affine synthesis, otherwise those of the analysis. The derivative has shape (d, k).
    """
    latent = model.transform.analysis(x)
    jacobian = _mean_jacobian(model, latent)
    if model.transform.affine:
        error = x - model.transform.synthesis(latent)
        latent = latent + error @ torch.linalg.pinv(jacobian).T
    return model.layout.split(latent / model.quantizer.scale), jacobian


def _mean_jacobian(model: LatticeTransformCoder, latent: Tensor, count: int = 64) -> Tensor:
    """Return the mean derivative of the synthesis at some latents, shape (d, k)."""
    samples = latent.flatten(0, 1)[:count]
    mean: Tensor = torch.func.vmap(torch.func.jacrev(model.transform.synthesis))(samples).mean(0)
    return mean.detach()


def refine(model: LatticeTransformCoder, blocks: Tensor, rounds: int = 40) -> list[float]:
    """Refit the entropy model, the synthesis and the reconstruction points to the encoder.

    In turn with encoding, until the Lagrangian falls by less than 1e-4 bits. What the optimised
    encoder ends in depends on where it starts. With `rdo` it is tried, on a part of the samples,
    from what was trained; from reconstruction points that share zero, where the lattice has
    them; and, where nothing but a collapse to sending next to nothing came out, from a finer
    lattice. The best goes on.

    Arguments:
        model: a trained coder with an exact entropy model; changed in place.
        blocks: training samples, shape (count, block, d); the last eighth judges what the others
            were used to fit.
        rounds: rounds at most.

    Returns:
        The Lagrangian, bits per scalar, at the start of each round.
    """
    if model.quantizer.rdo:
        _choose_start(model, blocks, rounds)
    return _alternate(model, blocks, rounds)


def _choose_start(model: LatticeTransformCoder, blocks: Tensor, rounds: int) -> None:
    lattice = model.quantizer.lattice
    model.use(lattice.surrogate)
    trained = copy.deepcopy(model.state_dict())
    part = blocks[: max(16, len(blocks) // 4)]
    nothing_sent = model.lmbda * float(blocks.flatten(0, 1).var(0, correction=0).mean())
    lowest, best = math.inf, trained
    for start in ("trained", "shared zero", "finer"):
        if start == "shared zero" and lattice.with_shared_zero(torch.zeros(1)) is None:
            continue
        learned = model.quantizer.log_scale.requires_grad
        if start == "finer" and not (learned and lowest > 0.9 * nothing_sent):
            continue
        model.load_state_dict(trained)
        try:
            if start != "trained":
                _restart(model, part, start == "shared zero")
            _alternate(model, part, rounds)
            lagrangian = _lagrangian(model, _encode(model, blocks), blocks)
        except OverflowError:  # a line search went astray
            continue
        if lagrangian < lowest:
            lowest, best = lagrangian, copy.deepcopy(model.state_dict())
    model.load_state_dict(best)
    model.use(lattice)


@torch.no_grad()
def _restart(model: LatticeTransformCoder, blocks: Tensor, shared_zero: bool) -> None:
    """Start from reconstruction points that share zero, or as if the source were sent finely."""
    if not shared_zero:
        model.quantizer.log_scale.add_(math.log(0.85))
    vectors = model.vectors(blocks)
    model.entropy.initialise(vectors.flatten(0, 1))
    if shared_zero:
        assert model.shift is not None
        points = model.shift.points
        values = model.quantizer.lattice.with_shared_zero(points)
        assert values is not None
        model.shift.value.copy_(values - points)
    else:
        with torch.enable_grad():
            _fit(model, model.quantizer.quantize(vectors), blocks)


def _alternate(model: LatticeTransformCoder, blocks: Tensor, rounds: int) -> list[float]:
    best = copy.deepcopy(model.state_dict())
    judges = max(1, len(blocks) // 8)
    lagrangians: list[float] = []
    for _ in range(rounds):
        points = _encode(model, blocks)
        lagrangian = _lagrangian(model, points[-judges:], blocks[-judges:])
        falling = not lagrangians or lagrangian < min(lagrangians) - 1e-4
        if not lagrangians or lagrangian < min(lagrangians):
            best = copy.deepcopy(model.state_dict())
        lagrangians.append(lagrangian)
        if not falling:
            break
        try:
            _fit(model, points[:-judges], blocks[:-judges])
        except OverflowError:  # a line search went astray
            break
    model.load_state_dict(best)
    return lagrangians


@torch.no_grad()
def _encode(model: LatticeTransformCoder, blocks: Tensor) -> Tensor:
    """Return the points of blocks, a part at a time."""
    parts = blocks.split(max(1, (1 << 17) // blocks[0].numel()))
    return torch.cat([model.encode(part) for part in parts])


@torch.no_grad()
def _lagrangian(model: LatticeTransformCoder, points: Tensor, blocks: Tensor) -> float:
    """Return rate + lmbda * distortion of points that stand for blocks, bits per scalar."""
    rate = float(model.bits(points).double().mean()) / blocks[0].numel()
    distortion = float((model.decode(points) - blocks).double().square().mean())
    return rate + model.lmbda * distortion


def _fit(model: LatticeTransformCoder, points: Tensor, blocks: Tensor) -> None:
    """Refit reconstruction points, synthesis and entropy model to points that stand for blocks."""
    assert isinstance(model.entropy, Exact)
    if model.shift is not None:
        with torch.no_grad():
            wanted, _ = _wanted(model, blocks)
            model.shift.fit_mean(points, model.entropy.row, wanted - points)
    with torch.no_grad():
        latents = model.layout.join(model.reconstruct(points)) * model.quantizer.scale
    model.transform.fit_synthesis(latents.flatten(0, 1), blocks.flatten(0, 1))
    # The gradient of log Z is how often each coset is used, and the surrogate's are the same.
    lattice = model.quantizer.lattice
    model.use(lattice.surrogate)
    try:
        model.entropy.fit(points)
    finally:
        model.use(lattice)
