"""Rate-distortion functions: Shannon's limit, bracketed."""

from ltc.bounds.alphabet import AlphabetProblem
from ltc.bounds.baselines import ScalarQuantizer, ecsq, ecsq_of_source
from ltc.bounds.certified import CertifiedRateDistortion
from ltc.bounds.closed import ClosedForm
from ltc.bounds.curve import Bracket, RateDistortion
from ltc.bounds.density import DensityProblem, problem_of_density, problem_of_scalar
from ltc.bounds.discrete import DiscreteProblem
from ltc.bounds.gaussian import ReverseWaterFilling
from ltc.bounds.samples import SampleProblem
from ltc.bounds.select import bound_for, bound_from_samples

__all__ = [
    "AlphabetProblem",
    "Bracket",
    "CertifiedRateDistortion",
    "ClosedForm",
    "DensityProblem",
    "DiscreteProblem",
    "RateDistortion",
    "ReverseWaterFilling",
    "SampleProblem",
    "ScalarQuantizer",
    "bound_for",
    "bound_from_samples",
    "ecsq",
    "ecsq_of_source",
    "problem_of_density",
    "problem_of_scalar",
]
