"""The Kodak pictures, which picture codecs are compared on."""

import hashlib
from pathlib import Path

from ltc.errors import InputError
from ltc.media import read_picture
from ltc.sources._fetched import download, fetched

__all__ = ["kodak", "pixel_sum"]

URL = "http://r0k.us/graphics/kodak/kodak"
NAMES = [f"kodim{number:02}.png" for number in range(1, 25)]
# SHA-256 of all pixels: copies of the pictures differ in how well their PNG files are packed.
PIXELS = "c2c749bf39d7af3358bd899102b179c2ac68dbfab84dd8bbd177f508735db8af"


def pixel_sum(paths: list[Path]) -> str:
    """Return the SHA-256 of the pixels of pictures, one after the other.

    Raises:
        InputError: one is no picture.

    Example:
        >>> pixel_sum([])[:8]
        'e3b0c442'
    """
    found = hashlib.sha256()
    for path in paths:
        found.update(read_picture(path).tobytes())
    return found.hexdigest()


def kodak() -> Path:
    """Return the folder of the 24 Kodak pictures, fetched once into the user's cache.

    768 x 512 pixels in colour, released by Kodak for unrestricted use: r0k.us/graphics/kodak

    Raises:
        InputError: they are not in the cache and cannot be fetched, or what came is something else.
    """
    instead = "set source.root=DIR, a folder of pictures, to use that instead"

    def fill(folder: Path) -> None:
        paths = [download(f"{URL}/{name}", folder) for name in NAMES]
        if pixel_sum(paths) != PIXELS:
            raise InputError(f"{URL} holds other pictures than it did; {instead}")

    return fetched("Kodak pictures", ("kodak",), URL, fill, instead)
