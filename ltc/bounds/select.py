"""The best bound that is known for a source."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ltc.bounds.certified import CertifiedRateDistortion
from ltc.bounds.curve import RateDistortion
from ltc.bounds.density import problem_of_density, problem_of_scalar
from ltc.bounds.gaussian import ReverseWaterFilling

if TYPE_CHECKING:
    import torch

    from ltc.sources import Source

__all__ = ["bound_for"]


def bound_for(
    source: Source,
    tolerance: float = 5e-4,
    device: torch.device | str = "cpu",
    progress: Callable[[str], None] | None = None,
) -> RateDistortion:
    """Choose the best bound for a source under squared error by what is known of it.

    - a density per scalar (`source.density`): a certified bracket;
    - a Gaussian vector (`source.gaussian`): exact reverse water-filling;
    - a density per vector (`source.log_density` and `source.support()`): certified
      Blahut-Arimoto with a separable kernel;
    - samples only: reverse water-filling of the covariance of the held-out rows, which is an
      upper bound and says so.

    Arguments:
        source: the source.
        tolerance: how wide the brackets of the certified bounds may be, bits per scalar.
        device: where to compute.
        progress: called with a line of text at each new slope.

    Raises:
        InputError: the source is degenerate: its variance is zero or infinite.

    Example:
        >>> from ltc.sources import IIDLaplacian
        >>> bound = bound_for(IIDLaplacian(8))
        >>> bound.name
        'certified bracket'
        >>> lower, upper = bound.bracket(0.1)
        >>> round(upper, 2)
        1.56
    """
    if source.density is not None:
        problem = problem_of_scalar(source.density, dict(source.key), device=device)
    elif getattr(source, "gaussian", False):
        return ReverseWaterFilling(source.covariance)
    elif hasattr(source, "log_density") and hasattr(source, "support"):
        problem = problem_of_density(
            source.log_density, source.support(), dict(source.key), device=device
        )
    else:
        return ReverseWaterFilling(source.covariance, exact=False)
    return CertifiedRateDistortion(problem, tolerance, progress)
