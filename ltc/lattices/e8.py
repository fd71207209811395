"""The lattice of Gosset, the best known quantizer in eight dimensions."""

from __future__ import annotations

import numpy as np

from ltc.lattices.base import TrellisLattice

__all__ = ["E8"]


class E8(TrellisLattice):
    """The lattice E8: 2Z^8 plus the [8, 4, 4] extended Hamming code (construction A).

    Volume 1, minimal norm 2, kissing number 240 (Conway and Sloane, *Sphere Packings, Lattices
    and Groups*, chapter 4, section 8.1).

    Example:
        >>> import torch
        >>> E8().closest_point(torch.full((8,), 0.6)).square().sum().round()
        tensor(4.)
    """

    name = "e8"
    second_moment = 929 / 12960

    def __init__(self) -> None:
        code = np.array(
            [
                [1, 1, 1, 1, 0, 0, 0, 0],
                [0, 0, 1, 1, 1, 1, 0, 0],
                [0, 0, 0, 0, 1, 1, 1, 1],
                [0, 1, 0, 1, 0, 1, 0, 1],
            ]
        )
        even = 2 * np.eye(8, dtype=np.int64)[[3, 5, 6, 7]]
        super().__init__(np.vstack([code, even]))
