"""Rate-distortion functions: Shannon's limit, bracketed."""

from ltc.bounds.certified import CertifiedBlahutArimoto
from ltc.bounds.curve import Bracket, RateDistortion
from ltc.bounds.gaussian import ReverseWaterFilling
from ltc.bounds.select import bound_for

__all__ = [
    "Bracket",
    "CertifiedBlahutArimoto",
    "RateDistortion",
    "ReverseWaterFilling",
    "bound_for",
]
