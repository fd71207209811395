"""The `.ltc` file: what a decoder has to know, then chunks that stand alone.

All integers are little-endian and unsigned.

| offset | bytes | what |
|---|---|---|
| 0 | 4 | magic, `LTC` and 0x1A |
| 4 | 1 | format version, 1 |
| 5 | 3 | zero |
| 8 | 16 | fingerprint of the model that wrote the file |
| 24 | 4 | length m of the metadata |
| 28 | 4 | number c of chunks |
| 32 | m | metadata: a JSON object in UTF-8 |
| 32 + m | 12 c | for each chunk: its vectors (4), its bytes (4), its CRC-32 (4) |
| 32 + m + 12 c | 4 | CRC-32 of everything before |
| 36 + m + 12 c | | the chunks, one after the other |

A chunk is the stream of one `encode` of a code: words of 32 bits of a range coder that starts
anew in each chunk, so that a damaged one costs only itself.
"""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import dataclass
from typing import Any

from ltc.codec.code import LARGEST_CHUNK
from ltc.errors import InputError

__all__ = ["Container"]

MAGIC = b"LTC\x1a"
VERSION = 1
HEADER = struct.Struct("<4sB3x16sII")
ENTRY = struct.Struct("<III")
CHECKSUM = struct.Struct("<I")


@dataclass
class Container:
    """The contents of an `.ltc` file.

    Attributes:
        fingerprint: of the model, 16 bytes.
        metadata: what the payload is; JSON values.
        chunks: for each chunk the number of its vectors and its stream, None if it is damaged.

    Example:
        >>> container = Container(bytes(16), {"kind": "array"}, [(3, b"abcd")])
        >>> Container.unpack(container.pack()) == container
        True
    """

    fingerprint: bytes
    metadata: dict[str, Any]
    chunks: list[tuple[int, bytes | None]]

    def pack(self) -> bytes:
        """Return the file's bytes."""
        metadata = json.dumps(self.metadata, separators=(",", ":")).encode()
        streams = [stream or b"" for _, stream in self.chunks]
        head = HEADER.pack(MAGIC, VERSION, self.fingerprint, len(metadata), len(streams))
        head += metadata
        for (vectors, _), stream in zip(self.chunks, streams, strict=True):
            head += ENTRY.pack(vectors, len(stream), zlib.crc32(stream))
        return head + CHECKSUM.pack(zlib.crc32(head)) + b"".join(streams)

    @classmethod
    def unpack(cls, data: bytes, salvage: bool = False) -> Container:
        """Read a file's bytes.

        Arguments:
            data: the file.
            salvage: whether damaged chunks are returned as None instead of refused.

        Raises:
            InputError: it is no `.ltc` file, or it is damaged; the damage is named.
        """
        if len(data) < HEADER.size + CHECKSUM.size:
            raise InputError(f"{len(data)} bytes are too few for an .ltc file; it is cut short")
        magic, version, fingerprint, length, count = HEADER.unpack_from(data)
        if magic != MAGIC:
            raise InputError(f"this is no .ltc file: it starts with {magic!r}, not {MAGIC!r}")
        end = HEADER.size + length + ENTRY.size * count
        if end + CHECKSUM.size > len(data):
            raise InputError(
                f"the header claims {length} bytes of metadata and {count} chunks, more than the "
                f"file's {len(data)} bytes hold; it is damaged or cut short"
            )
        if zlib.crc32(data[:end]) != CHECKSUM.unpack_from(data, end)[0]:
            raise InputError("the header is damaged: its checksum does not match")
        if version != VERSION:
            raise InputError(f"format version {version}; this ltc reads version {VERSION}")
        try:
            metadata = json.loads(data[HEADER.size : HEADER.size + length])
        except (ValueError, RecursionError) as error:
            raise InputError("the header's metadata is no JSON") from error
        if not isinstance(metadata, dict):
            raise InputError("the header's metadata is no JSON object")
        chunks: list[tuple[int, bytes | None]] = []
        position = end + CHECKSUM.size
        damaged = []
        for i in range(count):
            vectors, size, checksum = ENTRY.unpack_from(data, HEADER.size + length + ENTRY.size * i)
            if vectors > LARGEST_CHUNK:
                raise InputError(f"chunk {i} claims {vectors} vectors, more than any chunk holds")
            stream = data[position : position + size]
            position += size
            whole = len(stream) == size and zlib.crc32(stream) == checksum
            if not whole:
                damaged.append(i)
            chunks.append((vectors, stream if whole else None))
        if position < len(data) and not salvage:
            raise InputError(
                f"{len(data) - position} bytes follow the last chunk; not an .ltc file"
            )
        if damaged and not salvage:
            names = ", ".join(map(str, damaged[:10])) + (", ..." if len(damaged) > 10 else "")
            raise InputError(
                f"damaged: chunk {names} of {count} (0 is the first); --salvage recovers the others"
            )
        return cls(fingerprint, metadata, chunks)
