"""The weight of the distortion at which a coder has the rate that is asked for."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ltc.coder import LatticeTransformCoder
from ltc.coder.fixed_size import GAIN_BITS
from ltc.errors import InputError

__all__ = ["NEAR", "STEPS", "TargetRate", "initialise_at_rate"]

# Bits per scalar that are near enough, and steps towards them at most.
NEAR, STEPS = 0.005, 12
# Scalars that tell how far it is at the start.
SCALARS = 1 << 17


class TargetRate:
    """Steps of a coder's lmbda towards where its vectors have on average the size they are to take.

    Attributes:
        missing: bits per scalar, at the last step.

    Arguments:
        coder: changed in place; every lattice vector has a size, of which some bits are its gain's.
    """

    def __init__(self, coder: LatticeTransformCoder) -> None:
        assert coder.quantizer.rate is not None
        assert coder.size is not None
        self.coder = coder
        self.rate = coder.quantizer.rate * (1 - GAIN_BITS / coder.size)
        self.missing = 0.0
        self.share = 1.0

    @torch.no_grad()
    def step(self, rate: float, rescale: bool = False) -> bool:
        """Change lmbda.

        Of squared error four times the lmbda, with half the scale, is one bit more at high rate
        and in theory. Where that went too far, further steps are half as long.

        Arguments:
            rate: what it is now, bits per scalar.
            rescale: whether the scale, if it is learned, is changed, too. At one scale even nearest
                points have a rate that no lmbda exceeds; but it moves away from what was trained.

        Returns:
            Whether it was far from there.
        """
        coder = self.coder
        before, self.missing = self.missing, self.rate - rate
        self.share /= 2 if before * self.missing < 0 else 1
        step = 2.0 ** max(-2.0, min(self.share * self.missing, 2.0))
        coder.lmbda *= step**coder.distortion.power
        if rescale and coder.quantizer.log_scale.requires_grad:
            coder.quantizer.log_scale.sub_(math.log(step))
            coder.entropy.shrink(coder.quantizer.log_scale.new_tensor([1 / step]))
        return abs(self.missing) > NEAR


@torch.no_grad()
def initialise_at_rate(coder: LatticeTransformCoder, samples: Tensor) -> None:
    """Initialise a coder, and change its lmbda to where it then has the quantizer's rate.

    It is not lowered to where cells are larger than those that a coder is initialised with.

    Arguments:
        coder: changed in place.
        samples: training blocks, shape (count, *positions, d).

    Raises:
        InputError: it never has.
    """
    some = samples[: max(16, SCALARS // samples[0].numel())]
    target, power = TargetRate(coder), coder.distortion.power
    largest = coder.largest_error(some)
    for _ in range(STEPS):
        try:
            coder.initialise(some)
            points = coder.quantizer.quantize(coder.vectors(some))
            rate = float(coder.bits(points).double().mean()) / some[0].numel()
        except OverflowError as error:  # the lattice became finer and finer
            raise InputError(
                f"quantizer.rate={coder.quantizer.rate:g} is more than this source takes at any "
                "distortion; use a smaller rate"
            ) from error
        far = target.step(rate)
        cells = coder.distortion.cell_error(coder.lmbda)
        coder.lmbda *= max(1.0, cells / largest) ** (power / 2)
        if not far:
            break
    coder.initialise(samples)
