"""What is held out of data: files, recordings, rows. It is the same every time."""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["file_held_out", "recordings_held_out", "rows_held_out"]


def file_held_out(index: int) -> bool:
    """Tell of a file, by its place in sorted order, whether it is held out: every tenth is.

    Example:
        >>> [file_held_out(index) for index in (0, 1, 9, 10)]
        [True, False, False, True]
    """
    return index % 10 == 0


def recordings_held_out(paths: list[Path]) -> list[bool]:
    """Tell which recordings are held out.

    Where all are named `DIGIT_SPEAKER_INDEX` as in the Free Spoken Digit Dataset, its own split
    holds: index 0 to 4 is held out. Otherwise `file_held_out` tells.

    Arguments:
        paths: the files, sorted.

    Returns:
        For each file, whether it is held out.

    Example:
        >>> recordings_held_out([Path("7_theo_4.wav"), Path("7_theo_5.wav")])
        [True, False]
        >>> recordings_held_out([Path("a.wav"), Path("b.wav"), Path("c.wav")])
        [True, False, False]
    """
    names = [re.fullmatch(r"\d_[^_]+_(\d+)", path.stem) for path in paths]
    held_out = [name is not None and int(name[1]) < 5 for name in names]
    if all(names) and any(held_out) and not all(held_out):
        return held_out
    return [file_held_out(index) for index in range(len(paths))]


def rows_held_out(count: int, part: float, split: str) -> NDArray[np.bool_]:
    """Tell which rows of an array are held out.

    Arguments:
        count: how many rows there are, two at least.
        part: of them that is held out, between 0 and 1. Two rows at least where there are three:
            one has no variance, by which distortions are compared.
        split: `random`: any; `place`: the last ones.

    Example:
        >>> rows_held_out(5, 0.4, "place").tolist(), int(rows_held_out(50, 0.1, "random").sum())
        ([False, False, False, True, True], 5)
    """
    number = min(max(2, round(part * count)), count - 1)
    order = np.random.default_rng(0).permutation(count)
    if split == "place":
        order = np.arange(count)[::-1]
    held_out = np.zeros(count, dtype=bool)
    held_out[order[:number]] = True
    return held_out
