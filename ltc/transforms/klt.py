"""The Karhunen-Loeve transform of blocks of pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from ltc.transforms.base import principal_axes
from ltc.transforms.lapped import Lapped, colour_planes

__all__ = ["KLT"]


class KLT(Lapped):
    """The separable Karhunen-Loeve transform of blocks of N x N pixels, that do not overlap.

    Along rows and columns a block goes through the principal axes of the lines of N samples in
    training pictures (Jain, *Fundamentals of Digital Image Processing*, 1989, section 5.11): one
    matrix, since pictures look alike along both. Axes of whole blocks, N^2 by N^2, would be those
    of a larger class, but rows and columns that have the same variance get mixed in them, whose
    sizes say less of each other.

    Arguments:
        dimension: colours, d.
        stride: pixels along a side of a block, N, even.
        denoise: whether the decoder takes noise out of the picture, see
            `ltc.transforms.denoising`.

    Raises:
        InputError: as of `Lapped`.

    Example: of lines that are nearly constant, the first axis is their mean.
        >>> x = np.random.default_rng(0).normal(size=(64, 64, 1)).astype(np.float32)
        >>> transform = KLT(1, stride=4)
        >>> transform.learn([np.repeat(np.repeat(x, 4, 0), 4, 1)], lambda status: None)
        >>> transform.analysis(torch.ones(1, 4, 4, 1)).abs().round(decimals=2)[0, 0, 0, :3]
        tensor([4., 0., 0.])
    """

    def __init__(self, dimension: int, stride: int = 8, denoise: bool = True) -> None:
        super().__init__(dimension, stride, "none", denoise)

    def learn(self, samples: Sequence[NDArray[np.float32]], report: Callable[[str], None]) -> None:
        """Learn the colours, as `Lapped` does, and the axes of lines of all colours."""
        super().learn(samples, report)
        n, lines = self.stride, []
        for picture in samples:
            plane = colour_planes(picture, self.colours.numpy(), n)
            whole = plane[:, : plane.shape[1] // n * n, : plane.shape[2] // n * n]
            lines += [whole.reshape(-1, n), whole.transpose(0, 2, 1).reshape(-1, n)]
        axes = principal_axes(torch.from_numpy(np.concatenate(lines)).double(), n)
        self._set(self._mixing, axes)
