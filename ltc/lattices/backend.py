"""Which code computes: compiled for the CPU, or torch; and on how many threads."""

import functools
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor

from ltc.errors import InputError

__all__ = ["UNRESOLVED", "force_backend", "in_parallel", "runs_on_numba"]

# Beyond this many steps from the origin a float64 no longer tells neighbouring points apart.
UNRESOLVED = 2.0**52

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


@functools.lru_cache(maxsize=2)
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="ltc-lattices")


def in_parallel(kernel: Callable[..., None], count: int, grain: int, *args: Any) -> None:
    """Call `kernel(start, stop, *args)` on ranges that together cover `range(count)`.

    Arguments:
        kernel: a function that releases Python's lock.
        count: number of items.
        grain: as many items as are worth a thread.
        args: handed on.
    """
    parts = max(1, min(torch.get_num_threads(), count // max(grain, 1)))
    ends = [count * part // parts for part in range(parts + 1)]
    # The process is part of the key because a forked child has no threads in its parent's pool.
    submit = _pool(os.getpid(), torch.get_num_threads()).submit
    futures = [submit(kernel, *ends[part : part + 2], *args) for part in range(1, parts)]
    kernel(ends[0], ends[1], *args)
    for future in futures:
        future.result()
