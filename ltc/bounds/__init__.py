"""Rate-distortion functions: Shannon's limit, bracketed.

What a bracket rests on, by what is known of the source:

- a closed form, a table of distortions (`DiscreteProblem`), or a product grid (`GridProblem`):
  both ends are proof, up to rounding;
- a density (`DensityProblem`): both ends are proof for the continuous source, not for a histogram,
  given that quadrature integrates the density, whose error is far below the bracket's width;
- finitely many vectors (`AlphabetProblem`): the upper end is proof; the lower end too for scalars,
  and for vectors as far as mean shift found the highest peak;
- samples only (`SampleProblem`): both ends are statistics, 95 % confidence limits for independent
  rows, made of means and 1.96 or 2.24 of their standard errors; the Gaussian upper bound beside
  them is that of the covariance measured on the same rows.

Classical quantizers that are measured on samples come with standard errors of their own
(`ltc.baselines`).
"""

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
