"""What every entropy model offers."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

__all__ = ["EntropyModel"]


class EntropyModel(nn.Module, ABC):
    """A probability for every lattice point."""

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
