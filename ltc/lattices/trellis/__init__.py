"""Trellises: what they are, the minimal ones of lattices, and the recursions over them."""

from ltc.lattices.trellis.structure import Section, Trellis, hermite_normal_form

__all__ = ["Section", "Trellis", "hermite_normal_form"]
