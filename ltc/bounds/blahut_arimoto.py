"""Blahut-Arimoto with certificates, for kernels that are products over dimensions."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Iterate", "blahut_arimoto", "product"]


def product(factors: list[Tensor], tensor: Tensor) -> Tensor:
    """Apply one matrix along each axis of a tensor: a Kronecker product times a vector.

    Arguments:
        factors: matrices of shapes (n_k, m_k), dense or sparse.
        tensor: shape (m_1, ..., m_d).

    Returns:
        Tensor of shape (n_1, ..., n_d).

    Example:
        >>> product([torch.ones(2, 3), torch.eye(4)], torch.ones(3, 4)).tolist()[0]
        [3.0, 3.0, 3.0, 3.0]
    """
    for axis, factor in enumerate(factors):
        moved = tensor.movedim(axis, 0)
        result = factor @ moved.reshape(moved.shape[0], -1)
        tensor = result.reshape(-1, *moved.shape[1:]).movedim(0, axis)
    return tensor


class Iterate(NamedTuple):
    """An output distribution and what the certificates need of it.

    Attributes:
        output: the distribution q, shape (m_1, ..., m_d).
        value: F(q) = -E log Z(x), nats, with Z(x) = sum_y q(y) exp(-s d(x, y)).
        weights: p(x) / Z(x), shape (n_1, ..., n_d); 0 where p is 0.
        c: E [exp(-s d(x, y)) / Z(x)] for each output, shape (m_1, ..., m_d).
        slack: log max c, nats: F(q) is at most this far above its minimum.
    """

    output: Tensor
    value: float
    weights: Tensor
    c: Tensor
    slack: float


def blahut_arimoto(
    p: Tensor,
    kernel: list[Tensor],
    transpose: list[Tensor],
    output: Tensor,
    tolerance: float,
    limit: int,
) -> tuple[Iterate, Iterate]:
    """Minimise F(q) = -E log sum_y q(y) exp(-s d(x, y)) over output distributions q.

    F(q) is an upper bound of the minimum of R + s D, and F(q) - log max c a lower one (Csiszar
    1974; Blahut 1972). The iteration q <- q c^b is Blahut-Arimoto's for b = 1; b grows as long
    as F falls and shrinks when it does not (over-relaxation; Matz and Duhamel 2004), so that
    what converges slowly is not waited for.

    Arguments:
        p: the source distribution, shape (n_1, ..., n_d).
        kernel: factors of exp(-s d(x, y)), shapes (n_k, m_k).
        transpose: the same transposed, shapes (m_k, n_k).
        output: where to start, positive, shape (m_1, ..., m_d).
        tolerance: stop when the two bounds are this close, nats.
        limit: iterations at most.

    Returns:
        The iterate with the smallest F, and the one with the largest F - log max c: the best
        upper and the best lower bound that were met.
    """
    tiny = torch.finfo(p.dtype).tiny
    exponent = 1.0
    primal: Iterate | None = None
    dual: Iterate | None = None
    for _ in range(limit):
        mass = product(kernel, output).clamp_min(tiny)
        weights = p / mass
        c = product(transpose, weights)
        now = Iterate(output, -float((p * mass.log()).sum()), weights, c, float(c.max().log()))
        if dual is None or now.value - now.slack > dual.value - dual.slack:
            dual = now
        if primal is None or now.value <= primal.value:
            primal, exponent = now, exponent * 1.1
        else:
            exponent = max(1.0, exponent / 3)
        if primal.value - (dual.value - dual.slack) <= tolerance:
            break
        output = primal.output * primal.c**exponent
        output = (output / output.sum()).clamp_min(tiny)
    assert primal is not None
    assert dual is not None
    return primal, dual
