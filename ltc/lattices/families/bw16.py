"""The lattice of Barnes and Wall in sixteen dimensions."""

import numpy as np

from ltc.lattices.base import TrellisLattice

__all__ = ["BW16"]


class BW16(TrellisLattice):
    """The Barnes-Wall lattice BW16: the 32 cosets of 2 D16 given by the code RM(1, 4).

    Facts: Conway and Sloane, *Sphere Packings, Lattices and Groups*, chapter 4, section 10;
    second moment: Pook-Kolb, Agrell and Allen, *The Voronoi region of the Barnes-Wall lattice
    Lambda16*, IEEE J. Sel. Areas Inform. Theory 4, 2023.

    Example:
        >>> BW16().trellis.branches
        680
    """

    name = "bw16"
    second_moment = 207049815983 / 4287303820800 * 2**0.5
    minimal_norm = 4 / 2**0.5
    kissing_number = 4320
    covering_radius = (3 / 2**0.5) ** 0.5

    def __init__(self) -> None:
        # The numbers 0 to 15 in binary as columns, and all ones, generate RM(1, 4).
        code = [[1] * 16, *[[i >> bit & 1 for i in range(16)] for bit in (3, 2, 1, 0)]]
        pairs = np.eye(16, dtype=np.int64) + np.eye(16, k=1, dtype=np.int64)
        super().__init__(np.vstack([code, 2 * pairs[:-1], 4 * np.eye(16, dtype=np.int64)]))
