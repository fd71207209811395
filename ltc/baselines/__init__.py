"""Classical quantizers, to compare with: scalar and vector."""

from ltc.baselines.measured import BASELINES, scalar_baseline, vector_baseline
from ltc.baselines.scalar import ScalarQuantizer, ecsq
from ltc.baselines.vector import VectorQuantizer

__all__ = [
    "BASELINES",
    "ScalarQuantizer",
    "VectorQuantizer",
    "ecsq",
    "scalar_baseline",
    "vector_baseline",
]
