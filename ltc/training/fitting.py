"""Fit the parts of a coder to the points that its encoder chose."""

from __future__ import annotations

import torch
from torch import Tensor

from ltc.coder import LatticeTransformCoder
from ltc.descent import gradient_descent
from ltc.perception import debiased_wasserstein
from ltc.threads import one_thread

__all__ = ["costs", "encode", "fit", "fit_noise", "fit_realism", "lagrangian"]

# Scalars that are encoded at once.
PIECE = 1 << 17
# Of Adam, to fit a synthesis whose reconstruction is to be distributed as the source.
STEPS = 200


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


def costs(
    coder: LatticeTransformCoder, points: Tensor, blocks: Tensor, realism: float, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Return the distortion of points that stand for blocks, and with what realism adds to it.

    Arguments:
        coder: the coder.
        points: lattice units, shape (count, repeats, rows, n).
        blocks: shape (count, *positions, d).
        realism: weight of the squared Wasserstein-2 distance.
        seed: of the directions along which vectors are compared.
    """
    decoded = coder.decode(points)
    distortion = coder.distortion.cost(decoded - blocks).mean()
    if not realism:
        return distortion, distortion
    rng = torch.Generator(blocks.device).manual_seed(seed)
    distance = debiased_wasserstein(blocks.flatten(0, -2), decoded.flatten(0, -2), rng)
    return distortion, distortion + realism * distance


@torch.no_grad()
def fit_noise(coder: LatticeTransformCoder, points: Tensor, vectors: Tensor) -> None:
    """Let the decoder's own noise be what the reconstruction lacks.

    Without shared randomness it is as strong as the error of the best linear estimate of what was
    quantized: as if it were drawn anew, given the points. With b bits per sample shared its power
    is 4^-b of that, and of a Gaussian source R + b bits per sample tell the noisy reconstruction
    from the source, as they should (Saldi, Linder and Yuksel, *Output constrained lossy source
    coding with limited common randomness*, IEEE Trans. Inform. Theory 61, 2015).

    Arguments:
        coder: changed in place; its decoder adds noise.
        points: lattice units, shape (batch, repeats, rows, n).
        vectors: what was quantized, likewise.
    """
    assert coder.noise is not None
    found, wanted = (
        coder.layout.join(values).flatten(0, -2).double()
        for values in (coder.reconstruct(points), vectors)
    )
    found, wanted = found - found.mean(0), wanted - wanted.mean(0)
    power, whole = found.square().mean(0), wanted.square().mean(0)
    missing = whole - (found * wanted).mean(0).square() / power.clamp_min(1e-9)
    missing = missing.clamp_min(0) / 4**coder.quantizer.common_bits
    # A channel that sends nothing is all noise.
    gain = torch.where(power > 1e-6, (whole - missing) / power, 1.0).clamp_min(1e-9)
    cell = coder.quantizer.own_noise(points).double().square().mean()
    coder.noise.copy_((missing / (gain * cell)).sqrt())


def fit_realism(coder: LatticeTransformCoder, blocks: Tensor, realism: float) -> None:
    """Fit the decoder's own noise, and the synthesis to distortion + realism * W2^2.

    A batch of training tells little of a distance between distributions.

    Arguments:
        coder: changed in place.
        blocks: shape (count, *positions, d).
        realism: weight of the squared Wasserstein-2 distance; 0: the synthesis stays as it is.
    """
    points = encode(coder, blocks)
    if coder.noise is not None:
        fit_noise(coder, points, coder.vectors(blocks))
    parameters = [p for p in coder.transform.parameters() if p.requires_grad]
    if not (realism and parameters):
        return
    optimizer = torch.optim.Adam(parameters, lr=1e-3)
    gradient_descent(optimizer, STEPS, lambda step: costs(coder, points, blocks, realism, step)[1])
