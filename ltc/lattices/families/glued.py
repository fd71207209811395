"""Glued lattices: products of root lattices, and cosets of them along glue vectors.

Each factor has a scale of its own. The best scales are where the mean squared error of all
coordinates is the same (Zamir and Feder, *On lattice quantization noise*, IEEE Trans. Inform.
Theory 42, 1996; Agrell and Allen, *On the best lattice quantizers*, there 69, 2023).
"""

import numpy as np
from scipy.linalg import block_diag

from ltc.lattices.base import TrellisLattice
from ltc.lattices.families.an import glue, roots
from ltc.lattices.families.dn import checkerboard
from ltc.lattices.families.eisenstein import ONE, THETA, UNIT, ZERO, integer_generators

__all__ = ["AE9", "D6D6", "E6E6", "Glued13", "Glued14"]


class AE9(TrellisLattice):
    """The lattice of Agrell and Eriksson: layers of D8 and of D8 + (1/2, ..., 1/2) in turn.

    The best known quantizer in nine dimensions: it was found by descent (Agrell and Eriksson,
    *Optimization of lattices for quantization*, IEEE Trans. Inform. Theory 44, 1998). Distance of
    the layers and second moment: Allen and Agrell, *The optimal lattice quantizer in nine
    dimensions*, Annalen der Physik 533, 2021.

    Example:
        >>> AE9().trellis.branches
        58
    """

    name = "ae9"
    second_moment = 0.0716225944
    kissing_number = 2

    def __init__(self) -> None:
        basis = block_diag(2 * checkerboard(8), 2)
        super().__init__(np.vstack([basis, [1] * 9]), [0.5] * 8 + [0.573223794])
        self.minimal_norm = (2 * self._lengths[-1]) ** 2


class D6D6(TrellisLattice):
    """D6 x D6 and its cosets along (s, v) and (v, s), s = (1/2, ..., 1/2), v = (1, 0, ..., 0).

    The best known quantizer in twelve dimensions: Agrell, Pook-Kolb and Allen, *Glued lattices are
    better quantizers than K12*, arXiv 2312.00481, 2024.

    Example:
        >>> D6D6().trellis.branches
        88
    """

    name = "d6_d6"
    second_moment = 0.070034
    minimal_norm = 2.0
    kissing_number = 120

    def __init__(self) -> None:
        s, v = [1] * 6, [2, 0, 0, 0, 0, 0]
        basis = block_diag(2 * checkerboard(6), 2 * checkerboard(6))
        super().__init__(np.vstack([basis, s + v, v + s]))


class E6E6(TrellisLattice):
    """E6 x E6 and its cosets along (g, g), g being a shortest point of E6*.

    Better than K12, and second to D6 x D6: Agrell, Pook-Kolb and Allen, *Glued lattices are better
    quantizers than K12*, arXiv 2312.00481, 2024.

    Example:
        >>> E6E6().trellis.branches
        140
    """

    name = "e6_e6"
    second_moment = 0.070058650
    minimal_norm = 2.0
    kissing_number = 144

    def __init__(self) -> None:
        e6 = integer_generators([(THETA, ZERO, ZERO), (ZERO, THETA, ZERO), (ONE, ONE, ONE)])
        g = integer_generators([(ONE, (-1, 0), ZERO)])
        super().__init__(np.vstack([block_diag(e6, e6), np.hstack([g, g])]), np.tile(UNIT, 6))


class Glued13(TrellisLattice):
    """A7 x Z x D5 and its cosets along ([3], 1/8, s), [3] being glue of A7, s of D5.

    Of the kind of Pook-Kolb, Agrell and Allen, *Parametric lattices are better quantizers in
    dimensions 13 and 14*, arXiv 2411.19250: two parameters, here the lengths of Z and D5 at which
    the error of all coordinates was measured to be the same. The second moment is measured, too
    (`ltc-lattice quantizer=glued13 samples=4e7`), with a standard error of 2e-6.

    Example:
        >>> Glued13().trellis.branches
        212
    """

    name = "glued13"
    second_moment_measured = 0.069697
    kissing_number = 56

    def __init__(self) -> None:
        a7, lengths = roots(7)
        basis = block_diag(a7, 8, 2 * checkerboard(5))
        coset = [*glue(7, 3), 1, *[1] * 5]
        super().__init__(np.vstack([basis, coset]), [*lengths, 0.1792, *[0.5021] * 5])
        self.minimal_norm = (2 * self._lengths[0]) ** 2


class Glued14(TrellisLattice):
    """K10 x D4 and its cosets along (g, v) and (-w g, s), v and s being glue of D4.

    K10 are five Eisenstein integers, a word of the shortened hexacode modulo 2; g = (1, 1, -w^2, 0,
    0). Of the kind of Pook-Kolb, Agrell and Allen, *Parametric lattices are better quantizers in
    dimensions 13 and 14*, arXiv 2411.19250: one parameter, here the length of D4 at which the error
    of all coordinates was measured to be the same. The second moment is measured, too
    (`ltc-lattice quantizer=glued14 samples=2e7`), with a standard error of 2e-6.

    Example:
        >>> Glued14().trellis.branches
        520
    """

    name = "glued14"
    second_moment_measured = 0.069264
    kissing_number = 24

    def __init__(self) -> None:
        u, v = (1, 1), (0, -1)  # -w^2 and its conjugate -w, which is its inverse
        code = [(ONE, v, v, ONE, ZERO), (v, ONE, v, ZERO, ONE)]
        twice = 2 * np.einsum("ij,k->ijk", np.eye(5, dtype=np.int64), np.array(ONE))
        k10 = integer_generators([*code, *twice])
        g, turned = integer_generators([(ONE, ONE, u, ZERO, ZERO), (v, v, ONE, ZERO, ZERO)])[:2]
        basis = block_diag(k10, 2 * checkerboard(4))
        cosets = [[*g, 2, 0, 0, 0], [*turned, 1, 1, 1, 1]]
        super().__init__(np.vstack([basis, cosets]), [*np.tile(UNIT, 5), *[0.6572] * 4])
        self.minimal_norm = 2 * (2 * self._lengths[-1]) ** 2
