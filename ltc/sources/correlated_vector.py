"""Gaussian vectors with a known covariance."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ltc.checks import integer, load_array, number
from ltc.errors import InputError
from ltc.sources.base import Source

__all__ = ["CorrelatedVector"]


class CorrelatedVector(Source):
    """Gaussian vectors: of an AR(1) process, or of a covariance from a file.

    The rate-distortion function is known: reverse water-filling on the eigenvalues of the
    covariance.

    Reference:
        Cover and Thomas: Elements of Information Theory, section 10.3.3. Wiley (2006).

    Arguments:
        dimension: scalars per vector, d.
        correlation: of neighbouring scalars, between -1 and 1; that of scalars k apart is its
            k-th power, and each scalar has unit variance.
        covariance: a `.npy` file of a covariance, shape (d, d), to use instead; `dimension` and
            `correlation` are then not used, and the variances are what the file says.

    Raises:
        InputError: a parameter is out of its range, or the file holds no covariance.

    Example:
        >>> source = CorrelatedVector(3, 0.5)
        >>> source.covariance
        tensor([[1.0000, 0.5000, 0.2500],
                [0.5000, 1.0000, 0.5000],
                [0.2500, 0.5000, 1.0000]], dtype=torch.float64)
        >>> source.sample(5, torch.Generator().manual_seed(0)).shape
        torch.Size([5, 3])
    """

    name = "correlated_vector"
    gaussian = True

    def __init__(
        self,
        dimension: int = 16,
        correlation: float = 0.9,
        covariance: str | Path | None = None,
    ) -> None:
        if covariance is None:
            self.dimension = integer("source.dimension", dimension)
            lag = np.abs(np.subtract.outer(np.arange(self.dimension), np.arange(self.dimension)))
            matrix = number("source.correlation", correlation, -1, 1) ** lag
        else:
            matrix = load_array("source.covariance", covariance)
            self._check(covariance, matrix)
            self.dimension = len(matrix)
        self._covariance = matrix
        # A square root from the eigenvalues: a singular covariance has no Cholesky factor.
        variances, directions = np.linalg.eigh(matrix)
        root = directions * np.sqrt(np.maximum(variances, 0))
        self._root = torch.from_numpy(root.T).float()

    @staticmethod
    def _check(path: str | Path, matrix: np.ndarray[Any, np.dtype[np.float64]]) -> None:
        rows, columns = matrix.shape
        if rows != columns:
            raise InputError(
                f"source.covariance={path} has shape ({rows}, {columns}); expected a square matrix"
            )
        if not np.allclose(matrix, matrix.T, rtol=1e-6, atol=1e-9 * np.abs(matrix).max()):
            i, j = np.unravel_index(np.abs(matrix - matrix.T).argmax(), matrix.shape)
            raise InputError(
                f"source.covariance={path} is not symmetric: entry ({i}, {j}) is {matrix[i, j]:g}, "
                f"entry ({j}, {i}) is {matrix[j, i]:g}"
            )
        variances = np.linalg.eigvalsh(matrix)
        if variances[0] < -1e-9 * abs(variances[-1]):
            raise InputError(
                f"source.covariance={path} has the eigenvalue {variances[0]:.3g}; a covariance is "
                "positive semidefinite: it has none below zero"
            )
        if variances[-1] <= 0:
            raise InputError(f"source.covariance={path} is zero: a constant source needs no coder")

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw vectors, shape (count, dimension)."""
        white = torch.randn(count, self.dimension, generator=generator, device=generator.device)
        return white @ self._root.to(generator.device)

    @property
    def covariance(self) -> Tensor:
        """The covariance, shape (dimension, dimension), float64, as given."""
        return torch.from_numpy(self._covariance)
