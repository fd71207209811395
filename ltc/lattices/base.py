"""What every lattice offers."""

import functools
import math
from abc import ABC, abstractmethod

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ltc.errors import InputError
from ltc.lattices.trellis import Section, Trellis, hermite_normal_form

__all__ = ["Lattice", "TrellisLattice"]


class Lattice(ABC):
    """A lattice of unit volume.

    What the literature knows about it is for unit volume too, and None where it is not known.

    Attributes:
        name: the lattice's name, as in `quantizer=NAME`.
        second_moment: the normalized second moment G: the mean squared error per coordinate of
            the lattice as a quantizer of uniform noise. At high rate the quantizer is
            1/2 log2(2 pi e G) bits per sample from R(D).
        second_moment_stderr: its standard error, where the literature has but an estimate.
        second_moment_measured: our own estimate, where the literature has none or a worse one.
        minimal_norm: squared length of the shortest points other than the origin.
        kissing_number: how many points have that norm.
        covering_radius: the greatest distance of a vector from the lattice.
        trellis: its trellis, or None for a lattice that has none.
        runs_across: whether it is so long that it runs across a block of source vectors, even
            where the dimension of the source is free.
    """

    name: str
    runs_across: bool = False
    second_moment: float | None = None
    second_moment_stderr: float | None = None
    second_moment_measured: float | None = None
    minimal_norm: float | None = None
    kissing_number: int | None = None
    covering_radius: float | None = None
    trellis: Trellis | None = None

    @property
    @abstractmethod
    def generator_matrix(self) -> npt.NDArray[np.float64]:
        """Basis vectors as rows, shape (n, n), of determinant 1 or -1."""

    @property
    def dimension(self) -> int:
        """Coordinates of a point, n."""
        return len(self.generator_matrix)

    @property
    def determinant(self) -> float:
        """Determinant of the Gram matrix: the square of the volume, so 1."""
        return float(np.linalg.det(self.generator_matrix) ** 2)

    def closest_point(self, x: Tensor) -> Tensor:
        """Return a nearest lattice point to each vector.

        Arguments:
            x: vectors, shape (..., n), float32 or float64, on any device.

        Returns:
            Points, same shape, dtype and device, without a gradient; of several equally near
            points, the same one on every call. Coordinates so large that float64 cannot tell
            neighbouring points apart come back as they are.

        Raises:
            InputError: the last dimension is not n, or a coordinate is not finite.
        """
        if x.shape[-1:] != (self.dimension,):
            raise InputError(
                f"{self.name} has dimension {self.dimension}; got vectors of shape {tuple(x.shape)}"
            )
        if x.dtype not in (torch.float32, torch.float64):
            raise InputError(f"{self.name}: got {x.dtype}; expected float32 or float64")
        x = x.detach()
        # On the CPU numpy's test is many times faster than torch's.
        finite = np.isfinite(x.numpy()) if x.device.type == "cpu" else torch.isfinite(x)
        if not finite.all():
            raise InputError(f"{self.name}: cannot quantize NaN or infinity")
        return self._closest_point(x)

    @property
    def surrogate(self) -> "Lattice":
        """A lattice of the same dimension and volume to train through, where that is cheaper."""
        return self

    @property
    def section(self) -> Section | None:
        """The section of its trellis that repeats without end, or None.

        A lattice that has one is one of a family with all lengths; see `of_length`.
        """
        return None

    def of_length(self, length: int) -> "Lattice":
        """Return the lattice of another dimension whose trellis has the same `section`.

        Arguments:
            length: coordinates, at least 1.

        Raises:
            InputError: no section repeats, or the length is not a positive integer.
        """
        raise InputError(f"{self.name} has one length only: no section of its trellis repeats")

    def with_shared_zero(self, values: Tensor) -> Tensor | None:
        """Return where coordinates are reconstructed if every state is to offer zero.

        Arguments:
            values: coordinates of lattice points, any shape.

        Returns:
            The reconstruction points, shape of `values`; None where that makes no sense.
        """
        return None

    @abstractmethod
    def _closest_point(self, x: Tensor) -> Tensor:
        """`closest_point` of vectors that have been checked."""

    def enumerate(self, radius: float, centre: npt.ArrayLike | None = None) -> Tensor:
        """Return all lattice points within a distance of a centre.

        Arguments:
            radius: the distance. A point as far away as that, up to rounding, is within.
            centre: where to look from, shape (n,); None: the origin.

        Returns:
            Points, shape (count, n), float64, nearest first.

        Raises:
            InputError: the radius or the centre is not finite, or the centre has another shape.

        Example: the shortest vectors of the hexagonal lattice.
            >>> from ltc.lattices import A2
            >>> len(A2().enumerate(1.1)) - 1
            6
        """
        from ltc.lattices.sphere import points_within

        where = np.zeros(self.dimension) if centre is None else np.asarray(centre, dtype=np.float64)
        if where.shape != (self.dimension,):
            raise InputError(
                f"{self.name} has dimension {self.dimension}; got a centre of shape {where.shape}"
            )
        if not (math.isfinite(radius) and np.isfinite(where).all()):
            raise InputError(f"{self.name}: the radius and the centre must be finite")
        return torch.from_numpy(points_within(self.generator_matrix, where, radius))

    def sample_voronoi(
        self, count: int, generator: torch.Generator, dtype: torch.dtype = torch.float32
    ) -> Tensor:
        """Draw points uniformly from the Voronoi cell of the origin.

        A uniform point of any fundamental cell, less its nearest lattice point (Conway and
        Sloane, *On the Voronoi regions of certain lattices*, 1984).

        Arguments:
            count: number of points.
            generator: where the randomness comes from.
            dtype: floating-point type.

        Returns:
            Points, shape (count, n), on the generator's device.
        """
        x = self.sample_shift(count, generator, dtype)
        return x - self._closest_point(x)

    def sample_shift(
        self, count: int, generator: torch.Generator, dtype: torch.dtype = torch.float32
    ) -> Tensor:
        """Draw points uniformly from a fundamental cell.

        All fundamental cells serve alike where lattice points make no difference, as to a dither.
        Arguments and result as of `sample_voronoi`.
        """
        device = generator.device
        u = torch.rand(count, self.dimension, generator=generator, device=device, dtype=dtype)
        return u @ torch.as_tensor(self.generator_matrix, dtype=dtype, device=device)

    def sample_dither(
        self, count: int, generator: torch.Generator, dtype: torch.dtype = torch.float32
    ) -> Tensor:
        """Draw shifts of the lattice under which quantization is noise uniform over the cell.

        Arguments and result as of `sample_voronoi`; of shape (count, 1) where all coordinates are
        shifted alike.
        """
        return self.sample_voronoi(count, generator, dtype)

    @property
    def high_rate_gap(self) -> float | None:
        """Bits per sample between the lattice quantizer and R(D) at high rate, or None.

        `1/2 log2(2 pi e G)` (Zamir and Feder, IEEE Trans. Inform. Theory 38, 1992), with the best
        G that there is.
        """
        moment = self.second_moment_measured or self.second_moment
        return None if moment is None else 0.5 * math.log2(2 * math.pi * math.e * moment)


