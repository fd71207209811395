"""The best output distribution on a finite alphabet, by an interior-point method."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
import scipy.sparse
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Kernel", "Operator", "Optimum", "interior_point"]


class Operator(Protocol):
    """exp(-s d(x, y)) as a linear map; source letters and outputs are flat vectors."""

    def forward(self, output: Tensor) -> Tensor:
        """Return sum_y exp(-s d(x, y)) output(y), shape (n,)."""

    def adjoint(self, weights: Tensor) -> Tensor:
        """Return sum_x exp(-s d(x, y)) weights(x), shape (m,)."""

    def adjoint_of_squares(self, weights: Tensor) -> Tensor:
        """Return sum_x exp(-2 s d(x, y)) weights(x), shape (m,)."""


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


class Optimum(NamedTuple):
    """What the interior-point method found.

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


def interior_point(
    p: Tensor, kernel: Operator, output: Tensor, tolerance: float, limit: int = 100
) -> Optimum:
    """Minimise F(q) = -E log sum_y q(y) exp(-s d(x, y)) over output distributions q.

    The minimum is that of R + s D. Csiszar's dual (1974) bounds it from below by
    E log lambda - log max_y c(y), c(y) = E [lambda(x) exp(-s d(x, y))], for any lambda > 0;
    both bounds are computed in every step with lambda = 1 / Z, Z(x) = sum_y q(y) exp(-s d(x, y)),
    and the method stops when they are close enough.

    Blahut-Arimoto climbs to the same optimum by q <- q c, slowly: dead outputs fade like one
    over the number of iterations. A primal-dual interior-point method (Wright 1997; for this
    convex programme, the maximum-likelihood mixture, Koenker and Mizera 2014) needs 10 to 40
    Newton steps on 1 - c = v, q v = mu, whose linear systems are solved by conjugate gradients:
    two products with the kernel each, so that sparse kernels stay sparse.

    Arguments:
        p: the source distribution, shape (n,), positive, sum 1.
        kernel: exp(-s d(x, y)), shape (n, m), no row all zero.
        output: where to start, positive, shape (m,).
        tolerance: stop when the bounds are this close, nats.
        limit: Newton steps at most.

    Returns:
        The best output distribution, and the best lower bound with its lambda.

    Example:
        >>> p = torch.tensor([0.5, 0.5], dtype=torch.float64)
        >>> kernel = Kernel(2.0 * (1 - np.eye(2)))  # Hamming distortion, slope 2
        >>> best = interior_point(p, kernel, torch.tensor([0.9, 0.1], dtype=torch.float64), 1e-9)
        >>> [round(float(q), 4) for q in best.output]
        [0.5, 0.5]
        >>> bool(best.lower <= -np.log((1 + np.exp(-2)) / 2) <= best.upper)
        True
    """
    q = output / output.sum()
    mass = kernel.forward(q)
    c = kernel.adjoint(p / mass)
    # Distance to feasibility; the start is put near the central path q v = mu.
    v = torch.maximum(1 - c, 0.1 / (len(q) * q))
    upper, lower = math.inf, -math.inf
    best, weights = q, p / mass
    for _ in range(limit):
        total = float(q.sum())
        value = -float(p @ mass.log()) + math.log(total)
        dual = -float(p @ mass.log()) - math.log(float(c.max()))
        if value < upper:
            upper, best = value, q / total
        if dual > lower:
            lower, weights = dual, p / mass
        if upper - lower <= tolerance:
            break
        mu = max(0.1 * float(q @ v) / len(q), 0.3 * tolerance / len(q))
        curvature = p / mass.square()
        step = _newton_step(kernel, curvature, q, v, mu / q - (1 - c))
        slack_step = mu / q - v - v / q * step
        q = q + _longest(q, step) * step
        v = v + _longest(v, slack_step) * slack_step
        mass = kernel.forward(q)
        c = kernel.adjoint(p / mass)
    return Optimum(best, upper, lower, weights)


def _longest(value: Tensor, step: Tensor) -> float:
    """Return how much of a step, at most all, leaves a positive vector positive."""
    return min(1.0, 0.95 / max(float((-step / value).max()), 1e-9))


def _newton_step(
    kernel: Operator, curvature: Tensor, q: Tensor, v: Tensor, right: Tensor
) -> Tensor:
    """Solve (K^T curvature K + v / q) step = right by preconditioned conjugate gradients.

    In the variables step / sqrt(q) the spectrum lies between min v and about 1 + max v: the
    number of iterations grows only with the root of the accuracy that is asked for. A third of
    the accuracy in each step is enough, since the next one corrects what is left.
    """
    root = q.sqrt()
    inverse = 1 / (q * kernel.adjoint_of_squares(curvature) + v)
    solution = torch.zeros_like(q)
    residual = root * right
    z = inverse * residual
    direction = z
    size = float(residual @ z)
    goal = 0.1 * size
    for _ in range(500):
        if size <= goal:
            break
        image = root * kernel.adjoint(curvature * kernel.forward(root * direction)) + v * direction
        length = size / float(direction @ image)
        solution = solution + length * direction
        residual = residual - length * image
        z = inverse * residual
        previous, size = size, float(residual @ z)
        direction = z + (size / previous) * direction
    return root * solution
