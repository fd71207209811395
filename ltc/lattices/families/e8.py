"""The lattice of Gosset, the best known quantizer in eight dimensions."""

import numpy as np

from ltc.lattices.base import TrellisLattice

__all__ = ["E8"]

# The extended Hamming code [8, 4, 4] as the Reed-Muller code RM(1, 3): the columns are the
# numbers 0 to 7 in binary, and in this order its trellis is the smallest.
HAMMING = [
    [1, 1, 1, 1, 1, 1, 1, 1],
    [0, 0, 0, 0, 1, 1, 1, 1],
    [0, 0, 1, 1, 0, 0, 1, 1],
    [0, 1, 0, 1, 0, 1, 0, 1],
]


class E8(TrellisLattice):
    """The lattice E8: 2Z^8 plus the [8, 4, 4] extended Hamming code (construction A).

    Facts: Conway and Sloane, *Sphere Packings, Lattices and Groups*, chapter 4, section 8.1;
    second moment: chapter 21, theorem 7.

    Example:
        >>> import torch
        >>> E8().closest_point(torch.full((8,), 0.6)).square().sum().round()
        tensor(4.)
    """

    name = "e8"
    second_moment = 929 / 12960
    minimal_norm = 2.0
    kissing_number = 240
    covering_radius = 1.0

    def __init__(self) -> None:
        super().__init__(np.vstack([HAMMING, 2 * np.eye(8, dtype=np.int64)]))
