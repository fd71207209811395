"""The best bound that is known for a source."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from ltc.bounds.alphabet import AlphabetProblem
from ltc.bounds.certified import CertifiedRateDistortion
from ltc.bounds.curve import Narrowest, RateDistortion
from ltc.bounds.density import problem_of_density, problem_of_scalar
from ltc.bounds.gaussian import ReverseWaterFilling
from ltc.bounds.problem import Problem
from ltc.bounds.samples import SampleProblem
from ltc.sources import FiniteSource, Source

__all__ = ["bound_for", "bound_from_samples"]


def bound_for(
    source: Source,
    tolerance: float = 5e-4,
    from_samples: bool = False,
    device: torch.device | str = "cpu",
    progress: Callable[[str], None] | None = None,
) -> RateDistortion:
    """Choose the best bound for a source under squared error by what is known of it.

    - a density per scalar (`source.density`): a certified bracket;
    - a Gaussian vector (`source.gaussian`): exact reverse water-filling;
    - finitely many values (`source.alphabet`): the same, for these values and any outputs;
    - a density per vector (`source.log_density` and `source.support()`): certified
      Blahut-Arimoto with a separable kernel;
    - samples only: reverse water-filling of the covariance of the held-out rows, which is an
      upper bound and says so, and with `from_samples` what `bound_from_samples` finds.

    Arguments:
        source: the source.
        tolerance: how wide the brackets of the certified bounds may be, bits per scalar; for a
            discrete source at most 0.3 % of its entropy.
        from_samples: where only samples are known, take the minutes that limits from them need.
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
    problem: Problem
    if source.density is not None:
        problem = problem_of_scalar(source.density, dict(source.key), device=device)
    elif getattr(source, "gaussian", False):
        return ReverseWaterFilling(source.covariance)
    elif hasattr(source, "log_density") and hasattr(source, "support"):
        problem = problem_of_density(
            source.log_density, source.support(), dict(source.key), device=device
        )
    elif (alphabet := getattr(source, "alphabet", None)) is not None:
        problem = AlphabetProblem(alphabet.points, alphabet.probabilities, dict(source.key), device)
        tolerance = min(tolerance, 3e-3 * problem.r_max / (math.log(2) * problem.dimension))
    elif from_samples:
        return bound_from_samples(source, tolerance, device=device, progress=progress)
    else:
        return ReverseWaterFilling(source.covariance, exact=False)
    return CertifiedRateDistortion(problem, tolerance, progress)


def bound_from_samples(
    source: Source,
    tolerance: float = 5e-4,
    components: int = 32,
    spread: bool = True,
    count: int = 100_000,
    seed: int = 0,
    device: torch.device | str = "cpu",
    progress: Callable[[str], None] | None = None,
) -> RateDistortion:
    """Bound R(D) of any source from samples alone, with 95 % confidence.

    The upper bound comes from a mixture that is fitted to at most `count` / 4 training samples,
    the lower bound from the dual; both are measured on held-out samples (see `SampleProblem`).
    Beside them stands the Gaussian upper bound of the covariance.

    Arguments:
        source: the source.
        tolerance: stop where lower and upper limit are this close, bits per scalar.
        components: Gaussians, or particles, of the output distribution.
        spread: Gaussians with covariances; otherwise particles.
        count: held-out samples at most: the more, the higher the rates at which the lower bound
            says something.
        seed: of everything random.
        device: where to compute.
        progress: called with a line of text at each new slope.

    Raises:
        InputError: there are too few samples, or they are all the same.

    Example:
        >>> from ltc.sources import IIDUniform
        >>> bound = bound_from_samples(IIDUniform(2), components=4, count=4000)
        >>> lower, upper = bound.bracket(0.5)
        >>> bool(lower < 0.45 < upper < 0.51)
        True
    """
    generator = torch.Generator().manual_seed(seed)
    if isinstance(source, FiniteSource):  # each row once, not drawn with replacement
        train = source.train[torch.randperm(len(source.train), generator=generator)[: count // 4]]
        held_out = source.test[torch.randperm(len(source.test), generator=generator)[:count]]
    else:
        train = source.sample(count // 4, generator)
        held_out = source.held_out(count, generator)
    problem = SampleProblem(
        train, held_out, dict(source.key), components, spread, seed=seed, device=device
    )
    limits = CertifiedRateDistortion(problem, tolerance, progress)
    return Narrowest([limits, ReverseWaterFilling(source.covariance, exact=False)])
