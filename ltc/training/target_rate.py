"""The weight of the distortion at which a coder has the rate that is asked for."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ltc.coder import LatticeTransformCoder

__all__ = ["aim", "initialise_at_rate"]

# Bits per scalar that are near enough, and steps towards them at most.
NEAR, STEPS = 0.005, 12
# Scalars that tell how far it is at the start.
SCALARS = 1 << 17


@torch.no_grad()
def aim(coder: LatticeTransformCoder, rate: float, rescale: bool = False) -> bool:
    """Change the coder's lmbda to where its rate should be the quantizer's.

    Four times the lmbda, with half the scale, is one bit more at high rate and in theory.

    Arguments:
        coder: changed in place.
        rate: what it is now, bits per scalar.
        rescale: whether the scale, if it is learned, is changed, too. At one scale even nearest
            points have a rate that no lmbda exceeds; but it moves away from what was trained.

    Returns:
        Whether it was far from there.
    """
    assert coder.quantizer.rate is not None
    missing = coder.quantizer.rate - rate
    step = 2.0 ** max(-2.0, min(missing, 2.0))
    coder.lmbda *= step**2
    if rescale and coder.quantizer.log_scale.requires_grad:
        coder.quantizer.log_scale.sub_(math.log(step))
        coder.entropy.shrink(coder.quantizer.log_scale.new_tensor([1 / step]))
    return abs(missing) > NEAR


@torch.no_grad()
def initialise_at_rate(coder: LatticeTransformCoder, samples: Tensor) -> None:
    """Initialise a coder, and change its lmbda to where it then has the quantizer's rate.

    Arguments:
        coder: changed in place.
        samples: training blocks, shape (count, *positions, d).
    """
    some = samples[: max(16, SCALARS // samples[0].numel())]
    for _ in range(STEPS):
        coder.initialise(some)
        points = coder.quantizer.quantize(coder.vectors(some))
        if not aim(coder, float(coder.bits(points).double().mean()) / some[0].numel()):
            break
    coder.initialise(samples)
