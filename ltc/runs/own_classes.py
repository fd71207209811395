"""What is asked of a source, a transform or a distortion that may be a class of anybody's own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ltc.checks import number
from ltc.distortion import Distortion
from ltc.errors import InputError
from ltc.transforms import Transform

__all__ = ["check_cost", "check_covariance", "check_shapes"]


def check_covariance(found: Any, dimension: int, name: str) -> None:
    """Refuse the covariance of a class of anybody's own that is none."""
    shape = dimension, dimension
    if not isinstance(found, Tensor) or found.shape != shape:
        what = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise InputError(f"{name}: its covariance is {what}; expected a tensor of shape {shape}")
    if not found.isfinite().all() or not found.diagonal().mean() > 0:
        raise InputError(
            f"{name}: its covariance has NaN or infinity, or no variance; expected a finite matrix "
            "whose diagonal has a positive mean"
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
