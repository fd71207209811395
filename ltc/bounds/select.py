"""Which bound a source gets."""

import math

import numpy as np
import torch

from ltc.bounds.alphabet_problem import AlphabetProblem
from ltc.bounds.closed_forms import ReverseWaterFilling, ShannonLowerBound
from ltc.bounds.curve import Narrowest, Progress, RateDistortion
from ltc.bounds.density_problem import DensityProblem
from ltc.bounds.grid_problem import GridProblem
from ltc.bounds.parametric import ParametricRateDistortion
from ltc.bounds.power_cost import Cost
from ltc.bounds.problem import Problem
from ltc.bounds.quadrature import Density, gaussian_density, scalar_density, vector_density
from ltc.bounds.samples import SampleProblem
from ltc.checks import integer
from ltc.distortion import Distortion
from ltc.errors import InputError
from ltc.sources import Source

__all__ = ["bound_by_blahut_arimoto", "bound_for", "bound_from_samples"]

# Samples that a density is compared with, and by how much probabilities may differ: by chance
# never, and sums over a grid do by less.
DRAWN, MARGIN = 100_000, 0.02


def bound_for(
    source: Source,
    tolerance: float = 5e-4,
    distortion: Distortion | None = None,
    from_samples: bool = False,
    progress: Progress | None = None,
) -> RateDistortion | None:
    """Choose the quickest bound for a source by what is known of it.

    - Gaussian (`source.gaussian`) under squared error: exact reverse water-filling;
    - finitely many values (`source.alphabet`): a bracket by Blahut-Arimoto;
    - a density per scalar (`source.density`) or per vector (`source.log_density` and
      `source.support()`): Shannon's lower bound where it is attained, as by a Laplacian source
      under absolute error, or a bracket by an interior-point method, whose optimum is that of
      Blahut-Arimoto;
    - samples only, under squared error: reverse water-filling of the covariance of the held-out
      rows, which is an upper bound and says so, and with `from_samples` what
      `bound_from_samples` finds.

    Arguments:
        source: the source.
        tolerance: how wide a bracket may be, bits per scalar; for a discrete source at most 0.3 %
            of its entropy.
        distortion: only its cost is asked for; None: squared error.
        from_samples: where only samples are known, take the minutes that limits from them need.
        progress: called with a line of text and the share of the work at a slope that is done.

    Returns:
        The bound; None where none is known.

    Raises:
        InputError: the source is degenerate: its variance is zero or infinite.

    Example:
        >>> from ltc.sources import IIDLaplacian
        >>> bound = bound_for(IIDLaplacian(8))
        >>> bound.name
        'interior-point bracket'
        >>> lower, upper = bound.bracket(0.1)
        >>> round(upper, 2)
        1.56
    """
    cost = Cost(distortion)
    if source.gaussian and cost.squared:
        return ReverseWaterFilling(source.covariance)
    if (closed := ShannonLowerBound.of(source.density, cost)) is not None:
        return closed
    problem: Problem
    if source.alphabet is not None:
        problem = AlphabetProblem(*source.alphabet, cost)
    elif (density := _density(source, cost)) is not None:
        # On planes and in space Blahut-Arimoto is the quicker one where kernels have kinks.
        interior = source.density is not None
        problem = DensityProblem(density) if cost.squared else GridProblem(density, cost, interior)
    elif not cost.squared:
        return None
    elif from_samples:
        return bound_from_samples(source, tolerance, progress=progress)
    else:
        return ReverseWaterFilling(source.covariance, exact=False)
    return ParametricRateDistortion(problem, _narrow(tolerance, problem), progress)


def bound_by_blahut_arimoto(
    source: Source,
    tolerance: float = 5e-4,
    distortion: Distortion | None = None,
    progress: Progress | None = None,
) -> RateDistortion:
    """Bracket R(D) by the Blahut-Arimoto algorithm.

    It uses no closed form and takes longer than `bound_for`, which reaches the same optimum: an
    independent check, and the textbook's own algorithm. Arguments as there.

    Raises:
        InputError: neither density nor values of the source are known, or it has too many
            dimensions.

    Example:
        >>> from ltc.sources import IIDGaussian
        >>> lower, upper = bound_by_blahut_arimoto(IIDGaussian(8)).bracket(0.25)
        >>> lower <= 1 <= upper, upper - lower < 0.0005
        (True, True)
    """
    first = 0.0

    def report(distance: float, goal: float) -> None:
        """Turn the distance of the two ends into a share that is done."""
        nonlocal first
        if progress is None:
            return
        first = max(first, distance) if distance < 2 * first else distance
        done = math.log(first / distance) / math.log(max(first / goal, 1.01))
        bits = distance / (problem.dimension * math.log(2))
        progress(f"Blahut-Arimoto: ends {bits:.5f} bits apart", min(done, 0.99))

    problem: Problem
    cost = Cost(distortion)
    if source.alphabet is not None:
        problem = AlphabetProblem(*source.alphabet, cost, report)
    elif (density := _density(source, cost)) is not None:
        problem = GridProblem(density, cost, report=report)
    else:
        raise InputError(
            f"bound=blahut_arimoto has no alphabet for source={source.name}: it needs finitely "
            "many values, or a density in one to three dimensions; use bound=auto, or "
            "bound=samples for limits from samples"
        )
    return ParametricRateDistortion(problem, _narrow(tolerance, problem), progress)


