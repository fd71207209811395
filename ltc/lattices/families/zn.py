"""The integers: rounding, the quantizer of nearly all neural codecs."""

import numpy as np
import torch
from torch import Tensor

from ltc.checks import integer
from ltc.lattices.base import TrellisLattice

__all__ = ["Zn"]


class Zn(TrellisLattice):
    """The integer lattice Z^n.

    Arguments:
        dimension: n; a product of copies of Z is Z^n, so 1 serves for every latent.

    Raises:
        InputError: `dimension` is not a positive integer.

    Example:
        >>> import torch
        >>> Zn().closest_point(torch.tensor([[0.4], [1.7]])).flatten()
        tensor([0., 2.])
    """

    name = "scalar"
    second_moment = 1 / 12
    minimal_norm = 1.0

    def __init__(self, dimension: int = 1) -> None:
        n = integer("quantizer.dimension", dimension)
        super().__init__(np.eye(n, dtype=np.int64))
        self.kissing_number = 2 * n
        self.covering_radius = n**0.5 / 2

    def _closest_point(self, x: Tensor) -> Tensor:
        return torch.round(x)
