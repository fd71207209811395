"""Files that are either whole or absent, and the cache of expensive results."""

import io
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ltc.checks import digest
from ltc.errors import InputError

__all__ = [
    "MAGIC",
    "atomic_write",
    "cache_directory",
    "cache_file",
    "config_directories",
    "config_directory",
    "remove_unfinished",
    "use_config_directory",
    "write_new",
    "write_state",
]

# How .ltc files begin; here, where it can be known without what decodes them.
MAGIC = b"LTC\x1a"

CONFIG_DIR = "LTC_CONFIG_DIR"
UNFINISHED = ".unfinished."  # how names of files begin that are being written


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` and rename it to `path` when the block succeeds.

    A reader never sees half a file, and processes that write the same file at once leave one
    whole version of it.

    Arguments:
        path: the file to write; its folder is made if it is missing.

    Raises:
        InputError: the folder cannot be written.

    Example:
        >>> folder = Path(tempfile.mkdtemp())
        >>> with atomic_write(folder / "metrics.json") as temporary:
        ...     _ = temporary.write_text("{}")
        >>> [file.name for file in folder.iterdir()]
        ['metrics.json']
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            dir=path.parent, prefix=f"{UNFINISHED}{path.stem}.", suffix=path.suffix
        )
    except OSError as error:
        raise InputError(
            f"cannot write {path}: {error.strerror or error}; choose a folder that can be written"
        ) from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        _permit(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _permit(path: Path) -> None:
    """Admit everyone whom the umask does: files of mkstemp are private."""
    umask = os.umask(0)
    os.umask(umask)
    path.chmod(0o666 & ~umask)


def write_new(path: str | Path, text: str) -> None:
    """Write a file that does not exist yet, whole or not at all; of several processes one does.

    Arguments:
        path: the file; its folder exists.
        text: what it is to hold.

    Raises:
        FileExistsError: it exists.

    Example:
        >>> path = Path(tempfile.mkdtemp(), "claim")
        >>> write_new(path, "mine")
        >>> path.read_text()
        'mine'
    """
    path = Path(path)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=UNFINISHED)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        _permit(Path(name))
        try:
            os.link(name, path)
        except FileExistsError:
            raise
        except OSError:  # a file system without links; there it may be left empty, but not taken
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
    finally:
        Path(name).unlink(missing_ok=True)


def write_state(state: dict[str, Any], path: str | Path) -> None:
    """Write tensors and plain values as torch does, whole or not at all.

    Torch itself says of a full disk that a stream failed, not that the disk is full.

    Arguments:
        state: what to write.
        path: the file, as of `atomic_write`.

    Raises:
        OSError: there is no room.
    """
    import torch  # not above: it is slow to import

    stream = io.BytesIO()
    torch.save(state, stream)
    with atomic_write(path) as temporary:
        temporary.write_bytes(stream.getbuffer())


def remove_unfinished(folder: str | Path) -> None:
    """Remove what a process left that was ended while it wrote; nobody may be writing.

    Arguments:
        folder: with all folders in it.
    """
    for path in Path(folder).rglob(f"{UNFINISHED}*"):
        path.unlink(missing_ok=True)


def cache_directory() -> Path:
    """Return the folder of cached bounds, tables and data sets.

    It is the user's cache folder, or the environment variable `LTC_CACHE` where that is set.
    """
    if os.environ.get("LTC_CACHE"):
        return Path(os.environ["LTC_CACHE"])
    import pooch  # not above: most commands need no cache, and it takes 0.1 s to load

    return Path(pooch.os_cache("ltc"))


def cache_file(kind: str, key: Mapping[str, Any], suffix: str) -> Path:
    """Return where the result that `key` determines is cached; the file may not exist yet.

    Arguments:
        kind: the sort of result, a folder of the cache.
        key: everything that the result depends on, as JSON values.
        suffix: the file's ending, with its dot.

    Example:
        >>> a = cache_file("bounds", {"source": "gaussian", "slope": 1.0}, ".npz")
        >>> b = cache_file("bounds", {"slope": 1.0, "source": "gaussian"}, ".npz")
        >>> a == b
        True
    """
    name = digest(json.dumps(dict(key), sort_keys=True))
    return cache_directory() / kind / f"{name}{suffix}"


def config_directory() -> Path:
    """Return the folder of the configuration: in the package, or beside it in a checkout."""
    package = Path(__file__).parent
    checkout = package.parent / "conf"
    if (package.parent / "pyproject.toml").is_file() and checkout.is_dir():
        return checkout
    return package / "conf"


def use_config_directory(path: str | Path, name: str = "--config-dir ") -> Path:
    """Let configuration and Python modules come from a folder of the user's own, too.

    The folder holds YAML files as `conf/` does (`quantizer/mine.yaml`) and the modules that they
    name. It is kept in the environment, so that processes started from this one know it.

    Arguments:
        path: the folder; it takes the place of one given before.
        name: how it was given, for messages.

    Returns:
        Its absolute path.

    Raises:
        InputError: there is no such folder, or a file of it would hide behind one of ltc's.
    """
    folder = Path(path).absolute()
    if not folder.is_dir():
        raise InputError(
            f"{name}{path}: there is no such folder; give one that holds "
            "quantizer/NAME.yaml, source/NAME.yaml or transform/NAME.yaml"
        )
    for file in sorted(folder.glob("*/*.yaml")):
        known = config_directory() / file.relative_to(folder)
        if known.is_file() and known.read_bytes() != file.read_bytes():
            raise InputError(
                f"{name}{path}: {file.parent.name}={file.stem} is a name that ltc has, and "
                f"ltc's would be taken; give {file} another"
            )
    os.environ[CONFIG_DIR] = str(folder)
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    return folder


def config_directories() -> list[Path]:
    """Return the folder of the configuration, and the user's own where there is one.

    That is the option `--config-dir`, or the environment variable `LTC_CONFIG_DIR`.
    """
    own = os.environ.get(CONFIG_DIR)
    return [config_directory(), *([use_config_directory(own, f"{CONFIG_DIR}=")] if own else [])]
