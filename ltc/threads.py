"""How many threads torch works with."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TypeVar

import torch

__all__ = ["each_in_parallel", "in_parallel", "one_thread", "threads"]

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch use a number of threads for a while.

    Example:
        >>> with threads(2):
        ...     torch.get_num_threads()
        2
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def one_thread(when: bool = True) -> AbstractContextManager[None]:
    """Let torch use one thread while tensors are small: more would wait longer than they work.

    Arguments:
        when: False: change nothing.

    Example:
        >>> with one_thread():
        ...     torch.get_num_threads()
        1
    """
    return threads(1) if when else nullcontext()


def each_in_parallel(task: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield what a task returns for each item, in their order, on as many threads as torch uses.

    Example:
        >>> list(each_in_parallel(abs, [2, -3]))
        [2, 3]
    """
    pool = ThreadPoolExecutor(torch.get_num_threads())
    try:
        yield from pool.map(task, items)
    finally:
        pool.shutdown(cancel_futures=True)  # who stops early does not wait for the rest


def in_parallel(task: Callable[[Item], Iterable[Result]], items: Iterable[Item]) -> list[Result]:
    """Return what a task returns for each item, joined, on as many threads as torch uses.

    Example:
        >>> in_parallel(range, [2, 3])
        [0, 1, 0, 1, 2]
    """
    return [result for results in each_in_parallel(task, items) for result in results]
