"""Where the fit of a coder to its encoder may start from: what it ends in depends on it."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ltc.coder import LatticeTransformCoder
from ltc.training.fitting import fit

__all__ = ["STARTS", "Start"]


class Start(NamedTuple):
    """A state of a coder to start from.

    Attributes:
        name: what it is called.
        suits: tells of a coder whether it makes sense.
        prepare: brings the coder there from what was trained, given training blocks, shape
            (count, *positions, d); an OverflowError says that it leads nowhere.
        last_resort: it is tried only where all others end in sending next to nothing.
    """

    name: str
    suits: Callable[[LatticeTransformCoder], bool]
    prepare: Callable[[LatticeTransformCoder, Tensor], None]
    last_resort: bool = False


def _has_learned_scale(coder: LatticeTransformCoder) -> bool:
    return coder.quantizer.log_scale.requires_grad


def _has_shared_zero(coder: LatticeTransformCoder) -> bool:
    if coder.shift is None:
        return False
    return coder.quantizer.lattice.with_shared_zero(coder.shift.points) is not None


def _may_collapse(coder: LatticeTransformCoder) -> bool:
    return coder.quantizer.rdo and _has_learned_scale(coder)


@torch.no_grad()
def share_zero(coder: LatticeTransformCoder, blocks: Tensor) -> None:
    """Start from reconstruction points that share zero."""
    vectors = coder.vectors(blocks)
    coder.entropy.initialise(vectors, coder.table(vectors))
    assert coder.shift is not None
    points = coder.shift.points
    values = coder.quantizer.lattice.with_shared_zero(points)
    assert values is not None
    coder.shift.value.copy_(values - points)


@torch.no_grad()
def share_zero_and_mass(coder: LatticeTransformCoder, blocks: Tensor) -> None:
    """Start from reconstruction points that share zero, each as likely as what it stands for."""
    share_zero(coder, blocks)
    assert coder.shift is not None
    coder.entropy.as_likely_as(coder.shift.points + coder.shift.value)


def use_finer_lattice(coder: LatticeTransformCoder, blocks: Tensor) -> None:
    """Start as if the source were sent finely."""
    with torch.no_grad():
        coder.quantizer.log_scale.add_(math.log(0.85))
        vectors = coder.vectors(blocks)
        coder.entropy.initialise(vectors, coder.table(vectors))
    fit(coder, coder.quantizer.quantize(vectors), blocks)


@torch.no_grad()
def fit_row_scales(coder: LatticeTransformCoder, blocks: Tensor) -> None:
    """Choose the scale of each row of lattice vectors for its rate + lmbda * distortion.

    The straight-through gradient is blind to the zero that most of a channel of low rate rounds
    to, and leaves the scales too small. The rows are searched side by side, each with a gain of
    its own, as if the synthesis that inverts the analysis best kept their errors apart. What an
    encoder with `rdo` goes on from is fitted to nearest points, than which it can only choose
    better.
    """
    channel = coder.channel
    weight = coder.lmbda * _inverted(coder, blocks)[channel]
    for exponents in (torch.arange(-4, 9) / 4, torch.arange(-3, 4) / 16):
        factors = 2 ** exponents.to(coder.row_scale)
        length = coder.quantizer.scale * coder.row_scale
        vectors, trained = coder.vectors(blocks), copy.deepcopy(coder.entropy.state_dict())
        lagrangians = []
        for factor in factors:
            points = coder.quantizer.quantize(vectors / factor)
            coder.entropy.load_state_dict(trained)
            coder.entropy.shrink(factor[None])
            try:
                with torch.enable_grad():
                    coder.entropy.fit(points, coder.table(points))
            except OverflowError:  # a line search went astray
                lagrangians.append(torch.full_like(weight[:, 0], math.inf))
                continue
            rate = coder.entropy.bits(points, coder.table(points)).mean((0, 1))
            gain = (points * vectors).sum((0, 1, 3)) / points.square().sum((0, 1, 3))
            error = length * (gain.nan_to_num()[:, None] * points - vectors)
            lagrangians.append(rate + (weight * coder.distortion.cost(error).mean((0, 1))).sum(1))
        found = torch.stack(lagrangians).nan_to_num(math.inf)
        if found.isinf().all(0).any():
            raise OverflowError("no scale of a row has a cost")
        best = factors[found.argmin(0)]
        coder.entropy.load_state_dict(trained)
        coder.row_scale.mul_(best[:, None])
        of_channel = torch.ones(int(channel.max()) + 1).to(best)
        of_channel[channel] = best[:, None]
        coder.entropy.shrink(of_channel)
    with torch.enable_grad():
        fit(coder, coder.quantizer.quantize(coder.vectors(blocks)), blocks)


def _inverted(coder: LatticeTransformCoder, blocks: Tensor) -> Tensor:
    """Return the sensitivity of a synthesis that inverts the analysis, shape (k,)."""
    transform = copy.deepcopy(coder.transform)
    with torch.enable_grad():
        latents = transform.analysis(blocks).detach()
        transform.fit_synthesis(latents, blocks, coder.distortion)
    return transform.sensitivity(blocks, coder.distortion)


STARTS = [
    Start("as trained", lambda coder: True, lambda coder, blocks: None),
    Start("scales of rows", _has_learned_scale, fit_row_scales),
    Start("shared zero", _has_shared_zero, share_zero),
    Start("shared zero and mass", _has_shared_zero, share_zero_and_mass),
    Start("finer lattice", _may_collapse, use_finer_lattice, last_resort=True),
]
