"""Where samples come from, each source with its known facts."""

from ltc.sources.base import FiniteSource, Source
from ltc.sources.iid import IIDGaussian, IIDLaplacian, IIDUniform

__all__ = ["FiniteSource", "IIDGaussian", "IIDLaplacian", "IIDUniform", "Source"]
