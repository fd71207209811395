"""Fit what was trained to what the encoder produces: step sizes, synthesis and probabilities.

In turn with encoding, as in the generalised Lloyd algorithm of Chou, Lookabaugh and Gray
(*Entropy-constrained vector quantization*, IEEE Trans. Acoust. Speech Signal Process. 37, 1989).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import torch
from torch import Tensor

from ltc.coder import LatticeTransformCoder, mean_derivative

__all__ = ["refine"]


def refine(
    coder: LatticeTransformCoder,
    blocks: Tensor,
    rounds: int = 40,
    report: Callable[[str], None] = lambda status: None,
) -> list[float]:
    """Refit step sizes, synthesis, reconstruction points and entropy model to the encoder.

    In turn with encoding, until the Lagrangian falls by less than 1e-4 bits. What this ends in
    depends on where it starts. It is tried through the lattice's surrogate from what was trained
    and, if the scale is learned, from steps of their own for each row; with `rdo` also from
    reconstruction points that share zero, where the lattice has them, once as likely as the
    source is at their lattice points and once as it is at zero, and, where nothing but a collapse
    to sending next to nothing came out, from a finer lattice. The best goes on. A quarter of the
    samples has to do for the trials.

    Arguments:
        coder: a trained coder with an exact entropy model; changed in place.
        blocks: training samples, shape (count, block, d); the last eighth judges what the others
            were used to fit. Of a small finite source both hold the same rows.
        rounds: rounds at most.
        report: gets a line on how far it is, at each round.

    Returns:
        The Lagrangian, bits per scalar, at the start of each round.
    """
    coder.linearise(blocks)
    with coder.through(coder.quantizer.lattice.surrogate):
        _choose_start(coder, blocks, rounds, report)
    return _alternate(coder, blocks, rounds, report)


def _choose_start(
    coder: LatticeTransformCoder, blocks: Tensor, rounds: int, report: Callable[[str], None]
) -> None:
    optimised, learned = coder.quantizer.rdo, coder.quantizer.log_scale.requires_grad
    starts: list[Callable[[LatticeTransformCoder, Tensor], None]] = [_as_trained]
    if learned:
        starts.append(_fit_steps)
    if optimised and coder.quantizer.lattice.with_shared_zero(blocks[0, 0]) is not None:
        starts += [_share_zero, _share_zero_and_mass]
    if optimised and learned:
        starts.append(_use_finer_steps)
    if len(starts) == 1:
        return
    trained = copy.deepcopy(coder.state_dict())
    part = blocks[: max(16, len(blocks) // 4)]
    nothing_sent = coder.lmbda * float(blocks.flatten(0, 1).var(0, correction=0).mean())
    lowest, best = math.inf, trained
    for start in starts:
        if start is _use_finer_steps and lowest < 0.9 * nothing_sent:
            continue
        coder.load_state_dict(trained)
        try:
            start(coder, part)
            _alternate(coder, part, rounds, _prefixed(report, start.__name__))
            lagrangian = _lagrangian(coder, _encode(coder, blocks), blocks)
        except OverflowError:  # a line search went astray
            continue
        if lagrangian < lowest:
            lowest, best = lagrangian, copy.deepcopy(coder.state_dict())
    coder.load_state_dict(best)


def _prefixed(report: Callable[[str], None], name: str) -> Callable[[str], None]:
    return lambda status: report(f"{name.strip('_').replace('_', ' ')}, {status}")


def _as_trained(coder: LatticeTransformCoder, blocks: Tensor) -> None:
    """Start from what was trained."""


@torch.no_grad()
def _share_zero(coder: LatticeTransformCoder, blocks: Tensor) -> None:
    """Start from reconstruction points that share zero."""
    vectors = coder.vectors(blocks)
    coder.entropy.initialise(vectors, coder.table(vectors))
    assert coder.shift is not None
    points = coder.shift.points
    values = coder.quantizer.lattice.with_shared_zero(points)
    assert values is not None
    coder.shift.value.copy_(values - points)


@torch.no_grad()
def _share_zero_and_mass(coder: LatticeTransformCoder, blocks: Tensor) -> None:
    """Start from reconstruction points that share zero, each as likely as what it stands for."""
    _share_zero(coder, blocks)
    assert coder.shift is not None
    coder.entropy.as_likely_as(coder.shift.points + coder.shift.value)


def _use_finer_steps(coder: LatticeTransformCoder, blocks: Tensor) -> None:
    """Start as if the source were sent finely."""
    with torch.no_grad():
        coder.quantizer.log_scale.add_(math.log(0.85))
        vectors = coder.vectors(blocks)
        coder.entropy.initialise(vectors, coder.table(vectors))
    _fit(coder, coder.quantizer.quantize(vectors), blocks)


@torch.no_grad()
def _fit_steps(coder: LatticeTransformCoder, blocks: Tensor) -> None:
    """Choose the step size of each row of lattice vectors for its rate + lmbda * distortion.

    The straight-through gradient is blind to the zero that most of a channel of low rate rounds
    to, and leaves the steps too small. The rows are searched side by side, each with a gain of
    its own, as if the synthesis inverted the analysis and kept their errors apart; of a nonlinear
    analysis the mean derivative stands for it. What an encoder with `rdo` goes on from is fitted to
    nearest points, than which it can only choose better.
    """
    channel = coder.layout.channel
    synthesis = torch.linalg.pinv(mean_derivative(coder.transform.analysis, blocks))
    weight = coder.lmbda * (synthesis * coder.quantizer.scale).square().sum(0)[channel]
    for exponents in (torch.arange(-4, 9) / 4, torch.arange(-3, 4) / 16):
        factors = 2 ** exponents.to(coder.step)
        vectors, trained = coder.vectors(blocks), copy.deepcopy(coder.entropy.state_dict())
        costs = []
        for factor in factors:
            points = coder.quantizer.quantize(vectors / factor)
            coder.entropy.load_state_dict(trained)
            coder.entropy.shrink(factor[None])
            try:
                with torch.enable_grad():
                    coder.entropy.fit(points, coder.table(points))
            except OverflowError:  # a line search went astray
                costs.append(torch.full_like(weight[:, 0], math.inf))
                continue
            rate = coder.entropy.bits(points, coder.table(points)).mean((0, 1))
            gain = (points * vectors).sum((0, 1, 3)) / points.square().sum((0, 1, 3))
            error = gain.nan_to_num()[:, None] * points - vectors
            costs.append(rate + (weight * (coder.step * error).square().mean((0, 1))).sum(1))
        cost = torch.stack(costs).nan_to_num(math.inf)
        if cost.isinf().all(0).any():
            raise OverflowError("no step size has a cost")
        best = factors[cost.argmin(0)]
        coder.entropy.load_state_dict(trained)
        coder.step.mul_(best[:, None])
        of_channel = torch.ones(int(channel.max()) + 1).to(best)
        of_channel[channel] = best[:, None]
        coder.entropy.shrink(of_channel)
    with torch.enable_grad():
        _fit(coder, coder.quantizer.quantize(coder.vectors(blocks)), blocks)


def _alternate(
    coder: LatticeTransformCoder, blocks: Tensor, rounds: int, report: Callable[[str], None]
) -> list[float]:
    """Encode and refit in turn from where a coder stands, as `refine` does in the end."""
    best = copy.deepcopy(coder.state_dict())
    judges = max(1, len(blocks) // 8)
    lagrangians: list[float] = []
    for _ in range(rounds):
        points = _encode(coder, blocks)
        lagrangian = _lagrangian(coder, points[-judges:], blocks[-judges:])
        falling = not lagrangians or lagrangian < min(lagrangians) - 1e-4
        if not lagrangians or lagrangian < min(lagrangians):
            best = copy.deepcopy(coder.state_dict())
        lagrangians.append(lagrangian)
        report(f"round {len(lagrangians)}: rate + lmbda * distortion {lagrangian:.4f}")
        if not falling:
            break
        try:
            _fit(coder, points[:-judges], blocks[:-judges])
        except OverflowError:  # a line search went astray
            break
    coder.load_state_dict(best)
    return lagrangians


@torch.no_grad()
def _encode(coder: LatticeTransformCoder, blocks: Tensor) -> Tensor:
    """Return the points of blocks, a part at a time."""
    parts = blocks.split(max(1, (1 << 17) // blocks[0].numel()))
    return torch.cat([coder.encode(part) for part in parts])


@torch.no_grad()
def _lagrangian(coder: LatticeTransformCoder, points: Tensor, blocks: Tensor) -> float:
    """Return rate + lmbda * distortion of points that stand for blocks, bits per scalar."""
    rate = float(coder.bits(points).double().mean()) / blocks[0].numel()
    distortion = float((coder.decode(points) - blocks).double().square().mean())
    return rate + coder.lmbda * distortion


def _fit(coder: LatticeTransformCoder, points: Tensor, blocks: Tensor) -> None:
    """Refit reconstruction points, synthesis and entropy model to points that stand for blocks."""
    if coder.shift is not None:
        kinds = coder.entropy.kinds(coder.table(points))
        coder.shift.fit_mean(points, kinds, coder.wanted(blocks) - points)
    with torch.no_grad():
        latents = coder.latent(points)
    coder.transform.fit_synthesis(latents.flatten(0, 1), blocks.flatten(0, 1))
    coder.linearise(blocks)
    # The gradient of log Z is how often each coset is used, and the surrogate's are the same.
    with coder.through(coder.quantizer.lattice.surrogate):
        coder.entropy.fit(points, coder.table(points))
