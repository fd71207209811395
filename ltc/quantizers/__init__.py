"""Maps from latents to points and back."""

from ltc.quantizers.lattice import LatticeQuantizer, Layout
from ltc.quantizers.nested import NestedQuantizer
from ltc.quantizers.scalar import ScalarQuantizer, ecsq
from ltc.quantizers.vector import VectorQuantizer

__all__ = [
    "LatticeQuantizer",
    "Layout",
    "NestedQuantizer",
    "ScalarQuantizer",
    "VectorQuantizer",
    "ecsq",
]
