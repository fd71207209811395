"""Patches of grey photographs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import skimage.data
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ltc.errors import InputError
from ltc.media import IMAGES, patches, read_picture
from ltc.sources._checks import positive_integer
from ltc.sources._folder import assemble, find_files, read_files, thin
from ltc.sources.base import FiniteSource

__all__ = ["ImagePatches", "read_grey"]

# The photographs of everyday scenes in the wheel of scikit-image 0.24 to 0.26. Left out are
# drawings and scanned text, microscopy, medicine and astronomy, and motorcycle_right, which
# shows what motorcycle_left shows.
TRAIN = (
    "astronaut.png",
    "brick.png",
    "clock_motion.png",
    "coffee.png",
    "coins.png",
    "grass.png",
    "motorcycle_left.png",
    "rocket.jpg",
)
TEST = ("camera.png", "chelsea.png", "gravel.png")


def read_grey(path: str | Path) -> NDArray[np.uint8]:
    """Return a picture in grey: luma after ITU-R BT.601, as JPEG has it.

    Arguments:
        path: a picture, see `read_picture`; 16 bits are rounded to 8.

    Returns:
        Pixels from 0 to 255, shape (height, width).

    Raises:
        InputError: it is transparent, has several frames, inks, or 32 bits.
        OSError: the file cannot be read. Pillow raises other exceptions too on broken files.

    Example:
        >>> read_grey(Path(skimage.data.__file__).parent / "camera.png").shape
        (512, 512)
    """
    pixels = read_picture(path)
    if pixels.dtype == np.uint16:
        pixels = np.rint(pixels / np.float32(257)).astype(np.uint8)
    return np.asarray(Image.fromarray(pixels).convert("L"))


class ImagePatches(FiniteSource):
    """Square patches of grey photographs, row after row of pixels.

    Without `root` they come from the photographs in the wheel of scikit-image, and `camera`,
    `chelsea` and `gravel` are held out. Of a folder, every tenth picture in sorted order is held
    out, beginning with the first. No picture is in both sets. Training patches overlap where
    `stride` is less than `patch`; held-out patches do not. Of very many pictures each keeps as
    many patches, chosen at random but always the same, as fit in memory.

    Mean and deviation of the training pixels are taken out, so that their variance per scalar is
    one: pixel = gain * value + offset. `variance` is that of the held-out patches under the same
    offset and gain: near one where they resemble those of the training set.

    Arguments:
        patch: pixels along a side; the dimension is patch * patch.
        stride: pixels from one training patch to the next, in both directions.
        root: folder of pictures (PNG, JPEG, TIFF and others), also in folders within; None:
            scikit-image's.

    Attributes:
        offset: mean of the training pixels, from 0 to 255.
        gain: standard deviation of the training pixels.

    Raises:
        InputError: a parameter is out of its range, the folder is missing or empty, fewer than
            two of its pictures can be read and hold a patch, or the pixels of a set are all
            equal. Fewer pictures that cannot be used are named in a warning.

    Example:
        >>> import torch
        >>> source = ImagePatches(stride=4)
        >>> source.sample(10, torch.Generator().manual_seed(0)).shape
        torch.Size([10, 16])
        >>> pixels = source.to_pixels(source.test[:1])
        >>> bool(source.from_pixels(pixels).allclose(source.test[:1]))
        True
    """

    name = "image_patches"

    def __init__(self, patch: int = 4, stride: int = 2, root: str | Path | None = None) -> None:
        self.patch = positive_integer("patch", patch)
        self.stride = positive_integer("stride", stride)
        if root is None:
            folder = Path(skimage.data.__file__).parent
            paths = [folder / name for name in TRAIN + TEST]
        else:
            paths = find_files(root, IMAGES)
        train: list[NDArray[np.uint8]] = []
        test: list[NDArray[np.uint8]] = []
        for index, (path, picture) in enumerate(read_files(paths, self._read)):
            held_out = path.name in TEST if root is None else index % 10 == 0
            rows = self._cut(picture, self.patch if held_out else self.stride, len(paths))
            (test if held_out else train).append(rows)
        train_rows, test_rows, self.offset, self.gain = assemble(train, test)
        super().__init__(train_rows, test_rows, successive=max(1, self.patch // self.stride))

    def to_pixels(self, values: Tensor) -> Tensor:
        """Return pixels, 0 to 255 but neither rounded nor clipped, of values of this source.

        Arguments:
            values: any shape.

        Returns:
            Pixels, the same shape.
        """
        return self.gain * values + self.offset

    def from_pixels(self, pixels: Tensor) -> Tensor:
        """Return values of this source, float, of pixels from 0 to 255.

        Arguments:
            pixels: any shape, of integers or reals.

        Returns:
            Values, the same shape.
        """
        return (pixels - self.offset) / self.gain

    def _read(self, path: Path) -> NDArray[np.uint8]:
        try:
            picture = read_grey(path)
        except InputError as error:  # one picture of another kind is no reason to stop
            raise ValueError(str(error)) from error
        if min(picture.shape) < self.patch:
            height, width = picture.shape
            raise ValueError(
                f"{height} x {width} pixels hold no patch of {self.patch} x {self.patch}"
            )
        return picture

    def _cut(self, picture: NDArray[np.uint8], stride: int, files: int) -> NDArray[np.uint8]:
        """Return patches, shape (number, patch * patch)."""
        rows, columns = ((n - self.patch) // stride + 1 for n in picture.shape)
        kept = thin(rows * columns, self.patch**2, files)
        top, left = (stride * at for at in np.divmod(kept, columns))
        return patches(picture[..., None], np.zeros_like(kept), top, left, self.patch)
