"""Data that is fetched once into the user's cache."""

import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import pooch
from rich.console import Console

from ltc.errors import InputError
from ltc.files import cache_directory

__all__ = ["download", "fetched"]


def fetched(
    what: str, parts: tuple[str, ...], url: str, fill: Callable[[Path], None], instead: str
) -> Path:
    """Return a folder of the cache, filled and verified when it is asked for first.

    Arguments:
        what: what it holds.
        parts: of its path in the cache.
        url: where it comes from.
        fill: writes the contents into a folder, and raises where they are not what they should be.
        instead: what to do where it cannot be fetched.

    Raises:
        InputError: it is not in the cache and cannot be fetched, or what came is something else.
    """
    folder = cache_directory().joinpath(*parts)
    if folder.is_dir():  # it gets this name only when whole and verified
        return folder
    pooch.get_logger().setLevel("WARNING")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
            contents = Path(temporary, "contents")
            contents.mkdir()
            with Console(stderr=True).status(f"fetching the {what}"):
                fill(contents)
            try:
                contents.rename(folder)
            except OSError:
                if not folder.is_dir():  # otherwise another process was faster
                    raise
    except (OSError, tarfile.TarError) as error:
        raise InputError(
            f"{folder.parent} does not hold the {what}, which cannot be fetched from {url} "
            f"({type(error).__name__}); connect to the network once, or {instead}"
        ) from error
    return folder


def download(url: str, folder: Path) -> Path:
    """Fetch a file, whose sum is not known, into a folder; returns its path."""
    downloader = pooch.HTTPDownloader(timeout=30)
    name = url.rpartition("/")[2]
    return Path(pooch.retrieve(url, None, name, folder, downloader=downloader))
