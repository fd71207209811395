"""Rate and distortion of what was measured, with their standard errors."""

import math
from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor

from ltc.threads import one_thread

__all__ = ["Measured", "Measurement", "summarise"]


class Measurement(NamedTuple):
    """What a coder did on held-out samples, per scalar of the source.

    Attributes:
        rate: exact cross-entropy of the entropy model, bits.
        rate_stderr: standard error of the rate, over blocks.
        distortion: mean cost of an error.
        distortion_stderr: standard error of the distortion, over blocks.
        covariance: of these two errors.
    """

    rate: float
    rate_stderr: float
    distortion: float
    distortion_stderr: float
    covariance: float = 0.0

    def stated(self) -> dict[str, float]:
        """Return what tables and files state: all but the covariance, by name."""
        return {name: value for name, value in self._asdict().items() if name != "covariance"}


class Measured(NamedTuple):
    """What was measured of a run.

    Attributes:
        measurement: rate and distortion.
        samples: how many scalars it was measured on.
        bitstream_rate: bits per scalar that were really written, headers included, or None.
        more: other numbers, by their names in `metrics.json`.
    """

    measurement: Measurement
    samples: int
    bitstream_rate: float | None = None
    more: Mapping[str, float] = {}


def summarise(bits: Tensor, errors: Tensor) -> Measurement:
    """Return means with their standard errors.

    Arguments:
        bits: of each block, per scalar, shape (count,).
        errors: distortion of each block, shape (count,).

    Example:
        >>> import torch
        >>> found = summarise(torch.tensor([1.0, 3.0]), torch.tensor([0.5, 0.5]))
        >>> found.rate, found.rate_stderr, found.distortion, found.distortion_stderr
        (2.0, 1.0, 0.5, 0.0)
    """

    def mean_and_stderr(values: Tensor) -> tuple[float, float]:
        stderr = float(values.std() / len(values) ** 0.5) if len(values) > 1 else math.nan
        return float(values.mean()), stderr

    with one_thread():  # the order of a sum is not the machine's affair
        rate, distortion = mean_and_stderr(bits), mean_and_stderr(errors)
        centred = (bits - rate[0]) * (errors - distortion[0])
        covariance = float(centred.sum() / (len(bits) - 1) / len(bits)) if len(bits) > 1 else 0.0
        return Measurement(*rate, *distortion, covariance)
