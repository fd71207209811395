"""What the header of an `.ltc` file says of its contents, checked."""

import re
from typing import Any

import numpy as np

from ltc.errors import InputError
from ltc.media import ARRAYS, SAMPLE_TYPES, Payload
from ltc.media.sounds import WRITTEN_SOUNDS

__all__ = ["describe", "described", "described_sound"]

# What the header of a file of each kind may say: endings, types, numbers of dimensions.
DESCRIBED = {
    "array": (ARRAYS, "[<>|]([iu][1248]|f[248]|b1)", range(65)),
    "image": ((".png", ".jpg", ".jpeg"), r"\|u1|[<>]u2", (2, 3)),
    "audio": (WRITTEN_SOUNDS, "[<>]f[48]", (1, 2)),
}


def describe(payload: Payload) -> dict[str, Any]:
    """Return what a header says of a payload.

    Raises:
        InputError: `described` refuses it: what is refused when it is read is not written.
    """
    metadata = {
        "kind": payload.kind,
        "suffix": payload.suffix,
        "arrays": [[n, list(a.shape), a.dtype.str] for n, a in payload.arrays.items()],
    }
    described(metadata)
    return metadata


def described(metadata: dict[str, Any]) -> list[tuple[str, tuple[int, ...], np.dtype[Any]]]:
    """Return the checked names, shapes and types of the arrays in a header.

    Raises:
        InputError: `Payload.read` returns no such arrays, or not of this kind and ending.
    """
    wrong = InputError("the header describes no arrays that an .ltc file can hold")
    kind, suffix, entries = (metadata.get(key) for key in ("kind", "suffix", "arrays"))
    if not isinstance(kind, str) or kind not in DESCRIBED or not isinstance(entries, list):
        raise wrong
    suffixes, types, dimensions = DESCRIBED[kind]
    if suffix not in suffixes:
        raise wrong
    shapes: dict[str, tuple[tuple[int, ...], np.dtype[Any]]] = {}
    for entry in entries:
        if not isinstance(entry, list) or len(entry) != 3:
            raise wrong
        name, shape, code = entry
        if not isinstance(name, str) or not isinstance(shape, list) or not isinstance(code, str):
            raise wrong
        # numpy would evaluate some texts that are no types.
        if name in shapes or len(shape) not in dimensions or not re.fullmatch(types, code):
            raise wrong
        if not all(type(n) is int and 0 <= n < 1 << 40 for n in shape):
            raise wrong
        try:
            dtype = np.dtype(code)
            np.broadcast_to(np.zeros((), dtype), shape)  # numpy has such a shape; takes no memory
            encoded = name.encode()
        except (TypeError, ValueError) as error:
            raise wrong from error
        if b"\0" in encoded or len(encoded) > 65_531:  # of which an archive has no names
            raise wrong
        shapes[name] = tuple(shape), dtype
    if suffix != ".npz" and (len(shapes) != 1 or (kind != "array" and kind not in shapes)):
        raise wrong
    found = [(name, shape, dtype) for name, (shape, dtype) in shapes.items()]
    if kind == "audio" and any(0 in shape[1:] for _, shape, _ in found):
        raise wrong
    if kind == "image" and any(0 in shape or shape[2:] not in ((), (3,)) for _, shape, _ in found):
        raise wrong
    return found


def described_sound(metadata: dict[str, Any], expected: int | None) -> tuple[int | None, str]:
    """Return the checked rate and sample type of a sound in a header; of others what they have.

    Arguments:
        metadata: of which the kind is checked.
        expected: the rate that sounds of this model have.

    Raises:
        InputError: it is a sound, and has another rate, or a type of samples that is none.
    """
    if metadata["kind"] != "audio":
        return None, "PCM_16"
    rate, subtype = metadata.get("rate"), metadata.get("subtype")
    known = isinstance(subtype, str) and subtype in SAMPLE_TYPES
    if type(rate) is not int or rate != expected or not known:
        raise InputError("the header's metadata describes no sound that this model codes")
    return rate, str(subtype)
