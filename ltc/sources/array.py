"""Rows of a matrix in a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from ltc.errors import InputError
from ltc.sources._checks import load_array, number
from ltc.sources.base import FiniteSource

__all__ = ["Array"]


class Array(FiniteSource):
    """The rows of a `.npy` file, as they are: nothing is centred or scaled.

    `lmbda` therefore means another thing than for sources of unit variance; divide the rows by
    their standard deviation first to have it mean the same.

    Arguments:
        path: `.npy` file of real numbers, shape (rows, dimension), any real type.
        test_path: `.npy` file of held-out rows; None: a part of `path`.
        held_out: the part of `path` that is held out where there is no `test_path`, between 0
            and 1. The rows are chosen at random, always the same ones. Rows that depend on
            their neighbours, as frames of a signal do, would be in both sets then: give a
            `test_path` for those.

    Raises:
        InputError: a file cannot be read or holds anything but finite real numbers of the
            right shape (rows are named), or `path` has fewer than two rows to split.

    Example:
        >>> import numpy as np, tempfile
        >>> path = Path(tempfile.mkdtemp(), "rows.npy")
        >>> np.save(path, np.random.default_rng(0).normal(size=(100, 3)))
        >>> source = Array(path)
        >>> len(source.train), len(source.test), source.dimension
        (90, 10, 3)
    """

    name = "array"

    def __init__(
        self,
        path: str | Path | None = None,
        test_path: str | Path | None = None,
        held_out: float = 0.1,
    ) -> None:
        part = number("held_out", held_out, 0, 1)
        rows = load_array("path", path)
        if test_path is not None:
            test = load_array("test_path", test_path)
            if test.shape[1] != rows.shape[1]:
                raise InputError(
                    f"source.path={path} has {rows.shape[1]} columns, source.test_path={test_path} "
                    f"{test.shape[1]}; both need the same number"
                )
        else:
            if len(rows) < 2:
                raise InputError(
                    f"source.path={path} has 1 row; expected two at least, one to train on and "
                    "one to hold out"
                )
            count = min(max(1, round(part * len(rows))), len(rows) - 1)
            order = np.random.default_rng(0).permutation(len(rows))
            rows, test = rows[np.sort(order[count:])], rows[np.sort(order[:count])]
        super().__init__(torch.from_numpy(rows), torch.from_numpy(test))
