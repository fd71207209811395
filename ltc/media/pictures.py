"""Pictures as arrays: grey or colour, 8 or 16 bits, upright and opaque."""

import io
import math
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile, UnidentifiedImageError

from ltc.errors import InputError
from ltc.media.size import LARGEST, PIECE, check_size

__all__ = ["PICTURES", "check_picture", "read_picture", "write_picture"]

Array = npt.NDArray[Any]

# Endings of files that are written.
PICTURES = (".png", ".jpg", ".jpeg")
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP")
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "I")
ORIENTATION = 0x0112  # EXIF's tag
_limit = threading.Lock()


def read_picture(file: str | Path | bytes, largest: int = LARGEST) -> Array:
    """Read a picture, turned upright as its EXIF data say.

    A transparency channel that is opaque everywhere is left out. A palette becomes grey where
    all its colours are, otherwise colour; two levels become 0 and 255. Colour profiles and
    annotations are not kept.

    Arguments:
        file: a path, or a file's bytes.
        largest: bytes that the pixels may take.

    Returns:
        Pixels, shape (height, width) or (height, width, 3), unsigned, 8 or 16 bits.

    Raises:
        InputError: it is larger, transparent, has several frames, inks, or 32 bits.
        OSError: it cannot be read. Pillow raises other exceptions too on broken files.
    """
    with _open(file) as picture:
        frames = getattr(picture, "n_frames", 1)
        if frames > 1 and picture.format != "MPO":  # a photograph with a preview behind it
            raise InputError(f"this picture has {frames} frames; expected one: cut them apart")
        mode, stored = picture.mode, _stored(picture)
        if mode not in MODES and not mode.startswith("I;16"):
            raise InputError(
                f"this picture has mode {mode}; expected grey or RGB: convert it, or save its "
                "numbers as .npy"
            )
        deep_colour = ";16" in stored and not mode.startswith("I")
        channels = 3 if mode in ("P", "PA", "RGB", "RGBA") else 1
        deep = deep_colour or mode.startswith("I")
        check_size(math.prod(picture.size) * channels * (2 if deep else 1), largest)
        if deep_colour and (
            picture.format != "PNG"
            or not stored.startswith("RGB")
            or "transparency" in picture.info  # a colour of 16 bits
        ):
            raise InputError(
                f"this {picture.format} has 16 bits for each colour, stored as {stored}, of which "
                "only 8 can be read; convert it to a PNG, grey or RGB, without transparency"
            )
        key, bits = picture.info.get("transparency"), stored.rpartition(";")[2]
        if isinstance(key, int) and mode == "L" and bits in ("2", "4"):
            # Pillow brings the pixels to 8 bits, and not the one that is transparent.
            picture.info["transparency"] = key * 255 // (2 ** int(bits) - 1)
        pixels = _opaque(picture)
        # Only now: Pillow itself turns a TIFF when it loads it.
        orientation = picture.getexif().get(ORIENTATION)
    if deep_colour:
        # Pillow keeps the high byte of each colour, or the low one of a file in the other order.
        with _open(file) as picture:
            other = stored.removesuffix("B") + "L"
            picture.tile = [(*tile[:3], other) for tile in picture.tile]  # type: ignore[misc]
            pixels = pixels.astype(np.uint16) << 8 | _pixels(picture)[..., :3]
    return np.ascontiguousarray(_upright(pixels, orientation))


def check_picture(pixels: Array, suffix: str) -> None:
    """Refuse the ending of a file that cannot hold a picture.

    Arguments:
        pixels: as of `write_picture`, of which the type matters; so is suffix.

    Raises:
        InputError: the format has no 16 bits.
    """
    if suffix != ".png" and pixels.dtype != np.uint8:
        raise InputError(f"{suffix} holds 8 bits, this picture has 16; use .png")


