"""What every transform of whole pictures or sounds offers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ltc.transforms.base import Transform

__all__ = ["Decoded", "GridTransform", "code_length"]


class Decoded(NamedTuple):
    """What a coder makes of training samples.

    Attributes:
        values: the samples, as `GridTransform.planes` takes them.
        planes: what is decoded of their latent, shape (k, R, C).
        step: of the quantizer, in units of the values.
    """

    values: NDArray[np.float32]
    planes: NDArray[np.float32]
    step: float


class GridTransform(Transform):
    """A transform of a picture or a sound, as a whole, into planes of rows and columns.

    Attributes:
        group: planes of one colour of a picture, or one channel of a sound.
        with_means: whether the first plane of each group holds the means of blocks, which resemble
            their neighbours as no other frequencies do.
        ratio: bits that an error of one step is worth are 1 over it.
        denoise: whether the decoder takes noise of quantization out.
        synthesis_steps: of the quantizer, in units of the values, at which the synthesis is learned
            of what is decoded; none: there is nothing to learn.
        joined: whether the planes lie one below the other, so that above the first row of one are
            the last rows of that before.
    """

    group: int
    ratio: float
    with_means = False
    denoise = False
    synthesis_steps: tuple[float, ...] = ()
    joined = False

    @property
    @abstractmethod
    def frequencies(self) -> Tensor:
        """Colour and two frequencies of each plane, shape (k, 3), integers."""

    def learn(self, samples: Sequence[NDArray[np.float32]], report: Callable[[str], None]) -> None:
        """Learn from training samples, if there is something to learn.

        Arguments:
            samples: pictures, or channels of sounds, as `planes` takes them.
            report: told what is done.
        """

    def learn_synthesis(self, decoded: Iterable[Decoded], report: Callable[[str], None]) -> None:
        """Learn what the synthesis does with what is decoded, the latents held fixed.

        Arguments:
            decoded: of training samples, some of them at several steps.
            report: told what is done.
        """

    @abstractmethod
    def planes(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the latent, shape (k, R, C), float32.

        Arguments:
            values: of a picture, shape (height, width, d or 1), or of one channel of a sound, shape
                (samples,), about zero; extended to whole blocks.
        """

    @abstractmethod
    def exact_synthesis(
        self, planes: NDArray[np.float32], step: float = 0.0
    ) -> NDArray[np.float32]:
        """Undo `planes`, blocks whole, with sums in an order that is the same on every machine.

        Arguments:
            planes: shape (k, R, C).
            step: of the quantizer, in units of the values.
        """


def code_length(y: Tensor, steps: Sequence[float]) -> Tensor:
    """Return about how many bits a latent number costs where neighbours tell how large it is.

    That is the mean of log2(1 + (y / step)^2) / 2, which a transform can be learned by.

    Arguments:
        y: latents, any shape.
        steps: of the quantizer, which all count the same.

    Example:
        >>> code_length(torch.tensor([0.0, 3.0]), [3.0])
        tensor(0.2500)
    """
    return torch.stack([torch.log2(1 + (y / step).square()).mean() / 2 for step in steps]).mean()
