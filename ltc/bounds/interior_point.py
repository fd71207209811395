"""The best output distribution on a finite alphabet, by an interior-point method."""

import math

import numpy as np
from scipy.sparse.linalg import LinearOperator, cg

from ltc.bounds.kernel import Array, Operator, Optimum

__all__ = ["METHOD", "interior_point"]

METHOD = "an interior-point method reached Blahut-Arimoto's optimum in fewer steps"


def interior_point(
    p: Array, kernel: Operator, output: Array, tolerance: float, limit: int = 100
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

    Arguments as of `blahut_arimoto`, but that `limit` counts Newton steps, and that no row of the
    kernel is all zero.

    Example:
        >>> from ltc.bounds.kernel import Kernel
        >>> p = np.array([0.5, 0.5])
        >>> kernel = Kernel(2.0 * (1 - np.eye(2)))  # Hamming distortion, slope 2
        >>> best = interior_point(p, kernel, np.array([0.9, 0.1]), 1e-9)
        >>> best.output.round(4), bool(best.lower <= -np.log((1 + np.exp(-2)) / 2) <= best.upper)
        (array([0.5, 0.5]), True)
    """
    q = output / output.sum()
    mass = kernel.forward(q)
    c = kernel.adjoint(p / mass)
    # Distance to feasibility; the start is put near the central path q v = mu.
    v = np.maximum(1 - c, 0.1 / (len(q) * q))
    upper, lower = math.inf, -math.inf
    best, weights = q, p / mass
    for _ in range(limit):
        total = float(q.sum())
        value = -float(p @ np.log(mass)) + math.log(total)
        dual = -float(p @ np.log(mass)) - math.log(float(c.max()))
        if value < upper:
            upper, best = value, q / total
        if dual > lower:
            lower, weights = dual, p / mass
        if upper - lower <= tolerance:
            break
        mu = max(0.1 * float(q @ v) / len(q), 0.3 * tolerance / len(q))
        curvature = p / mass**2
        step = _newton_step(kernel, curvature, q, v, mu / q - (1 - c))
        slack_step = mu / q - v - v / q * step
        q = q + _longest(q, step) * step
        v = v + _longest(v, slack_step) * slack_step
        mass = kernel.forward(q)
        c = kernel.adjoint(p / mass)
    return Optimum(best, upper, lower, weights)


def _longest(value: Array, step: Array) -> float:
    """Return how much of a step, at most all, leaves a positive vector positive."""
    return min(1.0, 0.95 / max(float((-step / value).max()), 1e-9))


def _newton_step(kernel: Operator, curvature: Array, q: Array, v: Array, right: Array) -> Array:
    """Solve (K^T curvature K + v / q) step = right by preconditioned conjugate gradients.

    In the variables step / sqrt(q) the spectrum lies between min v and about 1 + max v: the
    number of iterations grows only with the root of the accuracy that is asked for. A third of
    the accuracy in each step is enough, since the next one corrects what is left.
    """
    inverse = 1 / (q * kernel.adjoint_of_squares(curvature) + v)
    scale, slack = np.sqrt(q * inverse), v * inverse

    def image(direction: Array) -> Array:
        pushed = kernel.adjoint(curvature * kernel.forward(scale * direction))
        return scale * pushed + slack * direction

    system = LinearOperator((len(q), len(q)), image, dtype=float)
    solution, _ = cg(system, scale * right, rtol=math.sqrt(0.1), maxiter=500)
    step: Array = scale * solution
    return step
