"""The Blahut-Arimoto algorithm on a finite alphabet."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor

from ltc.bounds.kernel import Operator, Optimum

__all__ = ["METHOD", "Report", "blahut_arimoto"]

METHOD = "Blahut-Arimoto ran until Csiszár's two ends met"

# Called with how far apart the two ends are, and how far they may be, nats.
Report = Callable[[float, float], None]


def blahut_arimoto(
    p: Tensor,
    kernel: Operator,
    output: Tensor,
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
        >>> import numpy as np
        >>> import torch
        >>> from ltc.bounds.kernel import Kernel
        >>> p = torch.tensor([0.5, 0.5], dtype=torch.float64)
        >>> kernel = Kernel(2.0 * (1 - np.eye(2)))  # Hamming distortion, slope 2
        >>> best = blahut_arimoto(p, kernel, torch.tensor([0.9, 0.1], dtype=torch.float64), 1e-9)
        >>> [round(float(q), 4) for q in best.output]
        [0.5, 0.5]
        >>> bool(best.lower <= -np.log((1 + np.exp(-2)) / 2) <= best.upper)
        True
    """
    best = Optimum(output, math.inf, -math.inf, p)

    def evaluate(log_q: Tensor) -> tuple[Tensor, Tensor, float]:
        """Return log q, log c and F, and remember them if they are the best so far."""
        nonlocal best
        log_q = (log_q - log_q.logsumexp(0)).clamp_min(-300.0)
        q = log_q.exp()
        mass = kernel.forward(q).clamp_min(1e-300)
        log_c = kernel.adjoint(p / mass).clamp_min(1e-300).log()
        value = -float(p @ mass.log())
        lower = value - float(log_c.max())
        if value < best.upper:
            best = best._replace(output=q, upper=value)
        if lower > best.lower:
            best = best._replace(lower=lower, weights=p / mass)
        return log_q, log_c, value

    log_q, log_c, _ = evaluate(output.clamp_min(1e-300).log())
    for _ in range(limit // 3):
        if best.upper - best.lower <= tolerance:
            break
        if report:
            report(best.upper - best.lower, tolerance)
        once = evaluate(log_q + log_c)
        # The change of the change says how far to go.
        turn = once[1] - log_c
        weights = once[0].exp()
        length = float((weights @ log_c.square()) / (weights @ turn.square()).clamp_min(1e-300))
        length = max(1.0, math.sqrt(length))
        while True:
            far = evaluate(log_q + 2 * length * log_c + length**2 * turn)
            if far[2] <= once[2] or length == 1.0:
                break
            length = (length + 1) / 2 if length > 2 else 1.0
        log_q, log_c, _ = far if far[2] <= once[2] else once
    return best
