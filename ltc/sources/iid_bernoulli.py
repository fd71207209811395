"""Independent, identically distributed bits."""

import numpy as np
import torch
from torch import Tensor

from ltc.checks import number
from ltc.sources.base import Alphabet
from ltc.sources.iid import IIDSource

__all__ = ["IIDBernoulli"]


class IIDBernoulli(IIDSource):
    """Bits that are 1 with probability p and 0 otherwise, variance p (1 - p).

    Between bits, squared error is Hamming distortion, for which R(D) = h(p) - h(D) where
    D < min(p, 1 - p), h being the binary entropy. A reconstruction that may be any real number
    has a lower R(D): between 0 and 1 it pays less for its errors.

    Reference:
        Cover and Thomas: Elements of Information Theory, theorem 10.3.1. Wiley (2006).

    Arguments:
        dimension: scalars per vector; in the command line tools, the quantizer's dimension
            unless it is set.
        probability: p, of a 1, between 0 and 1.

    Raises:
        InputError: a parameter is out of its range.

    Example:
        >>> source = IIDBernoulli(2, 0.25)
        >>> source.variance, round(source.entropy, 4)
        (0.1875, 0.8113)
        >>> source.sample(4, torch.Generator().manual_seed(0)).unique()
        tensor([0., 1.])
    """

    name = "iid_bernoulli"

    def __init__(self, dimension: int = 1, probability: float = 0.5) -> None:
        super().__init__(dimension)
        self.probability = number("source.probability", probability, 0, 1)

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw vectors, shape (count, dimension), of the values 0 and 1."""
        u = torch.rand(count, self.dimension, generator=generator, device=generator.device)
        return (u < self.probability).to(u.dtype)

    @property
    def alphabet(self) -> Alphabet:
        """The values 0 and 1 of a scalar."""
        p = self.probability
        return Alphabet(np.array([[0.0], [1.0]]), np.array([1 - p, p]))

    @property
    def covariance(self) -> Tensor:
        """The identity times p (1 - p)."""
        p = self.probability
        return p * (1 - p) * torch.eye(self.dimension, dtype=torch.float64)
