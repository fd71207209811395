"""What is asked of a source, a transform or a distortion that may be a class of anybody's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ltc.checks import number
from ltc.distortion import Distortion
from ltc.errors import InputError
from ltc.transforms import Transform

if TYPE_CHECKING:  # not needed to code files
    from ltc.sources import Source

__all__ = ["check_cost", "check_shapes", "check_source"]


# Numbers that are drawn to see whether a source is what it says it is.
DRAWN, PARTS = 200_000, 20
# Scalars of a vector of which so many are drawn.
LONGEST = 10_000
# Standard errors beyond which it is not: by chance that happens to nobody.
FAR = 8


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
    if source.whole:
        return
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
    """Refuse a covariance or a scalar density that samples, (count, dimension), contradict."""
    x = drawn.double()
    squares = (x - x.mean(0)).square().mean(1)
    variance, stated = float(squares.mean()), source.variance
    # Their scatter by that of parts, as vectors may resemble their neighbours.
    parts = squares[: len(x) // PARTS * PARTS].view(PARTS, -1).mean(1)
    if abs(variance - stated) > FAR * float(parts.std()) / PARTS**0.5 + 1e-6 * stated:
        raise InputError(
            f"{name}: its samples have variance {variance:.4g}, its covariance says {stated:.4g}, "
            "on which R(D) and decibels rest; correct one of the two (an IIDSource has unit "
            "variance: scale sample and density)"
        )
    if source.density is None:
        return
    levels = np.linspace(0, 1, 65)[1:-1]
    values = drawn.flatten().double().quantile(torch.from_numpy(levels)).numpy()
    apart = np.abs(source.density.cdf(values) - levels)
    worst = int(apart.argmax())
    if apart[worst] > FAR / 2 / drawn.numel() ** 0.5:  # Kolmogorov and Smirnov: 2 exp(-2 * 16)
        raise InputError(
            f"{name}: {levels[worst]:.1%} of its samples lie below {values[worst]:.4g}, where its "
            f"density has {source.density.cdf(values[worst]):.1%}; they need to be of one "
            "distribution"
        )


@torch.no_grad()
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
            found = getattr(transform, step)(taken)
            shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            if shape != expected:
                raise InputError(
                    f"{name}: {step} maps {tuple(taken.shape)} to {shape}; expected {expected}"
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
    error = torch.tensor([[-1.0, 0.5], [1.0, 2.0]])
    try:
        cost = distortion.cost(error)
        good = cost.shape == error.shape and bool(((cost > 0) & cost.isfinite()).all())
    except Exception as wrong:  # of a class of anybody's own
        raise InputError(
            f"{name} has no cost: {wrong!r} (HYDRA_FULL_ERROR=1 or -v shows where)"
        ) from wrong
    if not good:
        raise InputError(
            f"{name}: cost(error) returns {cost.tolist()} of errors {error.tolist()}; expected "
            "positive numbers of the same shape"
        )
