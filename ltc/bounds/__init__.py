"""Rate-distortion functions: Shannon's limit, bracketed."""

from ltc.bounds.certified import CertifiedRateDistortion
from ltc.bounds.curve import Bracket, RateDistortion
from ltc.bounds.density import DensityProblem, problem_of_density, problem_of_scalar
from ltc.bounds.discrete import DiscreteProblem
from ltc.bounds.gaussian import ReverseWaterFilling
from ltc.bounds.select import bound_for

__all__ = [
    "Bracket",
    "CertifiedRateDistortion",
    "DensityProblem",
    "DiscreteProblem",
    "RateDistortion",
    "ReverseWaterFilling",
    "bound_for",
    "problem_of_density",
    "problem_of_scalar",
]