def bound_from_samples(
    source: Source,
    tolerance: float = 5e-4,
    distortion: Distortion | None = None,
    components: int = 32,
    spread: bool = True,
    count: int = 100_000,
    seed: int = 0,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> RateDistortion:
    """Bound R(D) of any source under squared error from samples alone, with 95 % confidence.

    The upper bound comes from a mixture that is fitted to at most `count` / 4 training samples,
    the lower bound from the dual; both are measured on held-out samples (see `SampleProblem`).
    Beside them stands the Gaussian upper bound of the covariance. Arguments as in `bound_for`, and

    Arguments:
        components: Gaussians, or particles, of the output distribution.
        spread: Gaussians with covariances; otherwise particles.
        count: held-out samples at most: the more, the higher the rates at which the lower bound
            says something.
        seed: of everything random.
        device: where to compute.

    Raises:
        InputError: there are too few samples, or `count` is below 40; or they are all the same, or
            the distortion is another one.

    Example:
        >>> from ltc.sources import IIDUniform
        >>> bound = bound_from_samples(IIDUniform(2), components=4, count=4000)
        >>> lower, upper = bound.bracket(0.5)
        >>> bool(lower < 0.45 < upper < 0.51)
        True
    """
    if not Cost(distortion).squared:
        raise InputError(
            f"bound=samples has limits under squared error only, not under distortion="
            f"{getattr(distortion, 'name', distortion)}; use bound=auto, or bound=none"
        )
    integer("bound.count", count, 40)
    generator = torch.Generator().manual_seed(seed)
    train = source.training_set(count // 4, generator)
    held_out = source.held_out(count, generator)
    held_out = held_out[torch.randperm(len(held_out), generator=generator)[:count]]
    problem = SampleProblem(train, held_out, components, spread, seed=seed, device=device)
    limits = ParametricRateDistortion(problem, tolerance, progress)
    gaussian = ReverseWaterFilling(source.covariance, exact=False)
    return Narrowest([limits, gaussian], proof=False)


def _density(source: Source, cost: Cost) -> Density | None:
    """Return the density of a source, for quadrature; None where it has none that is known."""
    if cost.power < 1:
        return None
    if source.density is not None:
        return scalar_density(source.density)
    if hasattr(source, "log_density") and hasattr(source, "support"):
        try:
            density = vector_density(source.log_density, source.support())
        except InputError:
            raise
        except Exception as error:  # of a class of anybody's own
            raise InputError(
                f"source={source.name}: log_density or support fails: {error!r}; they take and "
                "return NumPy arrays, points of shape (..., dimension)"
            ) from error
        _compare(density, source)
        return density
    if source.gaussian and source.dimension <= 3:
        return gaussian_density(source.covariance, turned=cost.squared)
    return None


def _compare(density: Density, source: Source) -> None:
    """Refuse a density of vectors whose covariance or marginals are not those of the samples."""
    coarse = density.nodes(math.inf)
    nodes = density.nodes(max(float(x[-1] - x[0]) for x in coarse.axes) / 100)
    x = source.sample(DRAWN, torch.Generator().manual_seed(0)).double().numpy()
    grids = np.stack(np.meshgrid(*nodes.axes, indexing="ij"), -1).reshape(-1, source.dimension)
    grids -= (p := nodes.p.ravel()) @ grids
    covariance, stated = (p[:, None] * grids).T @ grids, source.covariance.numpy()
    if not np.allclose(covariance, stated, rtol=0.02, atol=0.02 * source.variance):
        raise InputError(
            f"source={source.name}: its log_density has the covariance "
            f"{covariance.round(4).tolist()}, the class says {stated.round(4).tolist()}; correct "
            "one of the two"
        )
    for axis, values in enumerate(nodes.axes):
        others = tuple(k for k in range(source.dimension) if k != axis)
        ends = (values[1:] + values[:-1]) / 2
        below = nodes.p.sum(others).cumsum()[:-1]
        found = np.searchsorted(np.sort(x[:, axis]), ends) / len(x)
        worst = int(np.abs(found - below).argmax())
        if abs(found[worst] - below[worst]) > MARGIN:
            raise InputError(
                f"source={source.name}: {found[worst]:.1%} of its samples have a coordinate "
                f"{axis} below {ends[worst]:.4g}, where its log_density has {below[worst]:.1%}; "
                "they need to be of one distribution"
            )


def _narrow(tolerance: float, problem: Problem) -> float:
    """Return the tolerance, smaller where the entropy of a discrete source is small."""
    if problem.lossless is None:
        return tolerance
    return min(tolerance, 3e-3 * problem.lossless / (math.log(2) * problem.dimension))
