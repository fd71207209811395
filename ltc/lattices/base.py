"""What every lattice offers."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ltc.errors import InputError
from ltc.lattices.trellis import Trellis, hermite_normal_form

__all__ = ["Lattice", "TrellisLattice"]


class Lattice(ABC):
    """A lattice of unit volume.

    Attributes:
        name: the lattice's name, as in `quantizer=NAME`.
        second_moment: the normalized second moment G of the literature, or None: the mean
            squared error per coordinate of its quantizer at unit volume. At high rate the
            quantizer is 1/2 log2(2 pi e G) bits per sample from R(D).
        trellis: its trellis, or None for a lattice that has none.
    """

    name: str
    second_moment: float | None = None
    trellis: Trellis | None = None

    @property
    @abstractmethod
    def generator_matrix(self) -> npt.NDArray[np.float64]:
        """Basis vectors as rows, shape (n, n), of determinant 1 or -1."""

    @property
    def dimension(self) -> int:
        """Coordinates of a point, n."""
        return len(self.generator_matrix)

    def closest_point(self, x: Tensor) -> Tensor:
        """Return a nearest lattice point to each vector.

        Arguments:
            x: vectors, shape (..., n), float32 or float64, on any device.

        Returns:
            Points, same shape, dtype and device; of several equally near points, the same one
            on every call.

        Raises:
            InputError: the last dimension is not n, or a coordinate is not finite.
        """
        if x.shape[-1:] != (self.dimension,):
            raise InputError(
                f"{self.name} has dimension {self.dimension}; got vectors of shape {tuple(x.shape)}"
            )
        # On the CPU numpy's test is many times faster than torch's.
        finite = np.isfinite(x.detach().numpy()) if x.device.type == "cpu" else torch.isfinite(x)
        if not finite.all():
            raise InputError(f"{self.name}: cannot quantize NaN or infinity")
        return self._closest_point(x)

    @abstractmethod
    def _closest_point(self, x: Tensor) -> Tensor:
        """`closest_point` of vectors that have been checked."""

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
        device = generator.device
        u = torch.rand(count, self.dimension, generator=generator, device=device, dtype=dtype)
        x = u @ torch.as_tensor(self.generator_matrix, dtype=dtype, device=device)
        return x - self._closest_point(x)

    @property
    def high_rate_gap(self) -> float | None:
        """Bits per sample between the lattice quantizer and R(D) at high rate, or None.

        `1/2 log2(2 pi e G)` (Zamir and Feder, IEEE Trans. Inform. Theory 38, 1992).
        """
        if self.second_moment is None:
            return None
        return 0.5 * math.log2(2 * math.pi * math.e * self.second_moment)


class TrellisLattice(Lattice):
    """A lattice whose basis is an integer matrix times a length for each coordinate.

    A subclass hands its basis over; the trellis, the decoder and the exact entropy model
    follow. Its volume is brought to 1.

    Arguments:
        basis: basis vectors as rows, shape (n, n), integers.
        unit: relative length of one step along each coordinate, shape (n,) or one for all.

    Raises:
        InputError: the basis is not square, not integer, or singular.
    """

    trellis: Trellis

    def __init__(self, basis: npt.ArrayLike, unit: npt.ArrayLike | float = 1.0) -> None:
        hermite = hermite_normal_form(basis)
        lengths = np.broadcast_to(np.asarray(unit, dtype=np.float64), len(hermite))
        volume = np.prod(hermite.diagonal() * lengths)
        lengths = lengths * volume ** (-1 / len(hermite))
        self._generator_matrix: npt.NDArray[np.float64] = np.asarray(basis) * lengths
        self.trellis = Trellis.from_integer_basis(hermite, lengths)

    @property
    def generator_matrix(self) -> npt.NDArray[np.float64]:
        """Basis vectors as rows, shape (n, n), of determinant 1 or -1."""
        return self._generator_matrix

    def _closest_point(self, x: Tensor) -> Tensor:
        return self.trellis.closest_point(x)
