"""Folders of pictures and sounds: what can be read is read, the rest is named."""

import logging
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from torch import Tensor

from ltc.errors import InputError
from ltc.threads import one_thread

__all__ = ["assemble", "check_split", "find_files", "normalise", "read_files", "thin"]

log = logging.getLogger("ltc")

Content = TypeVar("Content")

# Scalars kept per source, 256 MB: a folder of any size can be used.
LIMIT = 1 << 26
# The deviation of numbers that stay as they are, or one over it; and how many times it they are
# large: 32 bits hold them, and their squares.
LARGEST, OFFSET = 1e9, 1e5


def find_files(root: Any, endings: tuple[str, ...]) -> list[Path]:
    """Return the files of some kinds in a folder and all folders in it, sorted.

    Arguments:
        root: the folder, as given by `source.root`.
        endings: of the names, in lower case and with the dot; capitals are accepted.

    Raises:
        InputError: there is no such folder, or no such file in it.
    """
    kinds = ", ".join(endings)
    if not isinstance(root, str | Path) or not str(root):
        raise InputError(f"source.root={root!r}; expected a folder of {kinds} files")
    folder = Path(root).expanduser()
    if not folder.is_dir():
        problem = "is a file" if folder.exists() else "does not exist"
        raise InputError(
            f"source.root={root} {problem}; expected a folder that holds {kinds} files"
        )
    found = sorted(
        path for path in folder.rglob("*") if path.suffix.lower() in endings and path.is_file()
    )
    if not found:
        raise InputError(f"source.root={root} holds no {kinds} file; choose another folder")
    return found


def read_files(
    paths: list[Path], read: Callable[[Path], Content]
) -> Iterator[tuple[Path, Content]]:
    """Yield the path and content of each file that can be read, then warn of the others.

    Arguments:
        paths: the files.
        read: returns the content of one; any exception but InputError means that it is broken.

    Raises:
        InputError: not a single file can be read.
    """
    broken: list[str] = []
    console = Console(stderr=True)
    hidden = len(paths) < 100 or not console.is_terminal
    for path in track(paths, "reading files", console=console, transient=True, disable=hidden):
        try:
            content = read(path)
        except InputError:
            raise
        except Exception as error:  # decoders raise whatever they stumble over
            broken.append(f"{path} ({str(error) or type(error).__name__})")
        else:
            yield path, content
    if len(broken) == len(paths):
        raise InputError(
            f"none of {len(paths)} files can be used; the first: {broken[0]}; choose another folder"
        )
    if broken:
        listed = "; ".join(broken[:5]) + ("; …" if len(broken) > 5 else "")
        log.warning("skipped %d of %d files: %s", len(broken), len(paths), listed)


def thin(count: int, dimension: int, files: int) -> NDArray[np.int64]:
    """Return which of a file's vectors are kept, so that all files together fit in memory.

    Each file may keep an equal share; what exceeds it is left out at random, the same every
    time.

    Example:
        >>> thin(3, 16, 10)
        array([0, 1, 2])
        >>> len(thin(10**7, 64, 100)) * 64 * 100 <= LIMIT
        True
    """
    share = max(1, LIMIT // (dimension * files))
    if count <= share:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).choice(count, share, replace=False))


def check_split(train: list[Any], test: list[Any], called: str = "files") -> None:
    """Refuse a split by file that leaves one of the sets empty.

    Arguments:
        train: what is to train on.
        test: what is held out.
        called: what they are in the message.
    """
    if not train or not test:
        raise InputError(
            f"{len(train)} {called} to train on and {len(test)} held out; the split is by file and "
            "needs at least one of each: add files"
        )


def assemble(
    train: list[NDArray[Any]],
    test: list[NDArray[Any]],
    called: str = "files",
    scale: bool = True,
) -> tuple[Tensor, Tensor, float, float]:
    """Join the vectors of files and give the training set mean zero and variance one.

    Arguments:
        train: vectors of each training file, shape (number, dimension).
        test: vectors of each held-out file.
        called: what these are in messages.
        scale: as of `normalise`.

    Returns:
        What `normalise` returns.

    Raises:
        InputError: one of the sets is empty, or all its vectors are equal.
    """
    check_split(train, test, called)
    joined = [torch.from_numpy(np.concatenate(rows)).float() for rows in (train, test)]
    return normalise(joined[0], joined[1], "add files", scale)


def normalise(
    train: Tensor, test: Tensor, advice: str, scale: bool = True
) -> tuple[Tensor, Tensor, float, float]:
    """Give training vectors mean zero and variance one per scalar, and held-out ones the same map.

    The same variance everywhere makes `lmbda` mean the same everywhere.

    Arguments:
        train: vectors to train on, shape (number, dimension), changed in place.
        test: held-out vectors, likewise.
        advice: what to do where there are too few held-out vectors.
        scale: whether to do it; otherwise the offset is 0 and the gain 1.

    Returns:
        Training and held-out vectors, float32, then the offset and gain that were taken out:
        original = gain * value + offset.

    Raises:
        InputError: all training values, or all held-out vectors, are equal; or numbers that are to
            stay as they are differ by much less or more than one.

    Example:
        >>> train, test = torch.tensor([[1.0], [3.0]]), torch.tensor([[5.0], [2.0]])
        >>> normalise(train, test, "")
        (tensor([[-1.],
                [ 1.]]), tensor([[3.],
                [0.]]), 2.0, 1.0)
    """
    low, high = float(train.min()), float(train.max())
    if low == high:
        raise InputError(f"all training values are {low:g}: a constant source needs no coder")
    with one_thread():  # the order of a sum is not the machine's affair
        deviation, mean = (float(value) for value in torch.std_mean(train, correction=0))
    if not 0 < deviation < math.inf:
        raise InputError(
            f"the deviation of training values from {low:g} to {high:g} is no number of 64 bits; "
            "multiply them by a constant first"
        )
    if (test == test[0]).all():
        raise InputError(
            f"the {len(test)} held-out vectors do not differ, so that nothing can be measured on "
            f"them (there are {len(train)} to train on); {advice}"
        )
    least = max(1 / LARGEST, max(abs(low), abs(high)) / OFFSET)
    if not scale and not least < deviation < LARGEST:
        raise InputError(
            f"training values from {low:g} to {high:g} have a deviation of {deviation:g}, which "
            "32 bits do not hold well: use source.normalise=true"
        )
    if scale:
        for rows in (train, test):
            rows.sub_(mean).div_(deviation)
    else:
        mean, deviation = 0.0, 1.0
    return train.float(), test.float(), mean, deviation
