"""What every source offers: samples to train on, held-out samples, and its known facts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor

from ltc.errors import InputError

__all__ = ["FiniteSource", "Source"]


class Source(ABC):
    """A source of independent, identically distributed vectors.

    Attributes:
        name: the name of the source, as in `source=NAME`.
        dimension: scalars per vector, d.
        density: for a source of i.i.d. scalars, the distribution of one (a frozen
            `scipy.stats` distribution); otherwise None. A source of vectors that knows its
            density has the methods `log_density` and `support` instead.
        gaussian: the vectors are jointly Gaussian with mean zero, so that the covariance says
            all of them.
    """

    name: str
    dimension: int
    density: Any = None
    gaussian: bool = False

    @abstractmethod
    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw vectors to train on.

        Arguments:
            count: number of vectors.
            generator: where the randomness comes from; the samples are made on its device.

        Returns:
            Samples, shape (count, dimension), float32.
        """

    @abstractmethod
    def held_out(self, count: int, generator: torch.Generator) -> Tensor:
        """Return vectors that were never trained on.

        Arguments:
            count: number of vectors wanted. An endless source draws exactly that many; a
                finite one returns all that it holds out, whatever `count` says.
            generator: where the randomness of an endless source comes from.

        Returns:
            Samples, shape (number, dimension), float32, on the generator's device.
        """

    @property
    @abstractmethod
    def covariance(self) -> Tensor:
        """The covariance matrix, shape (dimension, dimension), float64: known or estimated."""

    @property
    def variance(self) -> float:
        """The variance per scalar: the mean of the covariance's diagonal."""
        return float(self.covariance.diagonal().mean())

    @property
    @abstractmethod
    def key(self) -> dict[str, Any]:
        """All that the distribution depends on, as JSON values: the key of cached results."""


class FiniteSource(Source):
    """A source known by rows: some to train on, others held out.

    Arguments:
        train: rows to train on, shape (rows, dimension).
        test: held-out rows, shape (rows, dimension).

    Raises:
        InputError: a set is empty, the dimensions differ, or a number is not finite.
    """

    def __init__(self, train: Tensor, test: Tensor) -> None:
        for role, rows in (("training", train), ("held-out", test)):
            if rows.ndim != 2 or rows.shape[0] == 0 or rows.shape[1] == 0:
                raise InputError(
                    f"the {role} rows have shape {tuple(rows.shape)}; expected (rows, dimension) "
                    "with at least one of each"
                )
            if not torch.isfinite(rows).all():
                raise InputError(f"the {role} rows hold NaN or infinity; remove those rows first")
        if train.shape[1] != test.shape[1]:
            raise InputError(
                f"training rows have {train.shape[1]} columns, held-out rows {test.shape[1]}; "
                "both need the same number"
            )
        self.dimension = train.shape[1]
        self.train = train.float()
        self.test = test.float()

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw rows of the training set, with replacement; shape (count, dimension)."""
        self.train = self.train.to(generator.device)
        index = torch.randint(
            len(self.train), (count,), generator=generator, device=generator.device
        )
        return self.train[index]

    def held_out(self, count: int, generator: torch.Generator) -> Tensor:
        """Return every held-out row; shape (rows, dimension)."""
        return self.test.to(generator.device)

    @property
    def covariance(self) -> Tensor:
        """The covariance of the held-out rows, on which rates are measured."""
        rows = self.test.double().cpu()
        centred = rows - rows.mean(0)
        return centred.T @ centred / len(rows)
