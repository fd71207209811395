"""No transform."""

from __future__ import annotations

from torch import Tensor

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

    def __init__(self, dimension: int) -> None:
        super().__init__(dimension)

    def analysis(self, x: Tensor) -> Tensor:
        """Return blocks as they are, shape (..., d)."""
        return x

    def synthesis(self, y: Tensor) -> Tensor:
        """Return latents as they are, shape (..., d)."""
        return y
