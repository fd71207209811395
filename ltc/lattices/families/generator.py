"""Any lattice, from its generator matrix."""

import functools
import math
import os
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ltc.checks import load_array
from ltc.errors import InputError
from ltc.lattices.backend import in_parallel
from ltc.lattices.base import Lattice
from ltc.lattices.trellis import Trellis, hermite_normal_form

__all__ = ["GeneratorLattice"]

Matrix = npt.NDArray[np.float64] | Sequence[Sequence[float]] | str | os.PathLike[str]

# The sphere decoder's time grows exponentially with the dimension (measured: 2 us a vector for
# E8, 24 us for BW16, 0.5 ms for Leech on one core).
EXACT_DIMENSIONS = 24
# A trellis with more is no gain over the Monte Carlo entropy model.
MOST_STATES = 4096


class GeneratorLattice(Lattice):
    """The lattice of a generator matrix, brought to unit volume.

    Where the entries of every column are small integers times a length (the columns may have
    different lengths), the lattice has a trellis, and with it the exact entropy model. Its
    decoder finds a nearest point by sphere decoding in a reduced basis (Agrell, Eriksson,
    Vardy and Zeger, *Closest point search in lattices*, IEEE Trans. Inform. Theory 48, 2002), on
    the CPU whatever the device. Beyond 24 dimensions there is only Babai's nearest plane
    (Combinatorica 6, 1986), whose point is near but not always nearest.

    Arguments:
        matrix: basis vectors as rows, shape (n, n): numbers, or the name of a `.npy` file.
        approximate: decode by Babai's nearest plane.

    Raises:
        InputError: the matrix cannot be read, is not square, not finite, singular, or has more
            than 24 dimensions without `approximate`.

    Example:
        >>> hexagonal = GeneratorLattice([[1, 0], [0.5, 0.75**0.5]])
        >>> hexagonal.kissing_number, hexagonal.closest_point(torch.tensor([0.9, 0.2]))
        (6, tensor([1.0746, 0.0000]))
    """

    name = "generator"

    def __init__(self, matrix: Matrix, approximate: bool = False) -> None:
        given = _read(matrix)
        n = len(given)
        if n > EXACT_DIMENSIONS and not approximate:
            raise InputError(
                f"quantizer.matrix has {n} dimensions; the exact decoder takes at most "
                f"{EXACT_DIMENSIONS}. Set quantizer.approximate=true for Babai's nearest plane"
            )
        sign, log_volume = np.linalg.slogdet(given)
        if sign == 0 or np.linalg.cond(given) > 1e12:
            raise InputError("quantizer.matrix is singular: its rows are linearly dependent")
        self.approximate = approximate
        given *= np.exp(-log_volume / n)
        self._integers = _integer_columns(given)
        if self._integers is not None:
            given = self._integers[0] * self._integers[1]
            if abs(abs(np.linalg.det(given)) - 1) > 1e-3:
                raise InputError(
                    "quantizer.matrix is nearly singular: to the six digits that count, its rows "
                    "are linearly dependent"
                )
        self._generator_matrix: npt.NDArray[np.float64] = given

    @property
    def generator_matrix(self) -> npt.NDArray[np.float64]:
        """Basis vectors as rows, shape (n, n), of determinant 1 or -1."""
        return self._generator_matrix

    @functools.cached_property
    def trellis(self) -> Trellis | None:  # type: ignore[override]
        """Its trellis in this order of the coordinates, or None if it has none, or a huge one."""
        if self._integers is None or _most_states(self._integers[0]) > MOST_STATES:
            return None
        return Trellis.from_integer_basis(*self._integers)

    @functools.cached_property
    def minimal_norm(self) -> float | None:  # type: ignore[override]
        """Squared length of the shortest points but the origin, or None if approximate."""
        if self.approximate:
            return None
        from ltc.lattices.sphere import lll

        # The origin comes first, then the shortest.
        shortest = np.linalg.norm(lll(self._generator_matrix), axis=1).min()
        return float(self.enumerate(shortest)[1].square().sum())

    @functools.cached_property
    def kissing_number(self) -> int | None:  # type: ignore[override]
        """How many points have the minimal norm, to six digits, or None if approximate."""
        if self.minimal_norm is None:
            return None
        # Six digits are what a matrix that was typed in has.
        return len(self.enumerate((self.minimal_norm * (1 + 1e-6)) ** 0.5)) - 1

    @functools.cached_property
    def _reduced(self) -> tuple[npt.NDArray[np.float64], ...]:
        """The basis that is decoded in, its inverse, and what rotates it to a triangle."""
        from ltc.lattices.sphere import lll, triangular

        basis = lll(self._generator_matrix)
        return basis, np.linalg.inv(basis), *triangular(basis)

    def _closest_point(self, x: Tensor) -> Tensor:
        from ltc.lattices.sphere import closest_point

        rows = x.reshape(-1, self.dimension).cpu().contiguous()
        points = torch.empty_like(rows)
        exact = not self.approximate
        arrays = (rows.numpy(), points.numpy(), *self._reduced, exact)
        in_parallel(closest_point, len(rows), 100, *arrays)
        return points.reshape(x.shape).to(x.device)


def _integer_columns(
    matrix: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]] | None:
    """Return integers, and a length for each column, whose product is the matrix, or None."""
    lengths = []
    for column in matrix.T:
        size = np.abs(column)
        least = size[size > 1e-9 * size.max()].min()
        ratios = (Fraction(entry / least).limit_denominator(64) for entry in column)
        lengths.append(least / math.lcm(*(ratio.denominator for ratio in ratios)))
    integers = np.rint(matrix / lengths)
    # Six digits are what a matrix that was typed in has. The entries of
    # the Hermite normal form grow up to the volume in these lengths, and must fit 64 bits.
    typed = np.allclose(integers * lengths, matrix, rtol=1e-6, atol=1e-9)
    if not typed or np.log2(lengths).sum() < -60:
        return None
    return integers.astype(np.int64), np.array(lengths)


def _most_states(integers: npt.NDArray[np.int64]) -> float:
    """Return the greatest number of states of the trellis.

    The states after t coordinates are the cosets of the points that are zero afterwards, in the
    projection of the lattice to the t coordinates: their number is the quotient of two volumes.
    """
    projected = np.log(hermite_normal_form(integers).diagonal()).cumsum()
    ending = np.log(hermite_normal_form(integers[:, ::-1]).diagonal())[::-1].cumsum()
    return float(np.exp((ending - projected).max()))


def _read(matrix: Matrix) -> npt.NDArray[np.float64]:
    """Return a square matrix of finite numbers from a file or from numbers."""
    if isinstance(matrix, str | os.PathLike):
        read = load_array("quantizer.matrix", os.fspath(matrix))
    else:
        try:
            read = np.array([[float(entry) for entry in row] for row in matrix])
        except (TypeError, ValueError) as error:
            raise InputError(
                f"quantizer.matrix: expected a .npy file, or rows of numbers of one length: {error}"
            ) from None
    if read.ndim != 2 or read.shape[0] != read.shape[1] or read.size == 0:
        raise InputError(f"quantizer.matrix must be square; it has shape {read.shape}")
    if not np.isfinite(read).all():
        raise InputError("quantizer.matrix has entries that are not finite")
    return read
