"""Lattices, the trellises that describe them, and what is computed on those."""

from ltc.lattices.a2 import A2
from ltc.lattices.base import Lattice, TrellisLattice
from ltc.lattices.dn import Dn, DnDual
from ltc.lattices.e8 import E8
from ltc.lattices.trellis import Section, Trellis, hermite_normal_form
from ltc.lattices.zn import Zn

__all__ = [
    "A2",
    "E8",
    "Dn",
    "DnDual",
    "Lattice",
    "Section",
    "Trellis",
    "TrellisLattice",
    "Zn",
    "hermite_normal_form",
]
