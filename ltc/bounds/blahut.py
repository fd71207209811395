"""The Blahut-Arimoto algorithm on a finite alphabet."""

import math
from collections.abc import Callable

import numpy as np

from ltc.bounds.kernel import Array, Operator, Optimum

__all__ = ["METHOD", "Report", "blahut_arimoto"]

METHOD = "Blahut-Arimoto ran until Csiszár's two ends met"

# Called with how far apart the two ends are, and how far they may be, nats.
Report = Callable[[float, float], None]


def blahut_arimoto(
    p: Array,
    kernel: Operator,
    output: Array,
    tolerance: float,
    limit: int = 20_000,
    report: Report | None = None,
) -> Optimum:
    """Minimise F(q) = -E log sum_y q(y) exp(-s d(x, y)) over output distributions q.

    Each iteration multiplies q by c(y) = E [exp(-s d(x, y)) / Z(x)], Z(x) being the sum above
    (Blahut 1972; Arimoto 1972). Csiszar's two ends (1974), F(q) from above and
    F(q) - log max_y c(y) from below, say when to stop. Every second iterate is extrapolated in
    log q from the last two (SQUAREM: Varadhan and Roland 2008), and the extrapolation is kept
    only if F falls: F falls in every step, as it does without, in a tenth of the iterations.

    Arguments:
        p: the source distribution, shape (n,), sum 1.
        kernel: exp(-s d(x, y)).
        output: where to start, shape (m,).
        tolerance: stop when the ends are this close, nats.
        limit: evaluations of c at most.
        report: called in each iteration with the distance of the ends and the tolerance, nats.

    Returns:
        The best output distribution, and the best lower bound with its lambda.

    Example:
        >>> from ltc.bounds.kernel import Kernel
        >>> p = np.array([0.5, 0.5])
        >>> kernel = Kernel(2.0 * (1 - np.eye(2)))  # Hamming distortion, slope 2
        >>> best = blahut_arimoto(p, kernel, np.array([0.9, 0.1]), 1e-9)
        >>> best.output.round(4), bool(best.lower <= -np.log((1 + np.exp(-2)) / 2) <= best.upper)
        (array([0.5, 0.5]), True)
    """
    best = Optimum(output, math.inf, -math.inf, p)

    def evaluate(log_q: Array) -> tuple[Array, Array, float]:
        """Return log q, log c and F, and remember them if they are the best so far."""
        nonlocal best
        log_q = np.maximum(log_q - log_q.max(), -300.0)
        q = np.exp(log_q)
        total = float(q.sum())
        q, log_q = q / total, log_q - math.log(total)
        mass = np.maximum(kernel.forward(q), 1e-300)
        log_c = np.log(np.maximum(kernel.adjoint(p / mass), 1e-300))
        value = -float(p @ np.log(mass))
        lower = value - float(log_c.max())
        if value < best.upper:
            best = best._replace(output=q, upper=value)
        if lower > best.lower:
            best = best._replace(lower=lower, weights=p / mass)
        return log_q, log_c, value

    log_q, log_c, _ = evaluate(np.log(np.maximum(output, 1e-300)))
    for _ in range(limit // 3):
        if best.upper - best.lower <= tolerance:
            break
        if report:
            report(best.upper - best.lower, tolerance)
        once = evaluate(log_q + log_c)
        # The change of the change says how far to go.
        turn = once[1] - log_c
        weights = np.exp(once[0])
        length = float(weights @ log_c**2) / max(float(weights @ turn**2), 1e-300)
        length = max(1.0, math.sqrt(length))
        while True:
            far = evaluate(log_q + 2 * length * log_c + length**2 * turn)
            if far[2] <= once[2] or length == 1.0:
                break
            length = (length + 1) / 2 if length > 2 else 1.0
        log_q, log_c, _ = far if far[2] <= once[2] else once
    return best
