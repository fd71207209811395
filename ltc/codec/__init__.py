"""Real bytes: lattice points as a bitstream, and the file that holds it."""

from ltc.codec.code import LatticeCode
from ltc.codec.container import Container

__all__ = ["Container", "LatticeCode"]
