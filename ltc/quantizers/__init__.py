"""Maps from latents to points and back."""

from ltc.quantizers.lattice import LatticeQuantizer, Layout

__all__ = ["LatticeQuantizer", "Layout"]
