"""Rate-distortion functions: Shannon's limit, bracketed.

What a bracket rests on, by what is known of the source:

- a covariance, and that the source is Gaussian (`ReverseWaterFilling`): a closed form;
- a density (`DensityProblem`, `GridProblem`): both ends are proof for the continuous
  source, not for a histogram, given that quadrature integrates the density, whose error is far
  below the bracket's width;
- finitely many vectors (`AlphabetProblem`): the upper end is proof; the lower end too for scalars,
  and for vectors as far as mean shift found the highest peak;
- samples only (`SampleProblem`): both ends are statistics, confidence limits for independent rows
  that hold together with 95 %; the Gaussian upper bound beside them is that of the covariance
  measured on the same rows.

Classical quantizers that are measured on samples come with standard errors of their own
(`ltc.baselines`).
"""

from ltc.bounds.alphabet_problem import AlphabetProblem
from ltc.bounds.closed_forms import ReverseWaterFilling, ShannonLowerBound
from ltc.bounds.curve import Bracket, Narrowest, RateDistortion
from ltc.bounds.density_problem import DensityProblem
from ltc.bounds.grid_problem import GridProblem
from ltc.bounds.parametric import ParametricRateDistortion
from ltc.bounds.perception import GaussianPerception
from ltc.bounds.samples import SampleProblem
from ltc.bounds.select import bound_by_blahut_arimoto, bound_for, bound_from_samples
from ltc.progress import ProgressBar

__all__ = [
    "AlphabetProblem",
    "Bracket",
    "DensityProblem",
    "GaussianPerception",
    "GridProblem",
    "Narrowest",
    "ParametricRateDistortion",
    "ProgressBar",
    "RateDistortion",
    "ReverseWaterFilling",
    "SampleProblem",
    "ShannonLowerBound",
    "bound_by_blahut_arimoto",
    "bound_for",
    "bound_from_samples",
]
