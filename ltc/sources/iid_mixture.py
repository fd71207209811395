"""Independent, identically distributed scalars of a Gaussian mixture."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.special
import scipy.stats
import torch
from numpy.typing import NDArray
from torch import Tensor

from ltc.checks import number
from ltc.errors import InputError
from ltc.sources.iid import IIDSource

__all__ = ["IIDMixture"]

Values = NDArray[np.float64]


class _GaussianMixture(scipy.stats.rv_continuous):  # type: ignore[misc]
    """What scipy needs to know of a mixture; quantiles and entropy it computes from that."""

    def __init__(self, weights: Values, means: Values, deviations: Values) -> None:
        super().__init__(name="gaussian_mixture")
        self.weights, self.means, self.deviations = weights, means, deviations

    def _standardised(self, x: Values) -> Values:
        return (np.asarray(x)[..., None] - self.means) / self.deviations

    def _logpdf(self, x: Values) -> Values:
        each = scipy.stats.norm.logpdf(self._standardised(x)) - np.log(self.deviations)
        return scipy.special.logsumexp(each, b=self.weights, axis=-1)

    def _pdf(self, x: Values) -> Values:
        return np.exp(self._logpdf(x))

    def _cdf(self, x: Values) -> Values:
        return scipy.special.ndtr(self._standardised(x)) @ self.weights

    def _sf(self, x: Values) -> Values:
        return scipy.special.ndtr(-self._standardised(x)) @ self.weights

    def _stats(self) -> tuple[float, float, None, None]:
        mean = float(self.weights @ self.means)
        second = float(self.weights @ (self.deviations**2 + self.means**2))
        return mean, second - mean**2, None, None


class IIDMixture(IIDSource):
    """Scalars of a Gaussian mixture, shifted and scaled to mean zero and variance one.

    Arguments:
        dimension: scalars per vector; in the command line tools, the quantizer's dimension
            unless it is set.
        weights: of the components, positive; they are divided by their sum.
        means: of the components, as many.
        deviations: standard deviations of the components, positive, as many.

    Attributes:
        weights: of the components, adding up to one.
        means: of the components, after shifting and scaling.
        deviations: of the components, after scaling.

    Raises:
        InputError: the lists are empty or differ in length, or a number is out of its range.

    Example:
        >>> source = IIDMixture(2, weights=[1, 1], means=[-3, 3], deviations=[4, 4])
        >>> source.means, source.deviations
        (array([-0.6,  0.6]), array([0.8, 0.8]))
        >>> round(float(source.density.cdf(0)), 6), round(float(source.density.var()), 6)
        (0.5, 1.0)
    """

    name = "iid_mixture"

    def __init__(
        self,
        dimension: int = 1,
        weights: Sequence[float] = (0.5, 0.5),
        means: Sequence[float] = (-3.0, 3.0),
        deviations: Sequence[float] = (1.0, 1.0),
    ) -> None:
        super().__init__(dimension)
        w = _numbers("weights", weights, 0.0)
        m = _numbers("means", means, -math.inf)
        s = _numbers("deviations", deviations, 0.0)
        if not len(w) == len(m) == len(s):
            raise InputError(
                f"source.weights, means and deviations have {len(w)}, {len(m)} and {len(s)} "
                "numbers; expected one of each per component"
            )
        self.weights = w / w.sum()
        m = m - self.weights @ m
        scale = math.sqrt(self.weights @ (s**2 + m**2))
        self.means, self.deviations = m / scale, s / scale
        self.density = _GaussianMixture(self.weights, self.means, self.deviations)

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw vectors, shape (count, dimension)."""
        shape, device = (count, self.dimension), generator.device
        u = torch.rand(shape, generator=generator, device=device, dtype=torch.float64)
        ends = torch.from_numpy(np.cumsum(self.weights)[:-1]).to(device)
        component = torch.searchsorted(ends, u, right=True)
        means, deviations = (
            torch.tensor(values, dtype=torch.float32, device=device)[component]
            for values in (self.means, self.deviations)
        )
        noise = torch.randn(shape, generator=generator, device=device)
        return means + deviations * noise


def _numbers(name: str, values: Any, low: float) -> Values:
    if not isinstance(values, list | tuple) or not values:
        raise InputError(f"source.{name}={values!r}; expected a list of numbers, one a component")
    return np.array([number(f"source.{name}", value, low) for value in values])
