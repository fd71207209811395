"""exp(-s d(x, y)) of source values x and outputs y, as a linear map."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import scipy.sparse
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Kernel", "Operator", "Optimum", "ProductKernel", "along_axes"]


class Optimum(NamedTuple):
    """The best output distribution for a kernel.

    Attributes:
        output: the output distribution q, shape (m,).
        upper: F(q), nats.
        lower: a lower bound of the minimum of F over distributions on this alphabet, nats.
        weights: p(x) lambda(x) for the lambda of that lower bound, shape (n,).
    """

    output: Tensor
    upper: float
    lower: float
    weights: Tensor


class Operator(Protocol):
    """exp(-s d(x, y)) as a linear map; source letters and outputs are flat vectors."""

    def forward(self, output: Tensor) -> Tensor:
        """Return sum_y exp(-s d(x, y)) output(y), shape (n,)."""

    def adjoint(self, weights: Tensor) -> Tensor:
        """Return sum_x exp(-s d(x, y)) weights(x), shape (m,)."""


class Kernel:
    """The matrix exp(-s d(x, y)), dense, or sparse where most entries are negligible.

    Arguments:
        exponents: s d(x, y), shape (n, m): an array, or a scipy CSR matrix of the pairs that
            matter (for the others the kernel is zero).
        device: where products are computed. On the CPU sparse products are scipy's: torch's
            wait for all their threads, which is slow on a machine that has other users.

    Example:
        >>> kernel = Kernel(np.array([[0.0, np.log(2)]]))
        >>> kernel.forward(torch.tensor([0.5, 0.5], dtype=torch.float64)).item()
        0.75
    """

    def __init__(self, exponents: Any, device: torch.device | str = "cpu") -> None:
        self.exponents = exponents
        self.device = torch.device(device)
        self._matrix = self._place(exponents, lambda e: np.exp(-e))
        self._transpose = self._place(exponents.T, lambda e: np.exp(-e))
        self._squares = self._place(exponents.T, lambda e: np.exp(-2 * e))

    def _place(
        self, exponents: Any, function: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    ) -> Any:
        if not scipy.sparse.issparse(exponents):
            return torch.from_numpy(np.ascontiguousarray(function(exponents))).to(self.device)
        matrix = exponents.tocsr(copy=True)
        matrix.data = function(matrix.data)
        if self.device.type == "cpu":
            return matrix
        rows, columns, values = (
            torch.from_numpy(a) for a in (matrix.indptr, matrix.indices, matrix.data)
        )
        return torch.sparse_csr_tensor(rows, columns, values, matrix.shape, device=self.device)

    @staticmethod
    def _apply(matrix: Any, vector: Tensor) -> Tensor:
        if scipy.sparse.issparse(matrix):
            return torch.from_numpy(matrix @ vector.numpy())
        product: Tensor = matrix @ vector
        return product

    def forward(self, output: Tensor) -> Tensor:
        """Return sum_y exp(-s d(x, y)) output(y), shape (n,)."""
        return self._apply(self._matrix, output)

    def adjoint(self, weights: Tensor) -> Tensor:
        """Return sum_x exp(-s d(x, y)) weights(x), shape (m,)."""
        return self._apply(self._transpose, weights)

    def adjoint_of_squares(self, weights: Tensor) -> Tensor:
        """Return sum_x exp(-2 s d(x, y)) weights(x), shape (m,)."""
        return self._apply(self._squares, weights)

    def point(self, p: Tensor, output: Tensor, factor: float = 1.0) -> tuple[float, float]:
        """Return what an output distribution reaches at the slope `factor` times s.

        The code draws from q and accepts according to exp(-factor s d): its rate is
        -E log Z - factor s D, an upper bound of the mutual information.

        Arguments:
            p: the source distribution, shape (n,).
            output: the distribution q, shape (m,).
            factor: which slope, as a multiple of the kernel's.

        Returns:
            The rate in nats and the distortion times s.
        """
        kernel = self._place(self.exponents, lambda e: np.exp(-factor * e))
        errors = self._place(self.exponents, lambda e: e * np.exp(-factor * e))
        mass = self._apply(kernel, output)
        distortion = float(p @ (self._apply(errors, output) / mass))
        return -float(p @ mass.log()) - factor * distortion, distortion


class ProductKernel:
    """The same for product grids and a distortion that is a sum over axes: separable.

    One small matrix for each axis; the matrix of all pairs is never formed.

    Arguments:
        exponents: s d(x, y) of each axis, shapes (n_i, m_i). Source values and outputs are the
            products of the axes, flattened.

    Example:
        >>> kernel = ProductKernel([torch.rand(3, 2).double(), torch.rand(4, 5).double()])
        >>> kernel.forward(torch.full((10,), 0.1, dtype=torch.float64)).shape
        torch.Size([12])
    """

    def __init__(self, exponents: Sequence[Tensor]) -> None:
        self.exponents = list(exponents)
        self._factors = [torch.exp(-e) for e in exponents]
        self._transposes = [f.T.contiguous() for f in self._factors]
        self._inputs = [len(e) for e in exponents]
        self._outputs = [e.shape[1] for e in exponents]

    def forward(self, output: Tensor) -> Tensor:
        """Return sum_y exp(-s d(x, y)) output(y), shape (n,)."""
        return along_axes(self._factors, output.reshape(self._outputs)).flatten()

    def adjoint(self, weights: Tensor) -> Tensor:
        """Return sum_x exp(-s d(x, y)) weights(x), shape (m,)."""
        return along_axes(self._transposes, weights.reshape(self._inputs)).flatten()

    def point(self, p: Tensor, output: Tensor, factor: float = 1.0) -> tuple[float, float]:
        """Return what an output distribution reaches at the slope `factor` times s.

        See `Kernel.point`.
        """
        factors = [torch.exp(-factor * e) for e in self.exponents]
        q = output.reshape(self._outputs)
        mass = along_axes(factors, q).flatten().clamp_min(1e-300)
        errors = torch.zeros_like(mass)
        for axis, exponent in enumerate(self.exponents):
            changed = [f * exponent if k == axis else f for k, f in enumerate(factors)]
            errors += along_axes(changed, q).flatten()
        distortion = float(p @ (errors / mass))
        return -float(p @ mass.log()) - factor * distortion, distortion


def along_axes(matrices: Sequence[Tensor], tensor: Tensor) -> Tensor:
    """Apply one matrix along each axis of a tensor.

    Arguments:
        matrices: shapes (n_i, m_i).
        tensor: shape (m_1, ..., m_d).

    Returns:
        Shape (n_1, ..., n_d).
    """
    for axis, matrix in enumerate(matrices):
        moved = tensor.movedim(axis, 0)
        result = matrix @ moved.flatten(1) if moved.ndim > 1 else matrix @ moved
        tensor = result.reshape(-1, *moved.shape[1:]).movedim(0, axis)
    return tensor
