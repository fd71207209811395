"""The sawbridge: a random process that nonlinear transforms code far better than linear ones."""

import numpy as np
import torch
from torch import Tensor

from ltc.checks import integer
from ltc.sources.base import Alphabet, Source

__all__ = ["Sawbridge"]


class Sawbridge(Source):
    """X(t) = t - 1[t >= U], U uniform on [0, 1], at n equally spaced positions.

    The positions are the middles of n equal intervals, t_k = (k + 1/2) / n, so that the mean
    over the samples approximates the integral over t. The process keeps the scale of the paper:
    its variance is t (1 - t), 1/6 on average, and not one. It has the covariance of a Brownian
    bridge, min(s, t) - s t, and is one-dimensional nevertheless: U says all of it. Sampled at
    n positions it takes n + 1 values, and its entropy is log2(n) + 1/n bits per vector.

    Reference:
        Wagner and Ballé: Neural Networks Optimally Compress the Sawbridge. Data Compression
        Conference (2021).

    Arguments:
        points: n, the dimension; the authors' published code has 1024.

    Raises:
        InputError: `points` is no positive integer.

    Example:
        >>> source = Sawbridge(4)
        >>> source.sample(2, torch.Generator().manual_seed(0))
        tensor([[ 0.1250,  0.3750, -0.3750, -0.1250],
                [ 0.1250,  0.3750,  0.6250, -0.1250]])
        >>> source.entropy * source.dimension
        2.25
    """

    name = "sawbridge"

    def __init__(self, points: int = 1024) -> None:
        self.dimension = integer("source.points", points)
        self.position = (np.arange(self.dimension) + 0.5) / self.dimension

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw vectors, shape (count, points)."""
        u = torch.rand(count, 1, generator=generator, device=generator.device)
        t = torch.tensor(self.position, dtype=u.dtype, device=u.device)
        return t - (t >= u).to(u.dtype)

    @property
    def alphabet(self) -> Alphabet:
        """All n + 1 vectors: U lies before the first position, between two, or after the last."""
        t = self.position
        points = t - (np.arange(len(t)) >= np.arange(len(t) + 1)[:, None])
        return Alphabet(points, np.diff(t, prepend=0.0, append=1.0))

    @property
    def covariance(self) -> Tensor:
        """The covariance min(s, t) - s t, shape (points, points)."""
        t = self.position
        return torch.from_numpy(np.minimum.outer(t, t) - np.outer(t, t))
