"""Patches of grey photographs."""

from pathlib import Path

import numpy as np
import skimage.data
from numpy.typing import NDArray
from PIL import Image

from ltc.checks import integer
from ltc.errors import InputError
from ltc.media import IMAGES, read_picture
from ltc.sources._folder import find_files, read_files
from ltc.sources.pictures import PictureSource
from ltc.sources.split import file_held_out

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


class ImagePatches(PictureSource):
    """Square patches of grey photographs, see `PictureSource`.

    Without `root` they come from the photographs in the wheel of scikit-image, and `camera`,
    `chelsea` and `gravel` are held out. Of a folder, every tenth picture in sorted order is held
    out, beginning with the first. No picture is in both sets.

    Arguments:
        patch: pixels along a side; the dimension is patch * patch.
        stride: pixels from one training patch to the next, in both directions.
        root: folder of pictures (PNG, JPEG, TIFF and others), also in folders within; None:
            scikit-image's.

    Raises:
        InputError: a parameter is out of its range, the folder is missing or empty, fewer than
            two of its pictures can be read and hold a patch, or the pixels of a set are all
            equal. Fewer pictures that cannot be used are named in a warning.

    Example:
        >>> import torch
        >>> source = ImagePatches(stride=4)
        >>> source.sample(10, torch.Generator().manual_seed(0)).shape
        torch.Size([10, 16])
    """

    name = "image_patches"

    def __init__(self, patch: int = 4, stride: int = 2, root: str | Path | None = None) -> None:
        least = integer("source.patch", patch)
        if root is None:
            folder = Path(skimage.data.__file__).parent
            paths = [folder / name for name in TRAIN + TEST]
        else:
            paths = find_files(root, IMAGES)
        pictures = (
            (picture, path.name in TEST if root is None else file_held_out(index))
            for index, (path, picture) in enumerate(
                read_files(paths, lambda path: _read(path, least))
            )
        )
        super().__init__(pictures, len(paths), patch, stride)


def _read(path: Path, patch: int) -> NDArray[np.uint8]:
    try:
        picture = read_grey(path)
    except InputError as error:  # one picture of another kind is no reason to stop
        raise ValueError(str(error)) from error
    if min(picture.shape) < patch:
        height, width = picture.shape
        raise ValueError(f"{height} x {width} pixels hold no patch of {patch} x {patch}")
    return picture
