"""Trellises: what they are, the minimal ones of lattices, and the recursions over them."""

from ltc.lattices.trellis.minimal import hermite_normal_form
from ltc.lattices.trellis.recursions import Trellis
from ltc.lattices.trellis.stationary import Stationary, stationary
from ltc.lattices.trellis.structure import Section

__all__ = ["Section", "Stationary", "Trellis", "hermite_normal_form", "stationary"]
