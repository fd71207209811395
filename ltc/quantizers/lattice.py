"""Lattice quantization of latents of any size."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ltc.checks import choice, integer, number
from ltc.errors import InputError
from ltc.lattices import Lattice

__all__ = ["LatticeQuantizer", "Layout"]

# Of the dither, which encoder and decoder draw alike, and of the noise that a decoder adds.
SHARED, OWN = 1, 2


class Layout:
    """How the vectors that a lattice quantizes lie in a latent.

    A block has a latent at each of its positions, which lie on a line or a grid. Where they are
    a multiple of the lattice's dimension it runs across them, in order, once for each channel
    (Block-LTC: Lei, Hassani and Saeedi Bidokhti, ICLR 2025, section 4); otherwise along the
    channels of each, as a product of copies where there are more channels than dimensions.

    Arguments:
        lattice_dimension: n.
        channels: channels of the latent, k.
        block: source vectors per block; None: 1 where the channels are a multiple of n, otherwise
            n.
        positions: returns the shape of the positions of the latent of a block of so many source
            vectors; None: one for each.

    Attributes:
        block: source vectors per block.
        positions: shape of the positions of its latent.
        repeats: how often one block holds lattice vectors of the same distribution.
        channel: the channel of each coordinate of the lattice vectors, shape (rows, n); where
            all of a vector have the same, (rows, 1).

    Raises:
        InputError: neither the channels nor the positions are a multiple of n.

    Example:
        >>> Layout(8, 16).channel.shape, Layout(8, 2).block
        (torch.Size([2, 8]), 8)
    """

    def __init__(
        self,
        lattice_dimension: int,
        channels: int,
        block: int | None = None,
        positions: Callable[[tuple[int, ...]], tuple[int, ...]] | None = None,
    ) -> None:
        n = lattice_dimension
        if block is None:
            block = n if channels % n else 1
        self.block = block = integer("source.block", block)
        self.positions = (block,) if positions is None else positions((block,))
        count = math.prod(self.positions)
        self.across = count > 1 and count % n == 0
        if count == 1 and channels % n:
            raise InputError(
                f"the latent has {channels} channels, no multiple of the lattice's dimension {n}; "
                f"change transform.latent_dimension to a multiple of {n}, or set source.block to "
                f"a multiple of {n} to let the lattice run across blocks"
            )
        if not self.across and channels % n:
            stands_for = "" if count == block else f", of which the latent has {count} positions,"
            raise InputError(
                f"source.block={block}{stands_for} is no multiple of the lattice's dimension {n}; "
                f"choose a multiple of {n}, or of trellis codes another quantizer.length"
            )
        index = torch.arange(channels)
        self.channel = index[:, None] if self.across else index.reshape(-1, n)
        self.repeats = count // n if self.across else count

    def split(self, latent: Tensor) -> Tensor:
        """Cut latents, shape (batch, *positions, k), into vectors, (batch, repeats, rows, n)."""
        latent = latent.flatten(1, -2)
        if self.across:
            return latent.unflatten(1, (self.repeats, -1)).transpose(2, 3)
        return latent.unflatten(2, self.channel.shape)

    def join(self, vectors: Tensor) -> Tensor:
        """Undo `split`: from shape (batch, repeats, rows, n) to (batch, *positions, k)."""
        latent = vectors.transpose(2, 3).flatten(1, 2) if self.across else vectors.flatten(2)
        return latent.unflatten(1, self.positions)


class LatticeQuantizer(nn.Module):
    """A lattice with a scale.

    Arguments:
        lattice: the lattice, of unit volume.
        scale: length by which the lattice is multiplied; None: learned.
        train: what stands for quantization in training: `dither`, noise uniform over the Voronoi
            cell, or `ste`, the nearest point with the gradient passed straight through.
        rdo: whether the encoder chooses the point of least rate + lmbda * distortion instead of
            the nearest, once trained.
        dither: `none`; `shared`, the lattice is shifted by a dither that encoder and decoder know
            (Ziv 1985; Zamir and Feder 1992); or `private`, the decoder adds noise of its own
            (Lei, Hassani and Saeedi Bidokhti, arXiv 2503.17558).
        shared_bits: of a shared dither, bits per sample of randomness that both sides share, b:
            the dither is one of the points of a lattice 2^b times as fine, and the decoder adds
            noise as wide as the cell of that one. None: as many as it takes.
        rate: bits per scalar of the source that every lattice vector takes exactly, which needs
            `rdo` and brings it; None: as many as it needs.

    Attributes:
        common_bits: bits per sample of randomness that encoder and decoder share.
        noisy: whether the decoder adds noise of its own.

    Raises:
        InputError: `scale` or `rate` is not positive, `train` or `dither` is unknown, `shared_bits`
            is no positive integer, or they do not go together.

    Example:
        >>> from ltc.lattices import E8
        >>> quantizer = LatticeQuantizer(E8(), scale=0.5)
        >>> quantizer.quantize(torch.zeros(3, 8)).shape
        torch.Size([3, 8])
    """

    def __init__(
        self,
        lattice: Lattice,
        scale: float | None = None,
        train: str = "dither",
        rdo: bool = False,
        dither: str = "none",
        shared_bits: int | None = None,
        rate: float | None = None,
    ) -> None:
        super().__init__()
        if rate is not None:
            rate = number("quantizer.rate", rate, 0, 12, hint=", bits per sample, or null")
        self.rate = rate
        if scale is not None:
            scale = number("quantizer.scale", scale, hint=", or null to learn it")
        self.lattice = lattice
        self.train_with = choice("quantizer.train", train, ("dither", "ste"))
        self.rdo = choice("quantizer.rdo", rdo, (True, False)) or rate is not None
        self.dither = choice("quantizer.dither", dither, ("none", "shared", "private"))
        if rate is not None and dither != "none":
            raise InputError(
                f"quantizer.dither={dither} does not go with quantizer.rate={rate:g}: use "
                "dither=none, or rate=null"
            )
        if dither == "shared" and (rdo or train == "ste"):
            wrong = "rdo=true" if rdo else "train=ste"
            raise InputError(
                f"quantizer.{wrong} does not go with quantizer.dither=shared, under which the "
                "error has to be uniform over the cell: use rdo=false and train=dither"
            )
        if shared_bits is not None and dither != "shared":
            raise InputError(
                f"quantizer.shared_bits={shared_bits} is of a shared dither; use "
                "quantizer.dither=shared, or null"
            )
        if shared_bits is not None:
            shared_bits = integer("quantizer.shared_bits", shared_bits, 1, 16)
        self.common_bits = 0.0 if dither == "private" else float(shared_bits or math.inf)
        self.noisy = dither != "none" and self.common_bits < math.inf
        self.log_scale = nn.Parameter(
            torch.tensor(math.log(scale or 1.0)), requires_grad=scale is None
        )

    @property
    def name(self) -> str:
        """The name of the lattice, as runs are listed under it."""
        return self.lattice.name

    @property
    def scale(self) -> Tensor:
        """The length by which the lattice is multiplied, a scalar."""
        return self.log_scale.exp()

    def suitable_entropy(self, target: str) -> tuple[str, dict[str, Any]] | None:
        """Return the entropy model that has to take the place of the chosen one, if any.

        Arguments:
            target: the class that was chosen, by its full name.

        Returns:
            Its name in `conf/entropy` and its settings; None where the chosen one will do.
        """
        if target == "ltc.entropy.Exact" and self.lattice.trellis is None:
            return "monte_carlo", {"_target_": "ltc.entropy.MonteCarlo"}
        return None

    @torch.no_grad()
    def initialise(self, distortion: float, latents: Tensor) -> None:
        """Start a learned scale.

        Arguments:
            distortion: the mean squared error that the cells are to have.
            latents: what will be divided by the scale and quantized, shape (..., n).

        Raises:
            InputError: the error is none, since the samples are all alike.
        """
        if not distortion > 0:
            raise InputError("the samples are all alike, or nearly: there is nothing to code")
        if self.log_scale.requires_grad:
            moment = self.lattice.second_moment or 1 / 12
            self.log_scale.fill_(0.5 * math.log(distortion / moment))

    @torch.no_grad()
    def shared_dither(self, like: Tensor) -> Tensor | None:
        """Return the dither that encoder and decoder share, or None where there is none.

        It is drawn from a seed of its own, and is the same for vectors of the same shape.

        Arguments:
            like: vectors, shape (..., n).

        Returns:
            Shifts of the lattice for each vector, lattice units, shape (..., n).
        """
        if self.dither != "shared":
            return None
        generator = torch.Generator(like.device).manual_seed(SHARED)
        shifts = self.lattice.sample_shift(like[..., 0].numel(), generator, like.dtype)
        if self.noisy:
            fineness = 2**self.common_bits
            shifts = self.lattice.closest_point(fineness * shifts) / fineness
        return shifts.reshape(like.shape)

    @torch.no_grad()
    def own_noise(self, like: Tensor) -> Tensor:
        """Return noise uniform over the cell that the decoder alone knows, shape (..., n)."""
        generator = torch.Generator(like.device).manual_seed(OWN)
        noise = self.lattice.sample_voronoi(like[..., 0].numel(), generator, like.dtype)
        return noise.reshape(like.shape)

    def quantize(self, vectors: Tensor) -> Tensor:
        """Return the nearest points of the lattice, shifted by a dither that is shared.

        Lattice units, shape (..., n) in and out.
        """
        dither = self.shared_dither(vectors)
        if dither is None:
            return self.lattice.closest_point(vectors)
        return self.lattice.closest_point(vectors - dither) + dither

    def forward(self, vectors: Tensor) -> tuple[Tensor, Tensor | None]:
        """Quantize in training.

        Arguments:
            vectors: lattice units, shape (..., n).

        Returns:
            The points with a gradient, same shape, and the dither by which the lattice that
            they lie on is shifted, or None. All of the first axis share a dither, shape
            (1, ..., n or 1): the partition function is then computed once, not for each of them.
            Of a coder with a shared dither each vector of few coordinates has its own, as the
            points of one dither together are distributed as no source is.
        """
        if self.train_with == "ste":
            return vectors + (self.lattice.closest_point(vectors) - vectors).detach(), None
        generator = torch.Generator(vectors.device)
        generator.manual_seed(int(torch.randint(2**62, ()).item()))
        own = self.dither == "shared"
        one = vectors if own and not self.lattice.runs_across else vectors[:1]
        sample = self.lattice.sample_shift if own else self.lattice.sample_dither
        dither = sample(one[..., 0].numel(), generator, vectors.dtype)
        dither = dither.reshape(*one.shape[:-1], -1)
        with torch.no_grad():
            points = self.lattice.closest_point(vectors - dither) + dither
        return vectors + (points - vectors).detach(), dither
