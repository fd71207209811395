"""What every transform offers."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from ltc.checks import integer
from ltc.threads import one_thread

__all__ = ["Transform", "principal_axes"]


class Transform(nn.Module, ABC):
    """An analysis from source vectors to latents and a synthesis back.

    Arguments:
        dimension: scalars per source vector, d.
        latent_dimension: channels of the latent, k; None: as many as `dimension`.

    Attributes:
        affine: the synthesis is a matrix and a constant.

    Raises:
        InputError: `latent_dimension` is not a positive integer.
    """

    affine = False

    def __init__(self, dimension: int, latent_dimension: int | None = None) -> None:
        super().__init__()
        latent_dimension = dimension if latent_dimension is None else latent_dimension
        self.dimension = dimension
        self.latent_dimension = integer("transform.latent_dimension", latent_dimension)

    @abstractmethod
    def analysis(self, x: Tensor) -> Tensor:
        """Map source vectors, shape (..., d), to latents, shape (..., k)."""

    @abstractmethod
    def synthesis(self, y: Tensor) -> Tensor:
        """Map latents, shape (..., k), to reconstructions, shape (..., d)."""

    @torch.no_grad()
    def initialise(self, samples: Tensor) -> None:
        """Start from what samples of the source suggest.

        Arguments:
            samples: training vectors, shape (count, d).
        """

    def fit_synthesis(self, latents: Tensor, x: Tensor) -> None:
        """Refit the synthesis to minimise the squared error, the latents held fixed.

        Arguments:
            latents: quantized latents, shape (count, k).
            x: the source vectors that they stand for, shape (count, d).
        """
        parameters = [p for p in self.parameters() if p.requires_grad]
        if not parameters:
            return
        optimizer = torch.optim.Adam(parameters, lr=1e-3)
        stride = max(1, len(x) // 1000)
        with one_thread():
            for step in range(200):
                chosen = slice(step % stride, None, stride)  # neighbours may resemble each other
                optimizer.zero_grad()
                (self.synthesis(latents[chosen]) - x[chosen]).square().mean().backward()
                optimizer.step()


def principal_axes(samples: Tensor, count: int) -> Tensor:
    """Return the axes of the Karhunen-Loeve transform of a source, by falling variance.

    Correlations that the number of samples cannot tell from zero are taken as zero, so that
    independent coordinates keep their own axes instead of a random rotation.

    Arguments:
        samples: vectors, shape (number, d).
        count: how many axes; beyond d the rest are zero.

    Returns:
        Orthonormal rows, shape (count, d), in the samples' dtype.

    Example:
        >>> g = torch.Generator().manual_seed(0)
        >>> x = torch.randn(10_000, 2, generator=g) * torch.tensor([1.0, 3.0])
        >>> principal_axes(x, 2).abs()
        tensor([[0., 1.],
                [1., 0.]])
    """
    number, dimension = samples.shape
    covariance = torch.cov(samples.double().T).reshape(dimension, dimension)
    deviation = covariance.diagonal().sqrt().clamp_min(1e-30)
    correlation = covariance / (deviation[:, None] * deviation)
    covariance = covariance * (correlation.abs() > 5 / number**0.5)
    _, vectors = torch.linalg.eigh(covariance)
    axes = torch.zeros(count, dimension, dtype=samples.dtype, device=samples.device)
    kept = vectors.T.flip(0)[:count].to(samples.dtype)
    axes[: len(kept)] = kept
    return axes
