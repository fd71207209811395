"""Fit the parts of a coder to the points that its encoder chose."""

from __future__ import annotations

import torch
from torch import Tensor

from ltc.coder import LatticeTransformCoder
from ltc.threads import one_thread

__all__ = ["encode", "fit", "lagrangian"]

# Scalars that are encoded at once.
PIECE = 1 << 17


@torch.no_grad()
def encode(coder: LatticeTransformCoder, blocks: Tensor) -> Tensor:
    """Return the points of blocks, shape (count, *positions, d), a part at a time."""
    parts = blocks.split(max(1, PIECE // blocks[0].numel()))
    return torch.cat([coder.encode(part) for part in parts])


@torch.no_grad()
def lagrangian(coder: LatticeTransformCoder, points: Tensor, blocks: Tensor) -> float:
    """Return rate + lmbda * distortion of points that stand for blocks, bits per scalar."""
    bits = coder.bits(points).double()
    distortion = coder.distortion.cost((coder.decode(points) - blocks).double())
    with one_thread():  # the order of a sum is not the machine's affair
        return float(bits.mean()) / blocks[0].numel() + coder.lmbda * float(distortion.mean())


def fit(coder: LatticeTransformCoder, points: Tensor, blocks: Tensor) -> None:
    """Refit reconstruction points, synthesis and entropy model to points that stand for blocks.

    Arguments:
        coder: changed in place.
        points: lattice units, shape (count, repeats, rows, n).
        blocks: shape (count, *positions, d).

    Raises:
        OverflowError: a line search went astray.
    """
    if coder.shift is not None:
        kinds = coder.entropy.kinds(coder.table(points))
        coder.shift.fit(points, kinds, coder.wanted(blocks) - points, coder.distortion)
    with torch.no_grad():
        latents = coder.latent(points)
    coder.transform.fit_synthesis(latents, blocks, coder.distortion)
    coder.linearise(blocks)
    # The gradient of log Z is how often each coset is used, and the surrogate's are the same.
    with coder.through(coder.quantizer.lattice.surrogate):
        coder.entropy.fit(points, coder.table(points))
