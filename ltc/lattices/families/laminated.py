"""The duals of the laminated lattices in 15 and in 17 to 23 dimensions."""

import numpy as np

from ltc.checks import choice
from ltc.lattices.base import TrellisLattice
from ltc.lattices.families.leech import leech_generators

__all__ = ["LaminatedDual"]

SINGLE = [[i] for i in range(24)]
# Where the Leech lattice is projected: groups of coordinates, in each of which the projection
# goes to the diagonal; coordinates in no group are left out. The first eight carry a word of the
# Golay code; what is projected away there is, from 23 dimensions down, A1, A2, A3, D4, D5, E6, E7,
# and in 15 dimensions E8 and one coordinate more. Then the minimal norm, where that of the Leech
# lattice is 4, the kissing number, and the second moment that
# `ltc-lattice quantizer=lambda23_dual samples=1e7` measures, with standard errors up to 3e-6.
LAMINATED = {
    15: (SINGLE[9:], 3 / 2, 280, 0.068871),
    17: ([[0, 1, 2, 3, 4, 5, 6, 7], *SINGLE[8:]], 1, 2, 0.068138),
    18: ([[0, 1], [2, 3, 4, 5, 6, 7], *SINGLE[8:]], 4 / 3, 6, 0.067865),
    19: (SINGLE[5:], 3 / 2, 8, 0.06759),
    20: (SINGLE[4:], 2, 120, 0.067253),
    21: (SINGLE[3:], 2, 42, 0.066962),
    22: ([[0, 1, 2], *SINGLE[3:]], 8 / 3, 1782, 0.0666),
    23: ([[0, 1], *SINGLE[2:]], 3, 4600, 0.066227),
}


class LaminatedDual(TrellisLattice):
    """The dual of the laminated lattice Lambda_n: the Leech lattice, projected to n dimensions.

    The Leech lattice is its own dual, and Lambda_n are its points in a subspace: what is projected
    to that is the dual (Conway and Sloane, *Sphere Packings, Lattices and Groups*, chapter 6). The
    best quantizers that we know in these dimensions, by our own measurement.

    Arguments:
        dimension: n, 15 or 17 to 23. In 16 dimensions it is `BW16`.

    Raises:
        InputError: `dimension` is another one.

    Example:
        >>> LaminatedDual(20).trellis.branches
        1592
    """

    def __init__(self, dimension: int = 23) -> None:
        n = choice("quantizer.dimension", dimension, LAMINATED)
        self.name = f"lambda{n}_dual"
        generators = leech_generators()
        groups, norm, self.kissing_number, self.second_moment_measured = LAMINATED[n]
        projected = np.stack([generators[:, group].sum(1) for group in groups], 1)
        super().__init__(projected, [len(group) ** -0.5 for group in groups])
        # The coordinates of the Leech lattice are integers at the norm 32.
        self.minimal_norm = 8 * norm * self._lengths[-1] ** 2
