"""Arrays in `.npy` and `.npz` files; nothing in a file is executed."""

import io
import math
import zipfile
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from ltc.errors import InputError
from ltc.media.size import LARGEST, check_size

__all__ = ["read_archive", "read_array", "write_archive"]

Array = npt.NDArray[Any]


def read_array(data: bytes, name: str = "the file", largest: int = LARGEST) -> Array:
    """Return the array in the bytes of a `.npy` file, read-only, in their memory.

    Arguments:
        data: the file.
        name: how messages call it.
        largest: bytes that its numbers may take.

    Raises:
        InputError: it is no array of real numbers, is larger, or is cut short.

    Example:
        >>> stream = io.BytesIO()
        >>> np.save(stream, np.arange(3))
        >>> read_array(stream.getvalue())
        array([0, 1, 2])
    """
    stream = io.BytesIO(data)
    if not data.startswith(npy.MAGIC_PREFIX):
        raise InputError(f"{name} is no array of numpy; expected .npy files, alone or in an .npz")
    try:
        old = npy.read_magic(stream) == (1, 0)
        header = npy.read_array_header_1_0(stream) if old else npy.read_array_header_2_0(stream)
    except ValueError as error:
        raise InputError(f"{name} is no valid .npy file: {error}") from error
    shape, by_columns, dtype = header
    if dtype.kind not in "fiub" or dtype.itemsize > 8:
        raise InputError(f"{name} has type {dtype}; expected real numbers of at most 64 bits")
    size, found = math.prod(shape) * dtype.itemsize, len(data) - stream.tell()
    check_size(size, largest)
    if size != found or not all(0 <= n < 1 << 40 for n in shape):
        raise InputError(
            f"{name} claims shape {shape} and type {dtype}, {size:,} bytes, and has {found:,}: it "
            "is cut short, or holds more than one array; write it again with numpy.save"
        )
    values = np.frombuffer(data, dtype, math.prod(shape), stream.tell())
    return values.reshape(shape, order="F" if by_columns else "C")


def read_archive(data: bytes, largest: int = LARGEST) -> dict[str, Array]:
    """Return the arrays of a `.npz` file by name; each is read-only.

    Arguments:
        data: the file.
        largest: bytes that all numbers together may take.

    Raises:
        InputError: something in it is no array, it is larger, or two have the same name.
        zipfile.BadZipFile: it is no archive. zipfile raises other exceptions too.
    """
    arrays: dict[str, Array] = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
        check_size(sum(entry.file_size for entry in entries), largest)
        for entry in entries:
            name = entry.filename.removesuffix(".npy")
            if name in arrays:
                raise InputError(f"the archive has two arrays named {name!r}; rename one")
            arrays[name] = read_array(archive.read(entry), entry.filename, largest)
    return arrays


def write_archive(stream: BinaryIO, arrays: Mapping[str, Array]) -> None:
    """Write a `.npz` file, uncompressed.

    By hand, because `numpy.savez` takes names of arrays for its own arguments, such as `file`.

    Arguments:
        stream: a file open for writing.
        arrays: the arrays by name.

    Example:
        >>> stream = io.BytesIO()
        >>> write_archive(stream, {"file": np.arange(3)})
        >>> read_archive(stream.getvalue())
        {'file': array([0, 1, 2])}
    """
    with zipfile.ZipFile(stream, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                npy.write_array(entry, array, allow_pickle=False)
