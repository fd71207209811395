"""What every entropy model offers."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from ltc.entropy.point_table import PointTable
from ltc.errors import InputError
from ltc.lattices import Lattice, Section, Trellis

__all__ = ["EntropyModel"]


class EntropyModel(nn.Module, ABC):
    """A probability for every lattice point.

    A model has tables, of probabilities or densities. Which table a coordinate of a point uses is
    an argument of its methods: integers that broadcast to the points, one for each coordinate, or
    one for all of a lattice vector, shape (..., rows, 1). Points are in lattice units, shape
    (..., rows, n).

    Attributes:
        trellis: along which `-log2 p` is additive; None where it is not. A model that has one can
            be refitted to points, tells an encoder what a point costs, and can be frozen as a
            bitstream: it has the methods from `bits_along` to `move`, which otherwise raise an
            InputError.
        tables: how many tables there are.
        context: whether `table` looks at the points.
    """

    trellis: Trellis | None = None
    tables: int = 1
    context: bool = False

    def table(self, points: Tensor, channel: Tensor) -> Tensor:
        """Return which table each coordinate uses: that of its channel.

        A model with a context overrides it and sets `context`. It then returns one table for each
        lattice vector. That of row r may depend on the rows before r of the same points, and on
        nothing else: a decoder knows no more. Floats that differ in the last place from machine
        to machine must give the same table.

        Arguments:
            points: lattice units, shape (..., rows, n); not yet quantized where a model starts.
            channel: the channel of each coordinate, shape (rows, n) or (rows, 1).

        Returns:
            Integers, shape of `channel`; with a context (..., rows, 1).
        """
        return channel

    @abstractmethod
    def bits(self, points: Tensor, table: Tensor, dither: Tensor | None = None) -> Tensor:
        """Return the code lengths of lattice points.

        Arguments:
            points: lattice units, shape (..., rows, n).
            table: which table each coordinate uses.
            dither: the shift of the lattice that the points lie on, same shape; None: none.

        Returns:
            `-log2 p` in bits per lattice vector, shape (..., rows), differentiable in the points
            and the parameters.
        """

    def bias(self, points: Tensor, table: Tensor) -> Tensor:
        """Return by how much `bits` is too large on average; zero where it is exact.

        Returns:
            Bits per lattice vector, shape (..., rows).
        """
        return torch.zeros_like(points[..., 0])

    @abstractmethod
    def initialise(self, vectors: Tensor, table: Tensor) -> None:
        """Start from the distribution of unquantized vectors, shape (..., rows, n)."""

    def use(self, lattice: Lattice) -> None:
        """Give probabilities to the points of another lattice with the same cosets."""
        if self.trellis is not None:
            self.trellis = lattice.trellis

    def log_density(self, value: Tensor, table: Tensor) -> Tensor:
        """Return the natural logarithm of what each coordinate adds to `p`, up to a constant."""
        return self.log_density_of_kinds(value, self.kinds(table))

    def bits_along(self, points: Tensor, table: Tensor, section: Section) -> Tensor:
        """Return what each coordinate of an endless path costs, given all before it.

        Arguments:
            points: lattice units, shape (..., rows, n).
            table: which table each coordinate uses.
            section: the section of the trellis that repeats.

        Returns:
            `-log2 p` in bits, shape of `points`, float64.
        """
        raise self._not_additive()

    def kinds(self, table: Tensor) -> Tensor:
        """Return for each coordinate which row of a `PointTable` it uses, shape (..., n)."""
        raise self._not_additive()

    def log_density_of_kinds(self, value: Tensor, kinds: Tensor) -> Tensor:
        """Return the `log_density` of coordinates, shape (..., *kinds.shape), of these `kinds`."""
        raise self._not_additive()

    def support(self, kinds: Tensor) -> tuple[Tensor, Tensor]:
        """Return the ends of the intervals that hold the mass of kinds, shape of `kinds`."""
        raise self._not_additive()

    def log_mass(self, table: Tensor, dither: Tensor | None = None) -> Tensor:
        """Return the mass of each coset: the sum of f, of which log is the `log_density`.

        Arguments:
            table: which table each coordinate uses.
            dither: shifts of the cosets, shape (..., rows, n); None: none.

        Returns:
            Natural logarithms, shape (..., rows, n, cosets).
        """
        raise self._not_additive()

    def fit(self, points: Tensor, table: Tensor) -> None:
        """Maximise the likelihood of lattice points."""
        raise self._not_additive()

    def free_points(self) -> PointTable:
        """Let `fit` choose the probability of each point near zero freely.

        Returns:
            A table with an entry for each of these points, for reconstruction points.
        """
        raise self._not_additive()

    def as_likely_as(self, values: Tensor) -> None:
        """Give each of the `free_points` the smooth probability of another value.

        Arguments:
            values: lattice units, one for each entry of the table.
        """
        raise self._not_additive()

    def shrink(self, factor: Tensor) -> None:
        """Divide the values of each channel by a factor, shape (channels,) or (1,)."""
        raise self._not_additive()

    def move(self, offset: Tensor) -> None:
        """Add an offset to the values of each channel, shape (channels,)."""
        raise self._not_additive()

    def _not_additive(self) -> InputError:
        return InputError(
            "quantizer.rdo=true needs entropy=exact and a lattice with a trellis: a cost for "
            "every branch"
        )
