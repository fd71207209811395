"""The lattice transform coder."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ltc.coder.encoders import mean_derivative, rate_distortion_optimised
from ltc.entropy import EntropyModel, PointTable
from ltc.lattices import Lattice, Section
from ltc.quantizers import LatticeQuantizer, Layout
from ltc.transforms import Transform

__all__ = ["LatticeTransformCoder"]


class LatticeTransformCoder(nn.Module):
    """Analysis, lattice quantization with an entropy model, synthesis (Lei, Hassani and Saeedi
    Bidokhti, *Approaching rate-distortion limits in neural compression with lattice transform
    coding*, ICLR 2025).

    Arguments:
        transform: analysis and synthesis.
        quantizer: the lattice and its scale.
        layout: how lattice vectors lie in the latent.
        entropy: the probability of lattice points.
        lmbda: weight of the squared error against the rate, for an encoder that weighs them.

    Attributes:
        step: length of the lattice of each row of lattice vectors, relative to the quantizer's
            scale, shape (rows, 1).
        derivative: mean derivative of the synthesis, shape (d, k), by which an encoder that
            weighs rate against distortion judges errors of the latent; see `linearise`.
        shift: how far from each lattice point its reconstruction point lies, lattice units;
            None without `rdo`.

    Example:
        >>> from ltc.entropy import Exact
        >>> from ltc.lattices import E8
        >>> from ltc.transforms import Linear
        >>> layout = Layout(8, 8)
        >>> model = LatticeTransformCoder(
        ...     Linear(8), LatticeQuantizer(E8()), layout, Exact(E8(), layout.channel), lmbda=8
        ... )
        >>> x = torch.randn(10, 1, 8, generator=torch.Generator().manual_seed(0))
        >>> points = model.encode(x)
        >>> model.decode(points).shape, model.bits(points).shape
        (torch.Size([10, 1, 8]), torch.Size([10]))
    """  # noqa: D205 (the summary names the paper)

    def __init__(
        self,
        transform: Transform,
        quantizer: LatticeQuantizer,
        layout: Layout,
        entropy: EntropyModel,
        lmbda: float,
    ) -> None:
        super().__init__()
        self.transform = transform
        self.quantizer = quantizer
        self.layout = layout
        self.entropy = entropy
        self.lmbda = lmbda
        self.step: Tensor
        self.derivative: Tensor
        self.register_buffer("step", torch.ones(len(layout.channel), 1))
        shape = (transform.dimension, transform.latent_dimension)
        self.register_buffer("derivative", torch.eye(*shape))
        self.shift: PointTable | None = entropy.free_points() if quantizer.rdo else None

    @contextmanager
    def through(self, lattice: Lattice) -> Iterator[None]:
        """Quantize on another lattice of the same cosets for a while.

        Arguments:
            lattice: the other lattice, such as the `surrogate` of the coder's own.
        """
        own = self.quantizer.lattice
        self._use(lattice)
        try:
            yield
        finally:
            self._use(own)

    @property
    def endless(self) -> Section | None:
        """The section that repeats along each channel, if a path may have any length; or None.

        A context chooses a table for each lattice vector: with one, vectors stay as they are.
        """
        if not self.layout.across or self.entropy.context or self.entropy.trellis is None:
            return None
        return self.quantizer.lattice.section

    @contextmanager
    def of_length(self, positions: int) -> Iterator[None]:
        """Code blocks of another length for a while: each channel of one is one path.

        Arguments:
            positions: source vectors in a block. The coder is `endless`.
        """
        own = self.layout
        self.layout = Layout(positions, self.transform.latent_dimension, positions)
        try:
            with self.through(self.quantizer.lattice.of_length(positions)):
                yield
        finally:
            self.layout = own

    def _use(self, lattice: Lattice) -> None:
        self.quantizer.lattice = lattice
        self.entropy.use(lattice)

    @torch.no_grad()
    def initialise(self, samples: Tensor) -> None:
        """Start from samples of the source.

        The transform starts as it chooses, the scale at the cells whose distortion the
        high-rate theory asks for at this lmbda, `1 / (2 ln 2 lmbda)`, and the entropy model at
        the distribution of the latents.

        Arguments:
            samples: training blocks, shape (count, block, d).
        """
        self.transform.initialise(samples.flatten(0, 1))
        variance = float(samples.var())
        latents = self.layout.split(self.transform.analysis(samples))
        distortion = min(1 / (2 * math.log(2) * self.lmbda), 0.5 * variance)
        self.quantizer.initialise(distortion, latents)
        self.linearise(samples)
        vectors = self.vectors(samples)
        self.entropy.initialise(vectors, self.table(vectors))

    def vectors(self, x: Tensor) -> Tensor:
        """Return what the lattice quantizes.

        Arguments:
            x: blocks, shape (batch, block, d).

        Returns:
            Lattice units, shape (batch, repeats, rows, n).
        """
        return self.layout.split(self.transform.analysis(x) / self.quantizer.scale) / self.step

    def encode(self, x: Tensor) -> Tensor:
        """Return the lattice points of blocks: the nearest, or with `rdo` the best.

        Arguments:
            x: blocks, shape (batch, block, d).

        Returns:
            Lattice units, shape (batch, repeats, rows, n).
        """
        if not self.quantizer.rdo:
            return self.quantizer.quantize(self.vectors(x))
        # For an orthogonal linear synthesis these costs are exact; otherwise those of its
        # linearisation with the inner products between columns left out.
        scale = self.quantizer.scale
        weight = (self.derivative.square().sum(0) * scale**2)[self.layout.channel]
        weight = self.lmbda * weight * self.step.square()
        return rate_distortion_optimised(
            self.wanted(x), weight, self.entropy, self.layout.channel.to(x.device), self.shift
        )

    @torch.no_grad()
    def wanted(self, x: Tensor) -> Tensor:
        """Return the vectors that the synthesis would want for blocks, unquantized.

        The least-squares solution for an affine synthesis, otherwise those of the analysis.

        Arguments:
            x: blocks, shape (batch, block, d).

        Returns:
            Lattice units, shape (batch, repeats, rows, n).
        """
        latent = self.transform.analysis(x)
        if self.transform.affine:
            error = x - self.transform.synthesis(latent)
            latent = latent + error @ torch.linalg.pinv(self.derivative).T
        return self.layout.split(latent / self.quantizer.scale) / self.step

    @torch.no_grad()
    def linearise(self, x: Tensor) -> None:
        """Take the mean derivative of the synthesis at the latents of blocks.

        It is stored with the coder, so that what an encoder chooses for a block does not depend
        on which other blocks it gets with it.

        Arguments:
            x: blocks, shape (batch, block, d).
        """
        few = x[:: max(1, len(x) // 256)][:256]
        latent = self.transform.analysis(few)
        self.derivative.copy_(mean_derivative(self.transform.synthesis, latent, count=256))

    def decode(self, points: Tensor) -> Tensor:
        """Return the reconstruction of blocks.

        Arguments:
            points: lattice units, shape (batch, repeats, rows, n).

        Returns:
            Blocks, shape (batch, block, d).
        """
        return self.transform.synthesis(self.latent(points))

    def latent(self, points: Tensor) -> Tensor:
        """Return the latents that lattice points stand for.

        Arguments:
            points: lattice units, shape (batch, repeats, rows, n).

        Returns:
            Latents, shape (batch, block, k).
        """
        return self.layout.join(self.reconstruct(points) * self.step) * self.quantizer.scale

    def reconstruct(self, points: Tensor) -> Tensor:
        """Return the reconstruction points of lattice points, shape (..., rows, n) both."""
        if self.shift is None:
            return points
        return points + self.shift(points, self.entropy.kinds(self.table(points)))

    def table(self, points: Tensor) -> Tensor:
        """Return which table of the entropy model coordinates use, shape (..., rows, n) or less."""
        return self.entropy.table(points, self.layout.channel.to(points.device))

    def bits(self, points: Tensor) -> Tensor:
        """Return the code length of blocks.

        Arguments:
            points: lattice units, shape (batch, repeats, rows, n).

        Returns:
            Bits per block, shape (batch,).
        """
        return self.entropy.bits(points, self.table(points)).sum((-1, -2))
