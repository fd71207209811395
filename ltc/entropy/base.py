"""What every entropy model offers."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from ltc.entropy.table import PointTable
from ltc.errors import InputError
from ltc.lattices import Lattice, Trellis

__all__ = ["EntropyModel"]


class EntropyModel(nn.Module, ABC):
    """A probability for every lattice point.

    Attributes:
        trellis: along which `-log2 p` is additive; None where it is not. A model that has one can
            be refitted to points, tells an encoder what a point costs, and can be frozen as a
            bitstream.
        row: with a trellis, the kind of each coordinate of a lattice vector, shape (rows, n).
    """

    trellis: Trellis | None = None
    row: Tensor

    @abstractmethod
    def bits(self, points: Tensor, dither: Tensor | None = None) -> Tensor:
        """Return the code lengths of lattice points.

        Arguments:
            points: lattice units, shape (..., rows, n).
            dither: the shift of the lattice that the points lie on, same shape; None: none.

        Returns:
            `-log2 p` in bits per lattice vector, shape (..., rows), differentiable in the points
            and the parameters.
        """

    @abstractmethod
    def initialise(self, vectors: Tensor) -> None:
        """Start from the distribution of unquantized vectors.

        Arguments:
            vectors: lattice units, shape (count, rows, n).
        """

    def use(self, lattice: Lattice) -> None:
        """Give probabilities to the points of another lattice with the same cosets."""
        if self.trellis is not None:
            self.trellis = lattice.trellis

    def log_density(self, value: Tensor, row: Tensor | None = None) -> Tensor:
        """Return the natural logarithm of what a coordinate adds to `p`, up to a constant.

        Arguments:
            value: coordinates, lattice units, shape (..., rows, n) or (..., *row.shape).
            row: the kind of each coordinate, integers; None: of whole points.

        Raises:
            InputError: the model is not additive along a trellis.
        """
        raise self._not_additive()

    def fit(self, points: Tensor) -> None:
        """Maximise the likelihood of lattice points, lattice units, shape (..., rows, n).

        Raises:
            InputError: the model is not additive along a trellis.
        """
        raise self._not_additive()

    def free_points(self) -> PointTable:
        """Let `fit` choose the probability of each point near zero freely.

        Returns:
            A table with an entry for each of these points, for reconstruction points.

        Raises:
            InputError: the model is not additive along a trellis.
        """
        raise self._not_additive()

    def as_likely_as(self, values: Tensor) -> None:
        """Give each of the `free_points` the smooth probability of another value.

        Arguments:
            values: lattice units, one for each entry of the table.

        Raises:
            InputError: the model is not additive along a trellis.
        """
        raise self._not_additive()

    def shrink(self, factor: Tensor) -> None:
        """Divide the values of each channel by a factor, shape (channels,) or (1,).

        Raises:
            InputError: the model is not additive along a trellis.
        """
        raise self._not_additive()

    def bias(self, points: Tensor) -> Tensor:
        """Return by how much `bits` is too large on average; zero where it is exact.

        Arguments:
            points: lattice units, shape (..., rows, n).

        Returns:
            Bits per lattice vector, shape (..., rows).
        """
        return torch.zeros_like(points[..., 0])

    def _not_additive(self) -> InputError:
        return InputError(
            "quantizer.rdo=true needs entropy=exact and a lattice with a trellis: a cost for "
            "every branch"
        )
