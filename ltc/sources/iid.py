"""Independent, identically distributed scalars of unit variance."""

import math

import scipy.stats
import torch
from torch import Tensor

from ltc.checks import integer
from ltc.sources.base import Source

__all__ = ["IIDGaussian", "IIDLaplacian", "IIDUniform"]


class IIDSource(Source):
    """Vectors of i.i.d. scalars.

    Arguments:
        dimension: scalars per vector; in the command line tools, the quantizer's dimension
            unless it is set.

    Raises:
        InputError: `dimension` is not a positive integer.
    """

    def __init__(self, dimension: int = 1) -> None:
        self.dimension = integer("source.dimension", dimension)

    @property
    def covariance(self) -> Tensor:
        """The identity: the scalars are independent and of unit variance."""
        return torch.eye(self.dimension, dtype=torch.float64)


class IIDGaussian(IIDSource):
    """Standard Gaussian scalars; R(D) = 1/2 log2(1/D).

    Example:
        >>> source = IIDGaussian(8)
        >>> source.sample(3, torch.Generator().manual_seed(0)).shape
        torch.Size([3, 8])
    """

    name = "iid_gaussian"
    gaussian = True
    density = scipy.stats.norm()

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw vectors, shape (count, dimension)."""
        return torch.randn(count, self.dimension, generator=generator, device=generator.device)


class IIDLaplacian(IIDSource):
    """Laplacian scalars of unit variance (scale 1/sqrt 2).

    Example:
        >>> x = IIDLaplacian(2).sample(100_000, torch.Generator().manual_seed(0))
        >>> round(float(x.var()), 1)
        1.0
    """

    name = "iid_laplacian"
    density = scipy.stats.laplace(scale=math.sqrt(0.5))

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw vectors, shape (count, dimension)."""
        shape = (count, self.dimension)
        magnitude = torch.empty(shape, device=generator.device)
        magnitude.exponential_(math.sqrt(2), generator=generator)
        sign = torch.randint(0, 2, shape, generator=generator, device=generator.device)
        return magnitude * (2 * sign - 1)


class IIDUniform(IIDSource):
    """Uniform scalars of unit variance, on [-sqrt 3, sqrt 3].

    Example:
        >>> x = IIDUniform(2).sample(1000, torch.Generator().manual_seed(0))
        >>> bool(x.abs().max() <= 3**0.5)
        True
    """

    name = "iid_uniform"
    density = scipy.stats.uniform(loc=-math.sqrt(3), scale=2 * math.sqrt(3))

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw vectors, shape (count, dimension)."""
        u = torch.rand(count, self.dimension, generator=generator, device=generator.device)
        return (2 * u - 1) * math.sqrt(3)
