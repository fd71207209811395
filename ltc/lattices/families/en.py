"""The root lattices E6, E7 and E8, which is Gosset's, and their duals."""

import numpy as np

from ltc.lattices.base import TrellisLattice
from ltc.lattices.families.eisenstein import ONE, THETA, UNIT, ZERO, integer_generators

__all__ = ["E6", "E7", "E8", "E6Dual", "E7Dual"]

# The columns are the numbers 1 to 7 in binary: this generates the [7, 3, 4] simplex code, and
# checks the parities of the [7, 4, 3] Hamming code.
SIMPLEX = [[0, 0, 0, 1, 1, 1, 1], [0, 1, 1, 0, 0, 1, 1], [1, 0, 1, 0, 1, 0, 1]]
HAMMING_7 = [*SIMPLEX, [1, 1, 1, 1, 1, 1, 1]]
# The extended Hamming code [8, 4, 4] as the Reed-Muller code RM(1, 3): the columns are the
# numbers 0 to 7 in binary, and in this order its trellis is the smallest.
HAMMING = [
    [1, 1, 1, 1, 1, 1, 1, 1],
    [0, 0, 0, 0, 1, 1, 1, 1],
    [0, 0, 1, 1, 0, 0, 1, 1],
    [0, 1, 0, 1, 0, 1, 0, 1],
]


class E6(TrellisLattice):
    """The root lattice E6: three Eisenstein integers that agree modulo theta = sqrt(-3).

    Facts: Conway and Sloane, *Sphere Packings, Lattices and Groups*, chapter 4, section 8.3;
    second moment: chapter 21, theorem 9.

    Example:
        >>> E6().trellis.states
        [1, 6, 3, 6, 3, 2, 1]
    """

    name = "e6"
    second_moment = 5 / (56 * 3 ** (1 / 6))
    minimal_norm = 2 / 3 ** (1 / 6)
    kissing_number = 72
    covering_radius = (4 / 3 / 3 ** (1 / 6)) ** 0.5

    def __init__(self) -> None:
        generators = [(THETA, ZERO, ZERO), (ZERO, THETA, ZERO), (ONE, ONE, ONE)]
        super().__init__(integer_generators(generators), np.tile(UNIT, 3))


class E6Dual(TrellisLattice):
    """The dual lattice E6*: three Eisenstein integers whose sum is a multiple of theta.

    The best known quantizer in six dimensions that is a classical lattice. Facts: Conway and
    Sloane, *Sphere Packings, Lattices and Groups*, chapter 4, section 8.3; second moment:
    Worley, *The Voronoi region of E6**, J. Austral. Math. Soc. A 43, 1987.

    Example:
        >>> round(E6Dual().second_moment, 9)
        0.074243697
    """

    name = "e6_dual"
    second_moment = 12619 / 204120 * 3 ** (1 / 6)
    minimal_norm = 4 / 3 * 3 ** (1 / 6)
    kissing_number = 54
    covering_radius = (2 / 3 * 3 ** (1 / 6)) ** 0.5

    def __init__(self) -> None:
        minus = (-1, 0)
        generators = [(ONE, minus, ZERO), (ZERO, ONE, minus), (ZERO, ZERO, THETA)]
        super().__init__(integer_generators(generators), np.tile(UNIT, 3))


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
        super().__init__(np.vstack([HAMMING_7, 2 * np.eye(7, dtype=np.int64)]))


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
