"""The lattice of Coxeter and Todd."""

import numpy as np

from ltc.lattices.base import TrellisLattice
from ltc.lattices.families.eisenstein import OMEGA, ONE, UNIT, ZERO, integer_generators

__all__ = ["K12"]

BAR = (-1, -1)  # w^2, the conjugate of w
# The [6, 3, 4] hexacode over the field with four elements, the Eisenstein integers modulo 2.
HEXACODE = [
    [ONE, ZERO, ZERO, ONE, BAR, OMEGA],
    [ZERO, ONE, ZERO, ONE, OMEGA, BAR],
    [ZERO, ZERO, ONE, ONE, ONE, ONE],
]


class K12(TrellisLattice):
    """The Coxeter-Todd lattice K12: six Eisenstein integers, a hexacode word modulo 2.

    The best known quantizer in twelve dimensions that is a classical lattice. Facts: Conway and
    Sloane, *Sphere Packings, Lattices and Groups*, chapter 4, section 9; second moment: Dutour
    Sikiric, Schuermann and Vallentin, *Complexity and algorithms for computing Voronoi cells of
    lattices*, Math. Comp. 78, 2009.

    Example:
        >>> K12().trellis.branches
        504
    """

    name = "k12"
    second_moment = 797361941 / (6567561000 * 3**0.5)
    minimal_norm = 4 / 3**0.5
    kissing_number = 756
    covering_radius = (8 / 3**1.5) ** 0.5

    def __init__(self) -> None:
        twice = 2 * np.einsum("ij,k->ijk", np.eye(6, dtype=np.int64), np.array(ONE))
        generators = np.concatenate([np.array(HEXACODE), twice])
        super().__init__(integer_generators(generators), np.tile(UNIT, 6))
