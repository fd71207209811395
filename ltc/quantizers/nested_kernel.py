"""A step of the search for a nested lattice's codewords, compiled for the CPU."""

from torch import Tensor

from ltc.compiled import compiled

__all__ = ["move"]


def move(*tensors: Tensor, back: float, push: float, same: float) -> None:
    """Keep the better codewords and move on: `ltc.quantizers.nested._move`, in one pass."""
    _move(*(*(tensor.numpy() for tensor in tensors), back, push, same))


# Sums in any order, which the processor does several at a time.
@compiled(fastmath={"contract", "reassoc"})
def _move(  # type: ignore[no-untyped-def]
    x, target, nearest, coarse, at, best, least, back, push, same
):
    n = x.shape[1]
    back, push, same = x.dtype.type(back), x.dtype.type(push), x.dtype.type(same)
    zero = x.dtype.type(0)
    for row in range(len(x)):
        cost = norm = along = zero
        for i in range(n):
            point = nearest[row, i] - coarse[row, i]
            cost += point * (point - 2 * x[row, i])
            norm += coarse[row, i] * coarse[row, i]
            along += nearest[row, i] * coarse[row, i]
        if cost < least[row, 0]:
            least[row, 0] = cost
            for i in range(n):
                best[row, i] = nearest[row, i] - coarse[row, i]
        if norm < same:
            for i in range(n):
                at[row, i] += back * (target[row, i] - at[row, i])
        else:
            beyond = max(along / norm - 0.5, push)
            for i in range(n):
                at[row, i] -= beyond * coarse[row, i]
