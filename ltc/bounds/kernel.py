"""exp(-s d(x, y)) of source values x and outputs y, as a linear map."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

__all__ = ["Kernel", "Operator", "Optimum", "ProductKernel", "along_axes"]

Array = NDArray[np.float64]


class Optimum(NamedTuple):
    """The best output distribution for a kernel.

    Attributes:
        output: the output distribution q, shape (m,).
        upper: F(q), nats.
        lower: a lower bound of the minimum of F over distributions on this alphabet, nats.
        weights: p(x) lambda(x) for the lambda of that lower bound, shape (n,).
    """

    output: Array
    upper: float
    lower: float
    weights: Array


class Operator(Protocol):
    """exp(-s d(x, y)) as a linear map; source letters and outputs are flat vectors."""

    def forward(self, output: Array) -> Array:
        """Return sum_y exp(-s d(x, y)) output(y), shape (n,)."""

    def adjoint(self, weights: Array) -> Array:
        """Return sum_x exp(-s d(x, y)) weights(x), shape (m,)."""

    def adjoint_of_squares(self, weights: Array) -> Array:
        """Return sum_x exp(-2 s d(x, y)) weights(x), shape (m,)."""

    def point(self, p: Array, output: Array, factor: float = 1.0) -> tuple[float, float]:
        """Return what an output distribution reaches at the slope `factor` times s.

        The code draws from q and accepts according to exp(-factor s d): its rate is
        -E log Z - factor s D, an upper bound of the mutual information.

        p is the source distribution, shape (n,), `output` is q, shape (m,). Returned are the rate
        in nats and the distortion times s.
        """

    def points(self, p: Array, output: Array) -> Array:
        """Return what is reached at slopes just below s, at s and just above, shape (2, 3)."""
        return np.array([self.point(p, output, factor) for factor in (0.97, 1.0, 1.03)]).T


class Kernel(Operator):
    """The matrix exp(-s d(x, y)), dense, or sparse where most entries are negligible.

    Arguments:
        exponents: s d(x, y), shape (n, m): an array, or a scipy CSR matrix of the pairs that
            matter (for the others the kernel is zero).

    Example:
        >>> float(Kernel(np.array([[0.0, np.log(2)]])).forward(np.array([0.5, 0.5]))[0])
        0.75
    """

    def __init__(self, exponents: Any) -> None:
        self.exponents = exponents
        self._matrix = self._map(lambda e: np.exp(-e))
        # The products that are computed most go along rows.
        self._transpose = self._matrix.T
        if scipy.sparse.issparse(exponents):
            self._transpose = self._transpose.tocsr()
        self._squares: Any = None

    def _map(self, function: Any) -> Any:
        if not scipy.sparse.issparse(self.exponents):
            return function(self.exponents)
        matrix = self.exponents.copy()
        matrix.data = function(matrix.data)
        return matrix

    def forward(self, output: Array) -> Array:
        """Return sum_y exp(-s d(x, y)) output(y), shape (n,)."""
        return np.asarray(self._matrix @ output)

    def adjoint(self, weights: Array) -> Array:
        """Return sum_x exp(-s d(x, y)) weights(x), shape (m,)."""
        return np.asarray(self._transpose @ weights)

    def adjoint_of_squares(self, weights: Array) -> Array:
        """Return sum_x exp(-2 s d(x, y)) weights(x), shape (m,)."""
        if self._squares is None:
            self._squares = self._map(lambda e: np.exp(-2 * e)).T
        return np.asarray(self._squares @ weights)

    def point(self, p: Array, output: Array, factor: float = 1.0) -> tuple[float, float]:
        """Return the rate and the distortion times s, see `Operator.point`."""
        mass = self._map(lambda e: np.exp(-factor * e)) @ output
        errors = self._map(lambda e: e * np.exp(-factor * e)) @ output
        distortion = float(p @ (errors / mass))
        return -float(p @ np.log(mass)) - factor * distortion, distortion


class ProductKernel(Operator):
    """The same for product grids and a distortion that is a sum over axes: separable.

    One small matrix for each axis; the matrix of all pairs is never formed.

    Arguments:
        exponents: s d(x, y) of each axis, shapes (n_i, m_i). Source values and outputs are the
            products of the axes, flattened.

    Example:
        >>> kernel = ProductKernel([np.ones((3, 2)), np.ones((4, 5))])
        >>> kernel.forward(np.full(10, 0.1)).shape
        (12,)
    """

    def __init__(self, exponents: Sequence[Array]) -> None:
        self.exponents = list(exponents)
        self._factors = [np.exp(-e) for e in exponents]
        self._inputs, self._outputs = zip(*(e.shape for e in exponents), strict=True)

    def forward(self, output: Array) -> Array:
        """Return sum_y exp(-s d(x, y)) output(y), shape (n,)."""
        return along_axes(self._factors, output.reshape(self._outputs)).ravel()

    def adjoint(self, weights: Array) -> Array:
        """Return sum_x exp(-s d(x, y)) weights(x), shape (m,)."""
        return along_axes([f.T for f in self._factors], weights.reshape(self._inputs)).ravel()

    def adjoint_of_squares(self, weights: Array) -> Array:
        """Return sum_x exp(-2 s d(x, y)) weights(x), shape (m,)."""
        squares = [f.T**2 for f in self._factors]
        return along_axes(squares, weights.reshape(self._inputs)).ravel()

    def point(self, p: Array, output: Array, factor: float = 1.0) -> tuple[float, float]:
        """Return the rate and the distortion times s, see `Operator.point`."""
        factors = [np.exp(-factor * e) for e in self.exponents]
        q = output.reshape(self._outputs)
        mass = np.maximum(along_axes(factors, q).ravel(), 1e-300)
        errors = sum(
            along_axes([f * e if k == axis else f for k, f in enumerate(factors)], q).ravel()
            for axis, e in enumerate(self.exponents)
        )
        distortion = float(p @ (errors / mass))
        return -float(p @ np.log(mass)) - factor * distortion, distortion


def along_axes(matrices: Sequence[Array], tensor: Array) -> Array:
    """Apply matrices of shapes (n_i, m_i) along the axes of a tensor, (m_1, ...) to (n_1, ...)."""
    for axis, matrix in enumerate(matrices):
        tensor = np.moveaxis(np.tensordot(matrix, tensor, (1, axis)), 0, axis)
    return tensor
