"""Analysis, lattice points, synthesis: a coder, which knows nothing of its training."""

from ltc.coder import sequence
from ltc.coder.coder import LatticeTransformCoder
from ltc.coder.optimised_encoder import rate_distortion_optimised

__all__ = ["LatticeTransformCoder", "rate_distortion_optimised", "sequence"]
