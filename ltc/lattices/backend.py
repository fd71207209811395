"""Which code computes: compiled for the CPU, or torch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from torch import Tensor

from ltc.errors import InputError

__all__ = ["force_backend", "runs_on_numba"]

_forced: ContextVar[str | None] = ContextVar("ltc_lattices_backend", default=None)


@contextmanager
def force_backend(name: str) -> Iterator[None]:
    """Compute on lattices with this backend, within a `with` block, whatever the device.

    Without it, tensors on the CPU go to `numba` and all others to `torch`. Both return the same.

    Arguments:
        name: `numba`, kernels compiled for the CPU, or `torch`.

    Raises:
        InputError: the name is neither.

    Example:
        >>> import torch
        >>> from ltc.lattices import E8
        >>> with force_backend("torch"):
        ...     point = E8().closest_point(torch.zeros(8))
    """
    if name not in ("numba", "torch"):
        raise InputError(f"got backend {name!r}; expected numba or torch")
    token = _forced.set(name)
    try:
        yield
    finally:
        _forced.reset(token)


def runs_on_numba(x: Tensor) -> bool:
    """Return whether what is computed from this tensor is computed by numba.

    Arguments:
        x: the input.

    Raises:
        InputError: numba is forced and the tensor is not on the CPU.
    """
    if _forced.get() == "numba" and x.device.type != "cpu":
        raise InputError(
            f"the numba backend is forced, but the input is on {x.device}: move it to the CPU"
        )
    return _forced.get() != "torch" and x.device.type == "cpu"
