"""Where samples come from, each source with its known facts."""

from ltc.sources.banana import Banana
from ltc.sources.base import FiniteSource, Source
from ltc.sources.correlated_vector import CorrelatedVector
from ltc.sources.iid import IIDGaussian, IIDLaplacian, IIDUniform

__all__ = [
    "Banana",
    "CorrelatedVector",
    "FiniteSource",
    "IIDGaussian",
    "IIDLaplacian",
    "IIDUniform",
    "Source",
]