class TrellisLattice(Lattice):
    """A lattice of integer vectors, with a unit of length for each coordinate.

    A subclass hands its generators over; the trellis, the decoder and the exact entropy model
    follow. Its volume is brought to 1.

    Arguments:
        generators: a basis of the lattice, or more vectors that generate it, one a row, shape
            (m, n), integers.
        unit: relative length of one step along each coordinate, shape (n,) or one for all.

    Raises:
        InputError: the generators are not integers that span n dimensions.
    """

    def __init__(self, generators: npt.ArrayLike, unit: npt.ArrayLike | float = 1.0) -> None:
        self._hermite = hermite_normal_form(generators)
        lengths = np.broadcast_to(np.asarray(unit, dtype=np.float64), len(self._hermite))
        log_volume = np.log(self._hermite.diagonal() * lengths).mean()
        self._lengths: npt.NDArray[np.float64] = lengths * np.exp(-log_volume)

    @property
    def generator_matrix(self) -> npt.NDArray[np.float64]:
        """Basis vectors as rows, shape (n, n), of determinant 1."""
        return self._hermite * self._lengths

    @functools.cached_property
    def trellis(self) -> Trellis:  # type: ignore[override]
        """Its minimal trellis in this order of the coordinates."""
        return Trellis.from_integer_basis(self._hermite, self._lengths)

    def _closest_point(self, x: Tensor) -> Tensor:
        return self.trellis.closest_point(x)
