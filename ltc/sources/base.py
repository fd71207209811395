"""What every source offers: samples to train on, held-out samples, and its known facts."""

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ltc.errors import InputError
from ltc.threads import one_thread

__all__ = ["LARGEST_EXAMPLE", "Alphabet", "Example", "FiniteSource", "Source"]


# Scalars of an example: a picture of 512 x 512 pixels.
LARGEST_EXAMPLE = 1 << 18


class Alphabet(NamedTuple):
    """The values of a discrete source.

    Attributes:
        points: the values, shape (m, d), float64; d = 1 for i.i.d. scalars.
        probabilities: of each, shape (m,), summing to one.
    """

    points: NDArray[np.float64]
    probabilities: NDArray[np.float64]


class Example(NamedTuple):
    """Held-out vectors that are a picture or a sound, to look at or to listen to.

    Attributes:
        vectors: shape (number, dimension).
        shape: of the picture, (height, width), or of the sound, (samples,).
        sample_rate: of a sound, in Hz; None of a picture.
    """

    vectors: Tensor
    shape: tuple[int, ...]
    sample_rate: int | None = None


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
        finite: it is known by rows alone; `held_out` returns all that it holds out.
        whole: what it has as a whole and is coded as such, `image` or `audio`, of which its vectors
            are pixels or samples; empty: nothing.
    """

    name: str
    dimension: int
    density: Any = None
    gaussian: bool = False
    finite: bool = False
    whole: str = ""

    @abstractmethod
    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw vectors to train on.

        Arguments:
            count: number of vectors.
            generator: where the randomness comes from; the samples are made on its device.

        Returns:
            Samples, shape (count, dimension), float32.
        """

    def blocks(self, count: int, block: int, generator: torch.Generator) -> Tensor:
        """Draw blocks of training vectors, in the order in which the source sends them.

        Arguments:
            count: number of blocks.
            block: vectors in each.
            generator: where the randomness comes from; the samples are made on its device.

        Returns:
            Samples, shape (count, block, dimension), float32.
        """
        return self.sample(count * block, generator).unflatten(0, (count, block))

    def held_out(self, count: int, generator: torch.Generator) -> Tensor:
        """Return vectors that were never trained on.

        Arguments:
            count: number of vectors wanted. An endless source draws exactly that many; a
                finite one returns all that it holds out, whatever `count` says.
            generator: where the randomness of an endless source comes from.

        Returns:
            Samples, shape (number, dimension), float32, on the generator's device.
        """
        return self.sample(count, generator)

    def training_set(self, count: int, generator: torch.Generator) -> Tensor:
        """Return training vectors, each once where there are finitely many.

        Arguments:
            count: vectors at most.
            generator: where the randomness comes from.

        Returns:
            Samples, shape (number, dimension), float32.
        """
        return self.sample(count, generator)

    def rescale(self, offset: float | list[float], gain: float) -> None:  # noqa: B027
        """Bring its vectors to the scale of another source; of an endless one they stay.

        Arguments:
            offset: of the other one: number = gain * value + offset.
            gain: likewise.
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
    def example(self) -> Example | None:
        """A held-out picture or sound; None where vectors are neither."""
        return None

    @property
    def alphabet(self) -> Alphabet | None:
        """The values and probabilities of a discrete source; None where not discrete or known."""
        return None

    @property
    def entropy(self) -> float | None:
        """The entropy of a discrete source, bits per scalar: R(D) at zero distortion.

        None where it is infinite, as for all sources with a density, or not known.
        """
        if self.alphabet is None:
            return None
        p = self.alphabet.probabilities[self.alphabet.probabilities > 0]
        return float(-(p @ np.log2(p)) / self.alphabet.points.shape[1])


class FiniteSource(Source):
    """A source known by rows: some to train on, others held out, both in their order.

    Those of files take out mean and deviation of all training numbers, so that their variance per
    scalar is one and `lmbda` means what it means for other sources: number = gain * value + offset.
    `variance` is that of the held-out rows under the same offset and gain: near one where they
    resemble those of the training set.

    Example:
        >>> class Dice(FiniteSource):
        ...     name = "dice"
        >>> source = Dice(torch.tensor([[1.0], [6.0]]), torch.tensor([[2.0], [4.0]]))
        >>> source.variance, source.sample(5, torch.Generator().manual_seed(0)).shape
        (1.0, torch.Size([5, 1]))

    Arguments:
        train: rows to train on, shape (rows, dimension).
        test: held-out rows, shape (rows, dimension).
        offset, gain: what was taken out of both; the offset of all numbers, or of each in a row.
        successive: training rows from one to the one that would follow it in the held-out set:
            more than 1 where training rows overlap.

    Attributes:
        offset, gain: where numbers were brought to the scale of training, number = gain * value +
            offset.

    Raises:
        InputError: a set is empty, the dimensions differ, or a number is not finite.
    """

    finite = True
    offset: float | list[float]
    gain: float

    def __init__(
        self,
        train: Tensor,
        test: Tensor,
        offset: float | list[float] = 0.0,
        gain: float = 1.0,
        successive: int = 1,
    ) -> None:
        for role, rows in (("training", train), ("held-out", test)):
            if rows.ndim != 2 or rows.shape[0] == 0 or rows.shape[1] == 0:
                raise InputError(
                    f"the {role} rows have shape {tuple(rows.shape)}; expected (rows, dimension) "
                    "with at least one of each"
                )
            bad = torch.nonzero(~torch.isfinite(rows.float()).all(1)).flatten().tolist()
            if bad:
                listed = ", ".join(map(str, bad[:5])) + (", …" if len(bad) > 5 else "")
                raise InputError(
                    f"{len(bad)} {role} rows hold NaN, infinity or numbers beyond 32 bits: "
                    f"{listed} (counted from 0); remove them first"
                )
        if train.shape[1] != test.shape[1]:
            raise InputError(
                f"training rows have {train.shape[1]} columns, held-out rows {test.shape[1]}; "
                "both need the same number"
            )
        self.dimension = train.shape[1]
        self.train = train.float()
        self.test = test.float()
        self.offset, self.gain = offset, gain
        self.successive = successive

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw rows of the training set, with replacement; shape (count, dimension)."""
        return self.blocks(count, 1, generator).squeeze(1)

    def blocks(self, count: int, block: int, generator: torch.Generator) -> Tensor:
        """Draw runs of rows that follow each other, shape (count, block, dimension).

        Neighbours may resemble each other: patches of sky come together, and so do frames of
        silence, in held-out pictures and recordings too.
        """
        device = generator.device
        self.train = self.train.to(device)
        rows = len(self.train)
        first = torch.randint(rows, (count, 1), generator=generator, device=device)
        return self.train[(first + self.successive * torch.arange(block, device=device)) % rows]

    def training_set(self, count: int, generator: torch.Generator) -> Tensor:
        """Return all training rows, or `count` of them where they are more, in their order."""
        chosen = torch.randperm(len(self.train), generator=generator, device=generator.device)
        return self.train.to(generator.device)[chosen[:count].sort().values]

    def held_out(self, count: int, generator: torch.Generator) -> Tensor:
        """Return every held-out row; shape (rows, dimension)."""
        return self.test.to(generator.device)

    def rescale(self, offset: float | list[float], gain: float) -> None:
        """Take out another offset and gain than those of its own training rows."""
        if hasattr(self, "gain") and (offset, gain) != (self.offset, self.gain):
            before, after = (torch.tensor(each).to(self.train) for each in (self.offset, offset))
            factor, term = self.gain / gain, (before - after) / gain
            self.train, self.test = factor * self.train + term, factor * self.test + term
            self.offset, self.gain = offset, gain
            self.__dict__.pop("covariance", None)

    @cached_property
    def covariance(self) -> Tensor:
        """The covariance of the held-out rows, on which rates are measured."""
        rows = self.test.double().cpu()
        centred = rows - rows.mean(0)
        with one_thread():  # the order of a sum is not the machine's affair
            return centred.T @ centred / len(rows)
