"""Whole pictures."""

import logging
from functools import cached_property
from pathlib import Path

import numpy as np
import skimage.data
import torch
from numpy.typing import NDArray
from torch import Tensor

from ltc.checks import integer
from ltc.errors import InputError
from ltc.media import IMAGES, Payload, read_picture
from ltc.sources._folder import find_files, read_files
from ltc.sources.image_patches import TEST, TRAIN
from ltc.sources.kodak import kodak
from ltc.sources.split import file_held_out
from ltc.sources.whole import WholeSource
from ltc.threads import one_thread

__all__ = ["Images"]

log = logging.getLogger("ltc")

# What is held in memory at most: training pictures, a side of what is cut out of them, and numbers
# of all of these (fitting takes 30 bytes for each) and of the held-out pictures.
MOST, LARGEST_CROP = 100, 1024
MOST_TRAIN, MOST_TEST = 3 << 24, 1 << 28

Pixels = NDArray[np.unsignedinteger]


class Images(WholeSource):
    """Whole pictures, grey or in colour, of any size.

    Of each training picture a square is cut out at random, always the same; of very many pictures
    the first are taken, as many as fit in memory. Without `root` they
    are the photographs in the wheel of scikit-image, of which `camera`, `chelsea` and `gravel` are
    held out; with `root="kodak"` the Kodak pictures are, fetched once, instead of these three; of a
    folder, every tenth picture in sorted order is, beginning with the first. As a source of vectors
    its vectors are pixels.

    Arguments:
        root: folder of pictures (PNG, JPEG, TIFF and others), also in folders within; None:
            scikit-image's; "kodak": these to train on.
        crop: pixels along a side of what is cut out of a training picture, 1,024 at most.

    Attributes:
        train: crops of training pictures, shape (height, width, 3 or 1), 8 bits.
        test: held-out pictures, whole, shape (height, width, 3 or 1), 8 or 16 bits.
        offset, gain: mean and deviation of the training pixels: pixel = gain * value + offset.

    Raises:
        InputError: the folder is missing or empty, or none of its pictures to train on is in
            colour, or none is held out, or the pixels of a set are all equal.

    Example:
        >>> source = Images(crop=64)
        >>> source.train[0].shape, source.test[1].shape
        ((64, 64, 3), (300, 451, 3))
    """

    name = "images"
    whole = "image"
    dimension = 3

    def __init__(self, root: str | Path | None = None, crop: int = 384) -> None:
        self.crop = integer("source.crop", crop, 1, LARGEST_CROP)
        if root in (None, "kodak"):
            folder = Path(skimage.data.__file__).parent
            tests = {folder / name for name in TEST} if root is None else {*kodak().iterdir()}
            paths = sorted(folder / name for name in TRAIN) + sorted(tests)
        else:
            paths = find_files(root, IMAGES)
            tests = {path for number, path in enumerate(paths) if file_held_out(number)}
        rng = np.random.default_rng(0)
        self.train: list[Pixels] = []
        self.test: list[Pixels] = []
        numbers, left_out = {True: 0, False: 0}, {True: 0, False: 0}
        for path, picture in read_files(paths, _read):
            held_out = path in tests
            kept = picture if held_out else self._cut(picture, rng)
            pictures = self.test if held_out else self.train
            room = (MOST_TEST if held_out else MOST_TRAIN) - numbers[held_out] - kept.size
            if (pictures and room < 0) or (not held_out and len(pictures) == MOST):
                left_out[held_out] += 1
                continue
            numbers[held_out] += kept.size
            pictures.append(kept)
        if left_out[True]:
            log.warning(
                "measured on %d of %d held-out pictures: more do not fit into memory",
                len(self.test),
                len(self.test) + left_out[True],
            )
        if not self.test or not any(picture.shape[2] == 3 for picture in self.train):
            raise InputError(
                f"{len(self.train)} pictures to train on and {len(self.test)} held out; expected "
                "one of each at least, and one in colour to train on: add pictures"
            )
        histogram = np.zeros(256)
        for picture in self.train:  # a grey pixel has three colours that are the same
            histogram += 3 // picture.shape[2] * np.bincount(picture.ravel(), minlength=256)
        histogram /= histogram.sum()
        self.offset = float(histogram @ np.arange(256))
        self.gain = float((histogram @ (np.arange(256) - self.offset) ** 2) ** 0.5)
        if self.gain == 0:
            raise InputError(f"all training pixels are {self.offset:g}: they need no coder")
        if all((picture == self.test[0][0, 0]).all() for picture in self.test):
            raise InputError(
                f"the pixels of {len(self.test)} held-out pictures do not differ, so that nothing "
                "can be measured on them; add pictures"
            )

    def _cut(self, picture: Pixels, rng: np.random.Generator) -> Pixels:
        """Return a square of a picture, or as much of it as there is, of 8 bits."""
        top, left = (int(rng.integers(max(1, n - self.crop + 1))) for n in picture.shape[:2])
        cut = picture[top : top + self.crop, left : left + self.crop]
        return np.rint(cut / 257).astype(np.uint8) if cut.dtype == np.uint16 else cut.copy()

    def payloads(self) -> list[Payload]:
        """Return the held-out pictures as what is compressed: grey ones have no third axis."""
        return [
            Payload(
                "image", {"image": picture[..., 0] if picture.shape[2] == 1 else picture}, ".png"
            )
            for picture in self.test
        ]

    def vectors(self, pictures: list[Pixels]) -> Tensor:
        """Return the pixels of pictures, shape (number, 3)."""
        parts = []
        for picture in pictures:
            unit = 257 if picture.dtype == np.uint16 else 1
            values = (picture / unit - self.offset) / self.gain
            parts.append(
                np.broadcast_to(values.astype(np.float32), (*values.shape[:2], 3)).reshape(-1, 3)
            )
        return torch.from_numpy(np.concatenate(parts))

    @cached_property
    def covariance(self) -> Tensor:
        """The covariance of the colours of a held-out pixel."""
        count, total, products = 0, torch.zeros(3).double(), torch.zeros(3, 3).double()
        with one_thread():  # the order of a sum is not the machine's affair
            for picture in self.test:
                pixels = self.vectors([picture]).double()
                count, total = count + len(pixels), total + pixels.sum(0)
                products += pixels.T @ pixels
        return (products - torch.outer(total, total) / count) / count


def _read(path: Path) -> Pixels:
    try:
        picture: Pixels = read_picture(path)
    except InputError as error:  # one picture of another kind is no reason to stop
        raise ValueError(str(error)) from error
    return picture if picture.ndim == 3 else picture[..., None]
