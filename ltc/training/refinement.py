"""Fit what was trained to what the encoder produces: scales, synthesis and probabilities.

In turn with encoding, as in the generalised Lloyd algorithm of Chou, Lookabaugh and Gray
(*Entropy-constrained vector quantization*, IEEE Trans. Acoust. Speech Signal Process. 37, 1989).
"""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Callable

import torch
from torch import Tensor

from ltc.coder import LatticeTransformCoder
from ltc.training.fitting import PIECE, encode, fit, lagrangian
from ltc.training.starts import STARTS
from ltc.training.target_rate import NEAR, STEPS, TargetRate

__all__ = ["refine"]

log = logging.getLogger("ltc")

# Bits per scalar by which a round has to lower the Lagrangian for another to follow.
LEAST_FALL = 1e-4
# Lattice units: the deviation below which a channel sends next to nothing.
SILENT = 0.5


def refine(
    coder: LatticeTransformCoder,
    blocks: Tensor,
    rounds: int = 40,
    report: Callable[[str], None] = lambda status: None,
) -> list[float]:
    """Refit scales, synthesis, reconstruction points and entropy model to the encoder.

    In turn with encoding, until the Lagrangian falls by less than `LEAST_FALL`. What this ends in
    depends on where it starts: all `STARTS` that suit the coder are tried through the lattice's
    surrogate, on a quarter of the samples, and the best goes on. Where the quantizer has a rate,
    the coder's lmbda is changed until the encoder has it, too.

    Arguments:
        coder: a trained coder with an exact entropy model; changed in place.
        blocks: training samples, shape (count, *positions, d); the last eighth judges what the
            others were used to fit. Of a small finite source both hold the same rows.
        rounds: rounds at most.
        report: gets a line on how far it is, at each round.

    Returns:
        The Lagrangian, bits per scalar, at the start of each round.
    """
    if coder.quantizer.lattice.surrogate is not coder.quantizer.lattice:
        _centre(coder, blocks)
    coder.linearise(blocks)
    with coder.through(coder.quantizer.lattice.surrogate):
        _choose_start(coder, blocks, rounds, report)
    found = _alternate(coder, blocks, rounds, LEAST_FALL, report)
    if coder.quantizer.rate is not None:
        some = blocks[: max(16, PIECE // blocks[0].numel())]
        target = TargetRate(coder)
        for step in range(STEPS):
            bits = coder.bits(encode(coder, some)).detach().double()
            rate = float(bits.mean()) / some[0].numel()
            if not target.step(rate, rescale=step >= 2):
                break
            found = _alternate(coder, blocks, rounds, LEAST_FALL, report)
        if target.missing < -NEAR:
            log.warning(
                "quantizer.rate=%g is %.3f bits per scalar less than this source needs through "
                "this quantizer: most blocks are cut; use a larger rate",
                coder.quantizer.rate,
                -target.missing,
            )
    return found


@torch.no_grad()
def _centre(coder: LatticeTransformCoder, blocks: Tensor) -> None:
    """Let the lattice's origin lie at the median of each channel that sends next to nothing.

    That all values are the same is a point of every lattice, if they are zero; another constant,
    where a bias of the analysis may have put them, is one of the surrogate only. Channels that
    send something stay where they are: a nonlinear analysis has learned where cells lie.
    """
    some = blocks[:: math.ceil(blocks.numel() / PIECE)]
    latents = coder.transform.analysis(some).flatten(0, -2)
    silent = latents.std(0) < SILENT * coder.quantizer.scale
    origin = torch.where(silent, latents.median(0).values, coder.origin)
    coder.entropy.move((coder.origin - origin) / coder.quantizer.scale)
    coder.origin.copy_(origin)


def _choose_start(
    coder: LatticeTransformCoder, blocks: Tensor, rounds: int, report: Callable[[str], None]
) -> None:
    starts = [start for start in STARTS if start.suits(coder)]
    if len(starts) == 1:
        return
    trained = copy.deepcopy(coder.state_dict())
    part = blocks[: max(16, len(blocks) // 4)]
    scalars = blocks.flatten(0, -2)
    nothing_sent = coder.lmbda * float(
        coder.distortion.cost(scalars - coder.distortion.centre(scalars)).mean()
    )
    lowest, best = math.inf, trained
    # Nearest points stay what they are: what comes after the first rounds is Adam's progress on a
    # nonlinear synthesis, which tells little of a start.
    least_fall = LEAST_FALL if coder.quantizer.rdo else 10 * LEAST_FALL
    for start in starts:
        if start.last_resort and lowest < 0.9 * nothing_sent:
            continue
        coder.load_state_dict(trained)
        try:
            start.prepare(coder, part)
            _alternate(coder, part, rounds, least_fall, _prefixed(report, start.name))
            found = lagrangian(coder, encode(coder, blocks), blocks)
        except OverflowError:  # a line search went astray
            continue
        if found < lowest:
            lowest, best = found, copy.deepcopy(coder.state_dict())
    coder.load_state_dict(best)


def _prefixed(report: Callable[[str], None], name: str) -> Callable[[str], None]:
    return lambda status: report(f"{name}, {status}")


def _alternate(
    coder: LatticeTransformCoder,
    blocks: Tensor,
    rounds: int,
    least_fall: float,
    report: Callable[[str], None],
) -> list[float]:
    """Encode and refit in turn from where a coder stands, as `refine` does in the end."""
    best = copy.deepcopy(coder.state_dict())
    judges = max(1, len(blocks) // 8)
    lagrangians: list[float] = []
    for _ in range(rounds):
        if coder.quantizer.rdo or not lagrangians:  # the nearest points stay what they are
            points = encode(coder, blocks)
        found = lagrangian(coder, points[-judges:], blocks[-judges:])
        falling = not lagrangians or found < min(lagrangians) - least_fall
        if not lagrangians or found < min(lagrangians):
            best = copy.deepcopy(coder.state_dict())
        lagrangians.append(found)
        report(f"round {len(lagrangians)}: rate + lmbda * distortion {found:.4f}")
        if not falling:
            break
        try:
            fit(coder, points[:-judges], blocks[:-judges])
        except OverflowError:  # a line search went astray
            break
    coder.load_state_dict(best)
    return lagrangians
