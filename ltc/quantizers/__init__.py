"""Maps from latents to points and back."""

from ltc.quantizers.lattice import LatticeQuantizer, Layout
from ltc.quantizers.nested import NestedQuantizer

__all__ = ["LatticeQuantizer", "Layout", "NestedQuantizer"]
