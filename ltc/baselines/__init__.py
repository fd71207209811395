"""Classical quantizers, to compare with: scalar, vector and trellis-coded."""

from ltc.baselines.bitshift import BitshiftQuantizer, mad1, three_inst
from ltc.baselines.measured import BASELINES, scalar_baseline, vector_baseline
from ltc.baselines.scalar import ScalarQuantizer, ecsq
from ltc.baselines.trellis import TrellisCodedQuantizer
from ltc.baselines.vector import VectorQuantizer

__all__ = [
    "BASELINES",
    "BitshiftQuantizer",
    "ScalarQuantizer",
    "TrellisCodedQuantizer",
    "VectorQuantizer",
    "ecsq",
    "mad1",
    "scalar_baseline",
    "three_inst",
    "vector_baseline",
]
