"""Rows of a matrix in a file."""

import logging
from pathlib import Path

import torch

from ltc.checks import choice, load_array, number
from ltc.errors import InputError
from ltc.sources._folder import normalise as normalise_rows
from ltc.sources.base import FiniteSource
from ltc.sources.split import rows_held_out

__all__ = ["Array"]

log = logging.getLogger("ltc")
FEW = 30  # held-out rows


class Array(FiniteSource):
    """The rows of a `.npy` file.

    Arguments:
        path: `.npy` file of real numbers, shape (rows, dimension), any real type.
        test_path: `.npy` file of held-out rows; None: a part of `path`.
        held_out: the part of `path` that is held out where there is no `test_path`, between 0
            and 1; two rows at least where there are three.
        split: which rows are held out. `random`: any, always the same ones; then rows that
            depend on their neighbours, as those of a time series do, are in both sets, and
            results are too good. `place`: the last ones.
        normalise: whether to take out mean and deviation, see `FiniteSource`; false: rows as they
            are, and `lmbda` weighs their squared error.

    Attributes:
        split: how rows were held out: `random`, `place`, or `file` with a `test_path`.

    Raises:
        InputError: a parameter is none of its values; a file cannot be read or holds anything
            but finite real numbers of the right shape (rows are named); `path` has fewer than
            two rows to split; or the numbers of a set are all equal.

    Example:
        >>> import numpy as np, tempfile
        >>> path = Path(tempfile.mkdtemp(), "rows.npy")
        >>> np.save(path, np.random.default_rng(0).normal(5, 2, size=(100, 3)))
        >>> source = Array(path)
        >>> len(source.train), len(source.test), source.dimension, round(source.offset)
        (90, 10, 3, 5)
    """

    name = "array"

    def __init__(
        self,
        path: str | Path | None = None,
        test_path: str | Path | None = None,
        held_out: float = 0.1,
        split: str = "random",
        normalise: bool = True,
    ) -> None:
        part = number("source.held_out", held_out, 0, 1)
        choice("source.split", split, ("random", "place"))
        choice("source.normalise", normalise, (True, False))
        rows = load_array("source.path", path)
        if test_path is not None:
            split = "file"
            test = load_array("source.test_path", test_path)
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
            held_out_rows = rows_held_out(len(rows), part, split)
            rows, test = rows[~held_out_rows], rows[held_out_rows]
        self.split = split
        advice = "use more rows, a larger source.held_out, or a source.test_path"
        super().__init__(
            *normalise_rows(torch.from_numpy(rows), torch.from_numpy(test), advice, normalise)
        )
        which = {"random": "chosen at random", "place": "the last", "file": str(test_path)}[split]
        few = len(test) < FEW
        log.log(
            logging.WARNING if few else logging.INFO,
            "source=array: %d of %d rows held out (source.split=%s, %s)%s; offset %.6g, gain %.6g",
            len(test),
            len(rows) + len(test),
            split,
            which,
            ", whose mean says little of others" if few else "",
            self.offset,
            self.gain,
        )
