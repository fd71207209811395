"""What errors of a latent do to the reconstruction."""

from __future__ import annotations

import torch
from torch import Tensor

from ltc.distortion import Distortion
from ltc.transforms import Transform

__all__ = ["sensitivity"]

# Blocks of which the mean is taken, and scalars of them all, if they are long.
BLOCKS, SCALARS = 256, 1 << 18


@torch.no_grad()
def sensitivity(transform: Transform, x: Tensor, distortion: Distortion) -> Tensor:
    """Return what an error of one in each channel of the latent costs in the reconstruction.

    The synthesis moves along the column of its derivative that belongs to a channel at a
    position: the cost of that column, all that it reaches in the block, in the mean over blocks
    and positions.

    Arguments:
        transform: the transform.
        x: blocks, shape (batch, *positions, d), of which some are taken.
        distortion: what an error costs; homogeneous, so that smaller ones cost in proportion.

    Returns:
        Costs, shape (k,).

    Example: of a linear transform and squared error the energy of each column.
        >>> from ltc.distortion import Squared
        >>> from ltc.transforms import Linear
        >>> linear = Linear(3, latent_dimension=2)
        >>> energy = linear.synthesis_map.weight.square().sum(0)
        >>> found = sensitivity(linear, torch.randn(10, 4, 3), Squared())
        >>> torch.allclose(found, energy)
        True
    """
    count = min(BLOCKS, max(4, SCALARS // x[0].numel()))
    latents = transform.analysis(x[:: max(1, len(x) // count)][:count])
    rng = torch.Generator().manual_seed(0)  # the same for the same blocks
    block = torch.arange(len(latents))
    position = torch.randint(latents[0, ..., 0].numel(), (len(latents),), generator=rng)
    costs = []
    for channel in range(latents.shape[-1]):
        error = latents.new_zeros(latents.shape)
        error.flatten(1, -2)[block, position, channel] = 1.0
        column = torch.func.jvp(transform.synthesis, (latents,), (error,))[1]
        costs.append(distortion.cost(column).flatten(1).sum(1).mean())
    return torch.stack(costs)
