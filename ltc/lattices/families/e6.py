"""The lattice E6 and its dual."""

import numpy as np

from ltc.lattices.base import TrellisLattice
from ltc.lattices.families.eisenstein import ONE, THETA, UNIT, ZERO, integer_generators

__all__ = ["E6", "E6Dual"]


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
