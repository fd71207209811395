"""What is asked of a source, a transform or a distortion that may be a class of anybody's own."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ltc.checks import number
from ltc.distortion import Distortion
from ltc.errors import InputError
from ltc.transforms import Transform

if TYPE_CHECKING:  # not needed to code files
    from ltc.sources import Alphabet, Source

__all__ = ["check_cost", "check_shapes", "check_source"]


# Numbers that are drawn to see whether a source is what it says it is.
DRAWN, PARTS = 200_000, 20
# Scalars of a vector of which so many are drawn.
LONGEST = 10_000
# Standard errors beyond which it is not: by chance that happens to nobody.
FAR = 12
# Scalars of a vector whose covariances are all looked at, and values of an alphabet.
FEW, MOST_VALUES = 64, 256


def check_source(source: Source) -> None:
    """Refuse a source whose samples cannot be coded, or are not distributed as it says."""
    name = f"source: {type(source).__module__}.{type(source).__qualname__}"
    shape = 3, 2, source.dimension
    try:
        drawn = source.blocks(*shape[:2], torch.Generator().manual_seed(0))
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"{name} cannot be sampled: {error!r} (HYDRA_FULL_ERROR=1 or -v shows where)"
        ) from error
    if drawn.shape != shape or drawn.dtype != torch.float32:
        raise InputError(
            f"{name} draws blocks of shape {tuple(drawn.shape)}, {drawn.dtype}; expected {shape}, "
            "torch.float32: sample(count, generator) returns vectors of shape (count, dimension)"
        )
    if not drawn.isfinite().all():
        raise InputError(f"{name} draws NaN or infinity, which have no distortion")
    again = source.blocks(shape[0], shape[1], torch.Generator().manual_seed(0))
    if not torch.equal(drawn, again):
        raise InputError(
            f"{name} draws other samples from an equal generator, so that nothing can be repeated; "
            "let all that is random come from the generator it is given"
        )
    if source.whole:
        return
    if source.alphabet is not None and not hasattr(source.alphabet, "probabilities"):
        raise InputError(
            f"{name}: its alphabet is a {type(source.alphabet).__name__}; expected "
            "ltc.sources.Alphabet(points, probabilities)"
        )
    _check_covariance(source.covariance, source.dimension, name)
    # Of rows, the covariance is that of those which are held out.
    if not source.finite and source.dimension <= LONGEST:
        count = max(PARTS * 10, DRAWN // source.dimension)
        _check_moments(source, source.sample(count, torch.Generator().manual_seed(0)), name)


def _check_covariance(found: Any, dimension: int, name: str) -> None:
    shape = dimension, dimension
    if not isinstance(found, Tensor) or found.shape != shape:
        what = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise InputError(f"{name}: its covariance is {what}; expected a tensor of shape {shape}")
    if not found.isfinite().all() or not found.diagonal().mean() > 0:
        raise InputError(
            f"{name}: its covariance has NaN or infinity, or no variance; expected a finite matrix "
            "whose diagonal has a positive mean"
        )


def _check_moments(source: Source, drawn: Tensor, name: str) -> None:
    """Refuse what a source says if samples, shape (count, dimension), contradict it."""
    x = drawn.double()
    x = x - x.mean(0)
    # Their scatter by that of parts, as vectors may resemble their neighbours.
    parts = x[: len(x) // PARTS * PARTS].view(PARTS, -1, source.dimension)
    known = source.density is not None or source.alphabet is not None
    if source.dimension <= FEW:
        found, stated = parts.mT @ parts / parts.shape[1], source.covariance.to(x)
    else:
        found, stated = parts.square().mean((1, 2)), torch.tensor(source.variance).to(x)
    apart = (found.mean(0) - stated).abs()
    if known:  # what is likely is compared below; what is rare may be most of the variance
        apart = apart.fill_diagonal_(0) if apart.dim() else torch.zeros_like(apart)
    excess = apart - FAR * found.std(0) / PARTS**0.5 - 1e-6 * source.variance
    if excess.max() > 0:
        worst = int(excess.argmax())
        what = "variance"
        if stated.numel() > 1 and worst % (source.dimension + 1):
            what = "covariance {}, {}".format(*divmod(worst, source.dimension))
        raise InputError(
            f"{name}: its samples have {what} {found.mean(0).flatten()[worst]:.4g}, its covariance "
            f"says {stated.flatten()[worst]:.4g}, on which R(D) and decibels rest; correct one of "
            "the two (an IIDSource has unit variance and independent scalars)"
        )
    if source.density is not None:
        _check_density(source.density, source.variance, drawn.flatten().double(), name)
    if source.alphabet is not None:
        _check_alphabet(source.alphabet, source.variance, drawn, name)


def _check_density(density: Any, variance: float, x: Tensor, name: str) -> None:
    levels = np.linspace(0, 1, 65)[1:-1]
    values = x.quantile(torch.from_numpy(levels)).numpy()
    stated = density.cdf(values)
    worst = int(np.abs(stated - levels).argmax())
    # Kolmogorov and Smirnov: by chance with a probability of 2 exp(-32).
    if abs(stated[worst] - levels[worst]) > 4 / len(x) ** 0.5:
        raise InputError(
            f"{name}: {levels[worst]:.1%} of its samples lie below {values[worst]:.4g}, where its "
            f"density has {stated[worst]:.1%}; they need to be of one distribution"
        )
    from ltc.bounds.quadrature import variance_of  # not above: not needed to code files

    _compare("density", variance_of(density), variance, name)


def _check_alphabet(alphabet: Alphabet, variance: float, drawn: Tensor, name: str) -> None:
    p, values = alphabet.probabilities, alphabet.points
    _compare("alphabet", float((p @ values**2 - (p @ values) ** 2).mean()), variance, name)
    if len(values) > MOST_VALUES:
        return
    points = torch.from_numpy(values).to(drawn)
    x = drawn.reshape(-1, points.shape[1])[:DRAWN]
    distance, nearest = torch.cdist(x, points).min(1)
    if distance.max() > 1e-4 * points.abs().max():
        raise InputError(f"{name} draws {x[distance.argmax()].tolist()}, not of its alphabet")
    found = torch.bincount(nearest, minlength=len(points)).numpy() / len(x)
    apart = np.abs(found - p) - FAR * np.sqrt(p * (1 - p) / len(x)) - FAR / len(x)
    if apart.max() > 0:
        worst = int(apart.argmax())
        raise InputError(
            f"{name}: {found[worst]:.1%} of its samples are {points[worst].tolist()}, of which its "
            f"alphabet has {p[worst]:.1%}; correct one of the two"
        )


def _compare(what: str, variance: float, stated: float, name: str) -> None:
    if not math.isclose(variance, stated, rel_tol=1e-3):
        raise InputError(
            f"{name}: its {what} has variance {variance:.4g}, its covariance says {stated:.4g}; "
            "correct one of the two (an IIDSource has unit variance)"
        )


def check_shapes(transform: Transform, block: int) -> None:
    """Refuse a transform of anybody's own whose blocks would be stretched to fit, or fail later."""
    name = f"transform: {type(transform).__module__}.{type(transform).__qualname__}"
    x = torch.linspace(-1, 1, 2 * block * transform.dimension).view(2, block, transform.dimension)
    latent = (2, *transform.latent_positions((block,)), transform.latent_dimension)
    state = torch.get_rng_state()  # it may draw from it
    try:
        for step, taken, expected in (
            ("analysis", x, latent),
            ("synthesis", torch.zeros(latent), tuple(x.shape)),
        ):
            before = taken.clone()
            for learns in (True, False):
                with torch.set_grad_enabled(learns):
                    found = getattr(transform, step)(taken)
                shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
                if shape != expected:
                    raise InputError(
                        f"{name}: {step} maps {tuple(taken.shape)} to {shape}; expected {expected}"
                    )
                if not torch.equal(taken, before):
                    raise InputError(
                        f"{name}: {step} changes its argument, which others read after it; return "
                        "a new tensor, as by x * gain in place of x *= gain"
                    )
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"{name}: {step} fails: {error!r} (HYDRA_FULL_ERROR=1 or -v shows where)"
        ) from error
    finally:
        torch.set_rng_state(state)


def check_cost(distortion: Distortion) -> None:
    """Refuse a distortion whose cost is no positive number for each error."""
    name = f"distortion: {type(distortion).__module__}.{type(distortion).__qualname__}"
    number(f"{name} has power", distortion.power, closed=True)  # of Hamming's it is 0
    error = torch.tensor([[-1.0, 0.5], [1.0, 2.0]], requires_grad=True)
    try:
        cost = distortion.cost(error)
        good = cost.shape == error.shape and bool(((cost > 0) & cost.isfinite()).all())
    except Exception as wrong:  # of a class of anybody's own
        raise InputError(
            f"{name} has no cost: {wrong!r} (HYDRA_FULL_ERROR=1 or -v shows where)"
        ) from wrong
    if good and not cost.requires_grad:
        raise InputError(f"{name}: cost(error) has no gradient, which training needs")
    if not good:
        raise InputError(
            f"{name}: cost(error) returns {cost.tolist()} of errors {error.tolist()}; expected "
            "positive numbers of the same shape"
        )
