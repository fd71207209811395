"""Patches of grey pictures, wherever these come from."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from ltc.checks import integer
from ltc.media import patches
from ltc.sources._folder import assemble, thin
from ltc.sources.base import LARGEST_EXAMPLE, Example, FiniteSource

__all__ = ["PictureSource"]


class PictureSource(FiniteSource):
    """Square patches of grey pictures, row after row of pixels.

    Training patches overlap where `stride` is less than `patch`; held-out patches do not. Of very
    many pictures each keeps as many patches, chosen at random but always the same, as fit in
    memory. They are normalised, see `FiniteSource`.

    Arguments:
        pictures: pixels from 0 to 255, shape (height, width), each with whether it is held out.
        count: how many pictures there are, at most.
        patch: pixels along a side; the dimension is patch * patch.
        stride: pixels from one training patch to the next, in both directions.

    Raises:
        InputError: `patch` or `stride` is no positive integer, no picture is held out or none
            trained on, or the pixels of a set are all equal.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> noise = [(rng.integers(0, 256, (20, 30)), i == 0) for i in range(3)]
        >>> source = PictureSource(noise, count=3, patch=4)
        >>> source.train.shape, source.test.shape, round(source.offset / 100)
        (torch.Size([252, 16]), torch.Size([35, 16]), 1)
        >>> source.example.shape
        (20, 28)
    """

    def __init__(
        self,
        pictures: Iterable[tuple[NDArray[np.integer], bool]],
        count: int,
        patch: int = 4,
        stride: int = 2,
    ) -> None:
        self.patch, self.stride = integer("source.patch", patch), integer("source.stride", stride)
        train: list[NDArray[np.integer]] = []
        test: list[NDArray[np.integer]] = []
        self._first: tuple[int, int] | None = None  # rows and columns of its patches
        for picture, held_out in pictures:
            if held_out:
                test.append(self._cut(picture, self.patch, count))
                rows, columns = (n // self.patch for n in picture.shape)
                if len(test) == 1 and len(test[0]) == rows * columns:  # none was left out
                    self._first = (rows, columns)
            else:
                train.append(self._cut(picture, self.stride, count))
        super().__init__(*assemble(train, test), successive=max(1, self.patch // self.stride))

    @property
    def example(self) -> Example | None:
        """The first picture that is held out, or as much of it as an example needs."""
        if self._first is None:
            return None
        rows, columns = self._first
        rows = max(1, min(rows, LARGEST_EXAMPLE // (columns * self.dimension)))
        shape = rows * self.patch, columns * self.patch
        return Example(self.test[: rows * columns], shape)

    def _cut(self, picture: NDArray[np.integer], stride: int, count: int) -> NDArray[np.integer]:
        """Return patches, shape (number, patch * patch)."""
        rows, columns = ((n - self.patch) // stride + 1 for n in picture.shape)
        kept = thin(rows * columns, self.patch**2, count)
        top, left = (stride * at for at in np.divmod(kept, columns))
        return patches(picture[..., None], np.zeros_like(kept), top, left, self.patch)
