"""Fit what was trained to what the encoder produces: step sizes, synthesis and probabilities.

In turn with encoding, as in the generalised Lloyd algorithm of Chou, Lookabaugh and Gray
(*Entropy-constrained vector quantization*, IEEE Trans. Acoust. Speech Signal Process. 37, 1989).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ltc.entropy import Exact
from ltc.rdo import mean_jacobian, wanted_vectors

if TYPE_CHECKING:
    from ltc.model import LatticeTransformCoder

__all__ = ["refine"]


def refine(model: LatticeTransformCoder, blocks: Tensor, rounds: int = 40) -> list[float]:
    """Refit step sizes, synthesis, reconstruction points and entropy model to the encoder.

    In turn with encoding, until the Lagrangian falls by less than 1e-4 bits. What this ends in
    depends on where it starts. It is tried through the lattice's surrogate from what was trained
    and, if the scale is learned, from steps of their own for each row; with `rdo` also from
    reconstruction points that share zero, where the lattice has them, once as likely as the
    source is at their lattice points and once as it is at zero, and, where nothing but a collapse
    to sending next to nothing came out, from a finer lattice. The best goes on. A quarter of the
    samples has to do for the trials.

    Arguments:
        model: a trained coder with an exact entropy model; changed in place.
        blocks: training samples, shape (count, block, d); the last eighth judges what the others
            were used to fit. Of a small finite source both hold the same rows.
        rounds: rounds at most.

    Returns:
        The Lagrangian, bits per scalar, at the start of each round.
    """
    lattice = model.quantizer.lattice
    model.use(lattice.surrogate)
    try:
        _choose_start(model, blocks, rounds)
    finally:
        model.use(lattice)
    return _alternate(model, blocks, rounds)


def _choose_start(model: LatticeTransformCoder, blocks: Tensor, rounds: int) -> None:
    optimised, learned = model.quantizer.rdo, model.quantizer.log_scale.requires_grad
    starts: list[Callable[[LatticeTransformCoder, Tensor], None] | None] = [None]
    if learned:
        starts.append(_fit_steps)
    if optimised and model.quantizer.lattice.with_shared_zero(blocks[0, 0]) is not None:
        starts += [_share_zero, _share_zero_and_mass]
    if optimised and learned:
        starts.append(_use_finer_steps)
    if len(starts) == 1:
        return
    trained = copy.deepcopy(model.state_dict())
    part = blocks[: max(16, len(blocks) // 4)]
    nothing_sent = model.lmbda * float(blocks.flatten(0, 1).var(0, correction=0).mean())
    lowest, best = math.inf, trained
    for start in starts:
        if start is _use_finer_steps and lowest < 0.9 * nothing_sent:
            continue
        model.load_state_dict(trained)
        try:
            if start is not None:
                start(model, part)
            _alternate(model, part, rounds)
            lagrangian = _lagrangian(model, _encode(model, blocks), blocks)
        except OverflowError:  # a line search went astray
            continue
        if lagrangian < lowest:
            lowest, best = lagrangian, copy.deepcopy(model.state_dict())
    model.load_state_dict(best)


@torch.no_grad()
def _share_zero(model: LatticeTransformCoder, blocks: Tensor) -> None:
    """Start from reconstruction points that share zero."""
    model.entropy.initialise(model.vectors(blocks).flatten(0, 1))
    assert model.shift is not None
    points = model.shift.points
    values = model.quantizer.lattice.with_shared_zero(points)
    assert values is not None
    model.shift.value.copy_(values - points)


@torch.no_grad()
def _share_zero_and_mass(model: LatticeTransformCoder, blocks: Tensor) -> None:
    """Start from reconstruction points that share zero, each as likely as what it stands for."""
    _share_zero(model, blocks)
    entropy = model.entropy
    assert isinstance(entropy, Exact)
    assert entropy.correction is not None
    assert model.shift is not None
    points = model.shift.points
    stands_for, smooth = (
        entropy.density.log_density(values.T, entropy.row_channel).T
        for values in (points + model.shift.value, points)
    )
    entropy.correction.value.copy_(stands_for - smooth)


def _use_finer_steps(model: LatticeTransformCoder, blocks: Tensor) -> None:
    """Start as if the source were sent finely."""
    with torch.no_grad():
        model.quantizer.log_scale.add_(math.log(0.85))
        vectors = model.vectors(blocks)
        model.entropy.initialise(vectors.flatten(0, 1))
    _fit(model, model.quantizer.quantize(vectors), blocks)


@torch.no_grad()
def _fit_steps(model: LatticeTransformCoder, blocks: Tensor) -> None:
    """Choose the step size of each row of lattice vectors for its rate + lmbda * distortion.

    The straight-through gradient is blind to the zero that most of a channel of low rate rounds
    to, and leaves the steps too small. The rows are searched side by side, each with a gain of
    its own, as if the synthesis inverted the analysis and kept their errors apart; of a nonlinear
    analysis the mean derivative stands for it. What an encoder with `rdo` goes on from is fitted to
    nearest points, than which it can only choose better.
    """
    assert isinstance(model.entropy, Exact)
    channel = model.layout.channel
    synthesis = torch.linalg.pinv(mean_jacobian(model.transform.analysis, blocks))
    weight = model.lmbda * (synthesis * model.quantizer.scale).square().sum(0)[channel]
    for exponents in (torch.arange(-4, 9) / 4, torch.arange(-3, 4) / 16):
        factors = 2 ** exponents.to(model.step)
        vectors, trained = model.vectors(blocks), copy.deepcopy(model.entropy.state_dict())
        costs = []
        for factor in factors:
            points = model.quantizer.quantize(vectors / factor)
            model.entropy.load_state_dict(trained)
            model.entropy.density.shrink(factor[None])
            try:
                with torch.enable_grad():
                    model.entropy.fit(points)
            except OverflowError:  # a line search went astray
                costs.append(torch.full_like(weight[:, 0], math.inf))
                continue
            rate = model.entropy.bits(points).mean((0, 1))
            gain = (points * vectors).sum((0, 1, 3)) / points.square().sum((0, 1, 3))
            error = gain.nan_to_num()[:, None] * points - vectors
            costs.append(rate + (weight * (model.step * error).square().mean((0, 1))).sum(1))
        cost = torch.stack(costs).nan_to_num(math.inf)
        if cost.isinf().all(0).any():
            raise OverflowError("no step size has a cost")
        best = factors[cost.argmin(0)]
        model.entropy.load_state_dict(trained)
        model.step.mul_(best[:, None])
        of_channel = torch.ones_like(model.entropy.density.mean[:, 0])
        of_channel[channel] = best[:, None]
        model.entropy.density.shrink(of_channel)
    with torch.enable_grad():
        _fit(model, model.quantizer.quantize(model.vectors(blocks)), blocks)


def _alternate(model: LatticeTransformCoder, blocks: Tensor, rounds: int) -> list[float]:
    """Encode and refit in turn from where a coder stands, as `refine` does in the end."""
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
            wanted, _ = wanted_vectors(model, blocks)
            model.shift.fit_mean(points, model.entropy.row, wanted - points)
    with torch.no_grad():
        latents = model.latent(points)
    model.transform.fit_synthesis(latents.flatten(0, 1), blocks.flatten(0, 1))
    # The gradient of log Z is how often each coset is used, and the surrogate's are the same.
    lattice = model.quantizer.lattice
    model.use(lattice.surrogate)
    try:
        model.entropy.fit(points)
    finally:
        model.use(lattice)
