"""The checkerboard lattices and their duals."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ltc.errors import InputError
from ltc.lattices.base import TrellisLattice

__all__ = ["Dn", "DnDual"]


class Dn(TrellisLattice):
    """The checkerboard lattice D_n: integer vectors with an even sum.

    Arguments:
        dimension: n, at least 2.

    Raises:
        InputError: `dimension` is less than 2.

    Example:
        >>> Dn(4).trellis.states
        [1, 2, 2, 2, 1]
    """

    name = "dn"

    def __init__(self, dimension: int = 4) -> None:
        if dimension < 2:
            raise InputError(f"D_n needs a dimension of at least 2; got {dimension}")
        basis = np.eye(dimension, dtype=np.int64) + np.eye(dimension, k=1, dtype=np.int64)
        basis[-1, -1] = 2
        super().__init__(basis)


class DnDual(TrellisLattice):
    """The dual lattice D_n*: integer vectors, and integer vectors plus (1/2, ..., 1/2).

    D_3* is the body-centred cubic lattice; D_4* is a rotated D_4.

    Arguments:
        dimension: n, at least 2.

    Raises:
        InputError: `dimension` is less than 2.

    Example:
        >>> DnDual(4).trellis.states
        [1, 2, 2, 2, 1]
    """

    name = "dn_dual"

    def __init__(self, dimension: int = 4) -> None:
        if dimension < 2:
            raise InputError(f"D_n* needs a dimension of at least 2; got {dimension}")
        basis = 2 * np.eye(dimension, dtype=np.int64)
        basis[0] = 1
        super().__init__(basis)
        if dimension == 4:  # similar to D_4
            self.second_moment = 13 / (120 * 2**0.5)
        # In our units the integer vectors are the multiples of this length.
        self._length = self.trellis.sections[0].step

    def _closest_point(self, x: Tensor) -> Tensor:
        x = x / self._length
        integer = torch.round(x)
        half = torch.floor(x) + 0.5
        nearer = (x - integer).square().sum(-1) <= (x - half).square().sum(-1)
        return torch.where(nearer.unsqueeze(-1), integer, half) * self._length
