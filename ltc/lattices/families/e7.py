"""The lattice E7 and its dual."""

import numpy as np

from ltc.lattices.base import TrellisLattice

__all__ = ["E7", "E7Dual"]

# The columns are the numbers 1 to 7 in binary: this generates the [7, 3, 4] simplex code, and
# checks the parities of the [7, 4, 3] Hamming code.
SIMPLEX = [[0, 0, 0, 1, 1, 1, 1], [0, 1, 1, 0, 0, 1, 1], [1, 0, 1, 0, 1, 0, 1]]
HAMMING = [*SIMPLEX, [1, 1, 1, 1, 1, 1, 1]]


class E7(TrellisLattice):
    """The root lattice E7: 2Z^7 plus the [7, 3, 4] code (construction A).

    Facts: Conway and Sloane, *Sphere Packings, Lattices and Groups*, chapter 4, section 8.2;
    second moment: chapter 21, theorem 8.

    Example:
        >>> E7().trellis.branches
        32
    """

    name = "e7"
    second_moment = 163 / (2016 * 2 ** (1 / 7))
    minimal_norm = 2 / 2 ** (1 / 7)
    kissing_number = 126
    covering_radius = (3 / 2 / 2 ** (1 / 7)) ** 0.5

    def __init__(self) -> None:
        super().__init__(np.vstack([SIMPLEX, 2 * np.eye(7, dtype=np.int64)]))


class E7Dual(TrellisLattice):
    """The dual lattice E7*: 2Z^7 plus the [7, 4, 3] Hamming code (construction A).

    The best known quantizer in seven dimensions. Facts: Conway and Sloane, *Sphere Packings,
    Lattices and Groups*, chapter 4, section 8.2; second moment: Worley, *The Voronoi region of
    E7**, SIAM J. Discrete Math. 1, 1988.

    Example:
        >>> round(E7Dual().second_moment, 9)
        0.073116493
    """

    name = "e7_dual"
    second_moment = 21361 / 322560 * 2 ** (1 / 7)
    minimal_norm = 3 / 2 * 2 ** (1 / 7)
    kissing_number = 56
    covering_radius = (7 / 8 * 2 ** (1 / 7)) ** 0.5

    def __init__(self) -> None:
        super().__init__(np.vstack([HAMMING, 2 * np.eye(7, dtype=np.int64)]))