def write_picture(pixels: Array, suffix: str) -> bytes:
    """Return the bytes of a picture file.

    Arguments:
        pixels: what `read_picture` returned.
        suffix: one of the `PICTURES`.

    Raises:
        InputError: the format has no 16 bits.

    Example:
        >>> pixels = np.arange(0, 6000, 1000, dtype=np.uint16).reshape(1, 2, 3)
        >>> read_picture(write_picture(pixels, ".png")).tolist()
        [[[0, 1000, 2000], [3000, 4000, 5000]]]
    """
    check_picture(pixels, suffix)
    if pixels.dtype == np.uint16 and pixels.ndim == 3:
        return _deep_png(pixels)
    stream = io.BytesIO()
    if suffix == ".png":
        Image.fromarray(pixels).save(stream, "PNG")
    else:
        Image.fromarray(pixels).save(stream, "JPEG", quality=95)
    return stream.getvalue()


@contextmanager
def _open(file: str | Path | bytes) -> Iterator[ImageFile.ImageFile]:
    """Open a picture without Pillow's own limit, which is global and knows no option."""
    stream: Any = io.BytesIO(file) if isinstance(file, bytes) else file
    with _limit:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            with Image.open(stream, formats=FORMATS) as picture:
                yield picture
        except UnidentifiedImageError as error:  # which names an object of Python
            raise OSError("its first bytes are those of no picture") from error
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _stored(picture: ImageFile.ImageFile) -> str:
    """Return how a file stores its pixels, in Pillow's words, such as `RGB;16B`."""
    arguments: Any = picture.tile[0][3] if picture.tile else ""
    return str(arguments[0] if isinstance(arguments, tuple) else arguments)


def _opaque(picture: Image.Image) -> Array:
    """Return the pixels of a picture that is opaque everywhere."""
    transparent = InputError(
        "this picture is transparent in parts, which would be lost; flatten it first, for example "
        "with `magick IN -background white -flatten OUT`"
    )
    key = picture.info.get("transparency")
    if picture.mode.startswith("I"):
        pixels = _pixels(picture)
        if pixels.min() < 0 or pixels.max() > 65535:
            raise InputError(
                "this picture has 32 bits, of which nobody knows what is white; save its numbers "
                "as .npy, or 16 bits of them as .png"
            )
        if isinstance(key, int) and (pixels == key).any():
            raise transparent
        return pixels.astype(np.uint16, copy=False)
    if key is not None or picture.mode in ("LA", "PA", "RGBA"):
        alpha = picture.convert("RGBA").getchannel("A")
        if alpha.getextrema() != (255, 255):
            raise transparent
    if picture.mode in ("P", "PA"):
        pixels = _pixels(picture.convert("RGB"))
        return pixels[..., 0] if (pixels == pixels[..., :1]).all() else pixels
    target = "RGB" if picture.mode.startswith("RGB") else "L"
    return _pixels(picture if picture.mode == target else picture.convert(target))


def _pixels(picture: Image.Image) -> Array:
    """Return the pixels of an image, in strips: all at once take room for three."""
    width, height = picture.size
    first = np.asarray(picture.crop((0, 0, width, 1)))
    pixels: Array = np.empty((height, *first.shape[1:]), first.dtype.newbyteorder("="))
    rows = max(1, PIECE // width)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        pixels[top:bottom] = np.asarray(picture.crop((0, top, width, bottom)))
    return pixels


def _upright(pixels: Array, orientation: Any) -> Array:
    """Undo an EXIF orientation, 1 to 8, of which 5 to 8 exchange height and width."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels


def _deep_png(pixels: Array) -> bytes:
    """Return a PNG of 16 bits of colour, shape (height, width, 3), which Pillow cannot write."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        checksum = zlib.crc32(body, zlib.crc32(kind))
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum)

    height, width, _ = pixels.shape
    rows = pixels.astype(">u2").reshape(height, -1).view(np.uint8)
    lines = np.empty((height, 1 + rows.shape[1]), np.uint8)
    lines[:, 0] = 2  # each row as its difference from the one above
    lines[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=lines[1:, 1:])
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(lines.tobytes())) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + body
