"""What every transform offers."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from ltc.checks import integer
from ltc.descent import gradient_descent
from ltc.distortion import Distortion
from ltc.errors import InputError
from ltc.threads import one_thread

__all__ = ["Transform", "check_weights", "principal_axes"]

# Weights at most: training holds five numbers of each.
MOST = 1 << 24
# Steps of Adam that refit a synthesis which has no closed form.
FIT_STEPS = 200
# Blocks of which a mean of derivatives is taken, and scalars of them all, if they are long.
BLOCKS, SCALARS = 256, 1 << 18


class Transform(nn.Module, ABC):
    """An analysis from blocks of source vectors to latents and a synthesis back.

    The vectors of a block lie at positions on a line, shape (batch, positions, d), or on a grid,
    shape (batch, rows, columns, d), and so do the latents of a block, of k channels each. What
    transforms vectors one by one is a special case.

    Arguments:
        dimension: scalars per source vector, d.
        latent_dimension: channels of the latent, k; None: as many as `dimension`.

    Attributes:
        by_vector: whether it transforms each vector of a block by itself, as `Linear` does: what
            stands beside it then plays no part.
        stride: positions of a block, along each axis, from one latent position to the next.
        whole: what it transforms as a whole, `image` or `audio`, into a grid of planes, rows and
            columns; empty: vectors.

    Raises:
        InputError: `latent_dimension` is not a positive integer.
    """

    by_vector = False
    stride = 1
    whole = ""

    def __init__(self, dimension: int, latent_dimension: int | None = None) -> None:
        super().__init__()
        latent_dimension = dimension if latent_dimension is None else latent_dimension
        self.dimension = dimension
        self.latent_dimension = integer("transform.latent_dimension", latent_dimension)

    @abstractmethod
    def analysis(self, x: Tensor) -> Tensor:
        """Map blocks, shape (batch, *positions, d), to latents, (batch, *latent positions, k)."""

    @abstractmethod
    def synthesis(self, y: Tensor) -> Tensor:
        """Map latents, shape (batch, *latent positions, k), to blocks, (batch, *positions, d)."""

    def latent_positions(self, positions: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of the positions of the latents of blocks.

        Arguments:
            positions: shape of the positions of a block.

        Raises:
            InputError: they are no multiple of the stride.
        """
        for count in positions:
            if count % self.stride:
                raise InputError(
                    f"source.block={count} is no multiple of the transform's stride {self.stride}"
                )
        return tuple(count // self.stride for count in positions)

    @torch.no_grad()
    def initialise(self, samples: Tensor) -> None:
        """Start from what samples of the source suggest.

        Arguments:
            samples: training blocks, shape (batch, *positions, d).
        """

    def invert_synthesis(self, x: Tensor) -> Tensor:
        """Return the latents, of all, whose synthesis comes nearest to blocks.

        By default those of the analysis: right where the synthesis inverts it.

        Arguments:
            x: blocks, shape (batch, *positions, d).

        Returns:
            Latents, shape (batch, *latent positions, k).
        """
        return self.analysis(x)

    @torch.no_grad()
    def sensitivity(self, x: Tensor, distortion: Distortion) -> Tensor:
        """Return what an error of one in each channel of the latent costs in the reconstruction.

        The synthesis moves along the column of its derivative that belongs to a channel at a
        position: the cost of that column, all that it reaches in the block, in the mean over
        blocks and positions. By default a derivative for each channel, of some of the blocks.

        Arguments:
            x: blocks, shape (batch, *positions, d).
            distortion: what an error costs; homogeneous, so that smaller ones cost in proportion.

        Returns:
            Costs, shape (k,).
        """
        count = min(BLOCKS, max(4, SCALARS // x[0].numel()))
        latents = self.analysis(x[:: max(1, len(x) // count)][:count])
        rng = torch.Generator().manual_seed(0)  # the same for the same blocks
        block = torch.arange(len(latents))
        position = torch.randint(latents[0, ..., 0].numel(), (len(latents),), generator=rng)
        costs = []
        for channel in range(latents.shape[-1]):
            error = latents.new_zeros(latents.shape)
            error.flatten(1, -2)[block, position, channel] = 1.0
            column = torch.func.jvp(self.synthesis, (latents,), (error,))[1]
            costs.append(distortion.cost(column).flatten(1).sum(1).mean())
        return torch.stack(costs)

    def fit_synthesis(self, latents: Tensor, x: Tensor, distortion: Distortion) -> None:
        """Refit the synthesis to minimise the distortion, the latents held fixed.

        By default by `descend`.

        Arguments:
            latents: quantized latents, shape (batch, *latent positions, k).
            x: the blocks that they stand for, shape (batch, *positions, d).
            distortion: what an error costs.
        """
        self.descend(latents, x, distortion)

    def descend(
        self, latents: Tensor, x: Tensor, distortion: Distortion, steps: int = FIT_STEPS
    ) -> None:
        """Take steps of Adam towards the synthesis of least distortion, the latents held fixed.

        Arguments:
            latents, x, distortion: as in `fit_synthesis`.
            steps: how many.
        """
        parameters = [p for p in self.parameters() if p.requires_grad]
        if not parameters:
            return
        optimizer = torch.optim.Adam(parameters, lr=1e-3, fused=True)
        vectors = x[0, ..., 0].numel()
        stride = max(1, len(x) // max(1, 1000 // vectors))

        def loss(step: int) -> Tensor:
            chosen = slice(step % stride, None, stride)  # neighbours may resemble each other
            return distortion.cost(self.synthesis(latents[chosen]) - x[chosen]).mean()

        with one_thread():
            gradient_descent(optimizer, steps, loss)


def check_weights(count: int) -> None:
    """Refuse transforms of more weights than fit into memory with what trains them.

    Raises:
        InputError: there are more.
    """
    if count > MOST:
        raise InputError(
            f"a transform of {count:,} weights; expected at most {MOST:,}: use a smaller "
            "transform.width, transform.latent_dimension or source.dimension, or transform=identity"
        )


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
    with one_thread():  # the order of a sum is not the machine's affair
        covariance = torch.cov(samples.double().T).reshape(dimension, dimension)
    deviation = covariance.diagonal().sqrt().clamp_min(1e-30)
    correlation = covariance / (deviation[:, None] * deviation)
    covariance = covariance * (correlation.abs() > 5 / number**0.5)
    _, vectors = torch.linalg.eigh(covariance)
    axes = torch.zeros(count, dimension, dtype=samples.dtype, device=samples.device)
    kept = vectors.T.flip(0)[:count].to(samples.dtype)
    axes[: len(kept)] = kept
    return axes
