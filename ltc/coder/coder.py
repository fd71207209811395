"""The lattice transform coder."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ltc.coder.optimised_encoder import rate_distortion_optimised
from ltc.distortion import Distortion, Squared
from ltc.entropy import EntropyModel, PointTable
from ltc.errors import InputError
from ltc.lattices import Lattice, Section
from ltc.quantizers import LatticeQuantizer, Layout
from ltc.transforms import Transform

__all__ = ["LatticeTransformCoder"]

# Scalars that get a partition function of their own at once.
PIECE = 1 << 15


class LatticeTransformCoder(nn.Module):
    """Analysis, lattice quantization with an entropy model, synthesis (Lei, Hassani and Saeedi
    Bidokhti, *Approaching rate-distortion limits in neural compression with lattice transform
    coding*, ICLR 2025).

    Arguments:
        transform: analysis and synthesis.
        quantizer: the lattice and its scale.
        layout: how lattice vectors lie in the latent.
        entropy: the probability of lattice points.
        lmbda: weight of the distortion against the rate.
        distortion: what an error of the reconstruction costs; None: its square.

    Attributes:
        channel: the channel of each coordinate, as in `layout`, on the coder's device.
        row_scale: length of the lattice of each row of lattice vectors, relative to the
            quantizer's scale, shape (rows, 1).
        origin: where in each channel of the latent the lattice's origin lies, shape (k,).
        sensitivity: what an error of one in each channel of the latent costs in the
            reconstruction, shape (k,), by which an encoder that weighs rate against distortion
            judges errors of the latent; see `linearise`.
        shift: how far from each lattice point its reconstruction point lies, lattice units;
            None without `rdo`.
        noise: how wide the decoder's own noise is in each channel, times the cell, shape (k,);
            None where it adds none.
        size: bits of each lattice vector, all rows together, where the quantizer has a rate; or
            None.

    Raises:
        InputError: these bits are no whole bytes.

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
        distortion: Distortion | None = None,
    ) -> None:
        super().__init__()
        self.transform = transform
        self.quantizer = quantizer
        self.layout = layout
        self.entropy = entropy
        self.lmbda = lmbda
        self.distortion = Squared() if distortion is None else distortion
        self.channel: Tensor
        self.row_scale: Tensor
        self.origin: Tensor
        self.sensitivity: Tensor
        self.register_buffer("channel", layout.channel, persistent=False)
        self.register_buffer("row_scale", torch.ones(len(layout.channel), 1))
        self.register_buffer("origin", torch.zeros(transform.latent_dimension))
        self.register_buffer("sensitivity", torch.ones(transform.latent_dimension))
        self.shift: PointTable | None = entropy.free_points() if quantizer.rdo else None
        self.noise: Tensor | None
        noise = torch.zeros(transform.latent_dimension) if quantizer.noisy else None
        self.register_buffer("noise", noise)
        self.size: int | None = None
        if quantizer.rate is not None:
            self.size = _whole_bytes(
                quantizer.rate, layout.block * transform.dimension // layout.repeats
            )

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

        A context chooses a table for each lattice vector: with one, vectors stay as they are. So
        they do where each has bits of its own, and under a shared dither, with which no section is
        like another.
        """
        if not self.layout.across or self.entropy.context or self.entropy.trellis is None:
            return None
        if self.size is not None or self.quantizer.dither == "shared":
            return None
        return self.quantizer.lattice.section

    @contextmanager
    def of_length(self, positions: int) -> Iterator[None]:
        """Code blocks of another length for a while: each channel of one is one path.

        Arguments:
            positions: positions of the latent of a block. The coder is `endless`.
        """
        own, transform = self.layout, self.transform
        self.layout = Layout(
            positions,
            transform.latent_dimension,
            positions * transform.stride,
            transform.latent_positions,
        )
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

        The transform starts as it chooses, the scale at the cells that the high-rate theory asks
        for at this lmbda, and the entropy model at the distribution of the latents.

        Arguments:
            samples: training blocks, shape (count, *positions, d).
        """
        self.transform.initialise(samples)
        latents = self.layout.split(self.transform.analysis(samples))
        error = min(self.distortion.cell_error(self.lmbda), self.largest_error(samples))
        self.quantizer.initialise(error, latents)
        self.linearise(samples)
        vectors = self.vectors(samples)
        self.entropy.initialise(vectors, self.table(vectors))

    def largest_error(self, samples: Tensor) -> float:
        """Return the mean squared error of the largest cells that a coder is initialised with."""
        return 0.5 * float(samples.var())

    def vectors(self, x: Tensor) -> Tensor:
        """Return what the lattice quantizes.

        Arguments:
            x: blocks, shape (batch, *positions, d).

        Returns:
            Lattice units, shape (batch, repeats, rows, n).
        """
        return self._in_lattice_units(self.transform.analysis(x))

    def _in_lattice_units(self, latents: Tensor) -> Tensor:
        latents = (latents - self.origin) / self.quantizer.scale
        return self.layout.split(latents) / self.row_scale

    def encode(self, x: Tensor) -> Tensor:
        """Return the lattice points of blocks: the nearest, or with `rdo` the best.

        Shapes as of `vectors`.
        """
        if not self.quantizer.rdo:
            return self.quantizer.quantize(self.vectors(x))
        return self.choose(self.wanted(x), self.lmbda)

    def choose(self, wanted: Tensor, lmbda: float | Tensor) -> Tensor:
        """Return the points of least rate + lmbda * distortion.

        Arguments:
            wanted: what the reconstruction points are to come near, lattice units, shape
                (batch, repeats, rows, n).
            lmbda: weight of the distortion; of each vector, shape (batch, repeats, 1, 1).

        Returns:
            Points, same shape.
        """
        price = lmbda * self.price
        return rate_distortion_optimised(
            wanted, price, self.entropy, self.channel, self.shift, self.distortion.cost
        )

    @property
    def price(self) -> Tensor:
        """What an error of one in each coordinate costs in the reconstruction, (rows, n or 1).

        For squared error and an orthogonal synthesis it is exact; otherwise each coordinate is
        judged as if the others had no error.
        """
        length = self.quantizer.scale * self.row_scale
        return self.sensitivity[self.channel] * length**self.distortion.power

    @torch.no_grad()
    def wanted(self, x: Tensor) -> Tensor:
        """Return the vectors that the synthesis would want for blocks; shapes as of `vectors`."""
        return self._in_lattice_units(self.transform.invert_synthesis(x))

    @torch.no_grad()
    def linearise(self, x: Tensor) -> None:
        """Measure the sensitivity of the reconstruction to the latents of blocks.

        It is stored with the coder, so that what an encoder chooses for a block does not depend
        on which other blocks it gets with it.

        Arguments:
            x: blocks, shape (batch, *positions, d).
        """
        self.sensitivity.copy_(self.transform.sensitivity(x, self.distortion))

    def decode(self, points: Tensor, gain: Tensor | float = 1.0) -> Tensor:
        """Return the reconstruction of blocks.

        Arguments:
            points: lattice units, shape (batch, repeats, rows, n).
            gain: of each vector, shape (batch, repeats, 1, 1).

        Returns:
            Blocks, shape (batch, *positions, d).
        """
        noise = None
        if self.noise is not None and self.noise.any():
            noise = self.noise[self.channel] * self.quantizer.own_noise(points)
        return self.transform.synthesis(self.latent(points, gain, noise))

    def latent(
        self, points: Tensor, gain: Tensor | float = 1.0, noise: Tensor | None = None
    ) -> Tensor:
        """Return the latents that lattice points stand for.

        Arguments:
            points, gain: as of `decode`.
            noise: what the decoder adds to their reconstruction, shape of `points`.

        Returns:
            Latents, shape (batch, *latent positions, k).
        """
        found = self.reconstruct(points) * gain
        found = found if noise is None else found + noise
        return self.layout.join(found * self.row_scale) * self.quantizer.scale + self.origin

    def reconstruct(self, points: Tensor) -> Tensor:
        """Return the reconstruction points of lattice points, shape (..., rows, n) both."""
        if self.shift is None:
            return points
        return points + self.shift(points, self.entropy.kinds(self.table(points)))

    def table(self, points: Tensor) -> Tensor:
        """Return which table of the entropy model coordinates use, shape (..., rows, n) or less."""
        return self.entropy.table(points, self.channel)

    def bits(self, points: Tensor) -> Tensor:
        """Return the code length of blocks.

        Arguments:
            points: lattice units, shape (batch, repeats, rows, n).

        Returns:
            Bits per block, shape (batch,).
        """
        return self.vector_bits(points).sum((-1, -2))

    def vector_bits(self, points: Tensor) -> Tensor:
        """Return the code length of lattice vectors, shape (..., rows, n), as shape (..., rows).

        Under a shared dither each has a partition function of its own.
        """
        table, dither = self.table(points), self.quantizer.shared_dither(points)
        if dither is None:
            return self.entropy.bits(points, table)
        size = max(1, PIECE // points[0].numel())
        parts = zip(points.split(size), dither.split(size), strict=True)
        return torch.cat([self.entropy.bits(part, table, shift) for part, shift in parts])


def _whole_bytes(rate: float, scalars: int) -> int:
    """Return the bits of so many scalars at a rate."""
    size = 8 * max(1, round(rate * scalars / 8))
    if abs(size - rate * scalars) > 1e-6 * size:
        raise InputError(
            f"quantizer.rate={rate:g}: blocks of {scalars} scalars would take {rate * scalars:g} "
            f"bits, no whole bytes; the nearest rate is {size / scalars:.8g}"
        )
    return size
