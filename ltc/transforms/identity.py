"""No transform."""

from __future__ import annotations

from torch import Tensor

from ltc.distortion import Distortion
from ltc.transforms.base import Transform

__all__ = ["Identity"]


class Identity(Transform):
    """The latent is the source vector: what a lattice does by itself.

    Arguments:
        dimension: scalars per source vector, d.

    Example:
        >>> import torch
        >>> Identity(2).analysis(torch.ones(2))
        tensor([1., 1.])
    """

    by_vector = True

    def __init__(self, dimension: int) -> None:
        super().__init__(dimension)

    def analysis(self, x: Tensor) -> Tensor:
        """Return blocks as they are, shape (..., d)."""
        return x

    def sensitivity(self, x: Tensor, distortion: Distortion) -> Tensor:
        """Return what an error of one costs, shape (d,): the same in each coordinate."""
        return distortion.cost(x.new_ones(self.dimension))

    def synthesis(self, y: Tensor) -> Tensor:
        """Return latents as they are, shape (..., d)."""
        return y
