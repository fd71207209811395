"""Lattices, the trellises that describe them, and what is computed on those."""

from ltc.lattices.backend import force_backend
from ltc.lattices.base import Lattice, TrellisLattice
from ltc.lattices.families.an import A2, A11Coxeter, An, AnDual
from ltc.lattices.families.bw16 import BW16
from ltc.lattices.families.convolutional import Convolutional
from ltc.lattices.families.dn import D10Plus, Dn, DnDual
from ltc.lattices.families.en import E6, E7, E8, E6Dual, E7Dual
from ltc.lattices.families.generator import GeneratorLattice
from ltc.lattices.families.glued import AE9, D6D6, E6E6, Glued13, Glued14
from ltc.lattices.families.k12 import K12
from ltc.lattices.families.laminated import LaminatedDual
from ltc.lattices.families.leech import Leech
from ltc.lattices.families.zn import Zn
from ltc.lattices.trellis import Section, Trellis, hermite_normal_form

__all__ = [
    "A2",
    "AE9",
    "BW16",
    "D6D6",
    "E6",
    "E6E6",
    "E7",
    "E8",
    "K12",
    "A11Coxeter",
    "An",
    "AnDual",
    "Convolutional",
    "D10Plus",
    "Dn",
    "DnDual",
    "E6Dual",
    "E7Dual",
    "GeneratorLattice",
    "Glued13",
    "Glued14",
    "LaminatedDual",
    "Lattice",
    "Leech",
    "Section",
    "Trellis",
    "TrellisLattice",
    "Zn",
    "force_backend",
    "hermite_normal_form",
]
