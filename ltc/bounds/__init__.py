"""Rate-distortion functions: Shannon's limit, bracketed."""

from ltc.bounds.alphabet import AlphabetProblem
from ltc.bounds.certified import CertifiedRateDistortion
from ltc.bounds.closed import ClosedForm
from ltc.bounds.curve import Bracket, Narrowest, RateDistortion
from ltc.bounds.density import DensityProblem, problem_of_density, problem_of_scalar
from ltc.bounds.discrete import DiscreteProblem
from ltc.bounds.gaussian import ReverseWaterFilling
from ltc.bounds.grid import GridProblem
from ltc.bounds.samples import SampleProblem
from ltc.bounds.select import bound_for, bound_from_samples

__all__ = [
    "AlphabetProblem",
    "Bracket",
    "CertifiedRateDistortion",
    "ClosedForm",
    "DensityProblem",
    "DiscreteProblem",
    "GridProblem",
    "Narrowest",
    "RateDistortion",
    "ReverseWaterFilling",
    "SampleProblem",
    "bound_for",
    "bound_from_samples",
    "problem_of_density",
    "problem_of_scalar",
]
