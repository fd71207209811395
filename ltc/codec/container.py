"""The `.ltc` file: what a decoder has to know, then chunks that stand alone.

All integers are little-endian and unsigned.

| offset | bytes | what |
|---|---|---|
| 0 | 4 | magic, `LTC` and 0x1A |
| 4 | 1 | format version, 2 |
| 5 | 3 | zero |
| 8 | 16 | fingerprint of the model that wrote the file |
| 24 | 4 | length m of the metadata |
| 28 | 4 | length t of the table |
| 32 | 4 | CRC-32 of all chunks, one after the other |
| 36 | m | metadata: a JSON object in UTF-8 |
| 36 + m | t | table of the chunks |
| 36 + m + t | 4 | CRC-32 of everything before |
| 40 + m + t | | the chunks, one after the other |

An entry of the table holds the number of a chunk's vectors, the number of its bytes and its
checksum. Chunks are much alike: the numbers are differences from the chunk before (0 and 0 before
the first), zigzag-coded (0, -1, 1, -2, ... are 0, 1, 2, 3, ...), seven bits a byte, the lowest
first, with the highest bit of a byte set where more follow. The checksum has 2 bytes, CRC-16 with
the polynomial 0x1021 from zero (`binascii.crc_hqx`), which finds every error of up to three bits
in 4 KB: it tells which chunk is damaged; whether one is, the CRC-32 tells.

A chunk is the stream of one `encode` of a code: words of 32 bits, most significant byte first, of
a range coder that starts anew in each chunk, so that a damaged one costs only itself.
"""

from __future__ import annotations

import binascii
import json
import struct
import zlib
from dataclasses import dataclass
from typing import Any

from ltc.coder.sequence import LONGEST
from ltc.errors import InputError

__all__ = ["CHUNK", "LARGEST_CHUNK", "Container"]

# Bytes after which a chunk ends, or more where it begins with the states of many paths. A damaged
# byte costs a chunk; a chunk costs its entry in the file and the end of its stream, 4.4 to 6.5
# bytes (measured, from 0.3 to 2 bits): at most 0.45 %.
CHUNK = 1536
# Coordinates in a chunk at most, so that a forged header cannot make a decoder allocate more.
LARGEST_CHUNK = LONGEST

MAGIC = b"LTC\x1a"
VERSION = 2
HEADER = struct.Struct("<4sB3x16sIII")
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
        table = bytearray()
        before = (0, 0)
        for (vectors, _), stream in zip(self.chunks, streams, strict=True):
            _append(table, vectors - before[0])
            _append(table, len(stream) - before[1])
            table += binascii.crc_hqx(stream, 0).to_bytes(2, "little")
            before = vectors, len(stream)
        body = b"".join(streams)
        head = HEADER.pack(
            MAGIC, VERSION, self.fingerprint, len(metadata), len(table), zlib.crc32(body)
        )
        head += metadata + table
        return head + CHECKSUM.pack(zlib.crc32(head)) + body

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
        magic, version, fingerprint, length, size, checksum = HEADER.unpack_from(data)
        if magic != MAGIC:
            raise InputError(f"this is no .ltc file: it starts with {magic!r}, not {MAGIC!r}")
        if version != VERSION:
            raise InputError(f"format version {version}; this ltc reads version {VERSION}")
        table_at = HEADER.size + length
        end = table_at + size
        if end + CHECKSUM.size > len(data):
            raise InputError(
                f"the header claims {length + size} bytes of metadata and table, more than the "
                f"file's {len(data)} bytes hold; it is damaged or cut short"
            )
        if zlib.crc32(data[:end]) != CHECKSUM.unpack_from(data, end)[0]:
            raise InputError("the header is damaged: its checksum does not match")
        try:
            metadata = json.loads(data[HEADER.size : table_at])
        except (ValueError, RecursionError) as error:
            raise InputError("the header's metadata is no JSON") from error
        if not isinstance(metadata, dict):
            raise InputError("the header's metadata is no JSON object")
        body = memoryview(data)[end + CHECKSUM.size :]
        chunks: list[tuple[int, bytes | None]] = []
        position = 0
        for vectors, count, check in _entries(data[table_at:end]):
            stream = bytes(body[position : position + count])
            position += count
            whole = len(stream) == count and binascii.crc_hqx(stream, 0) == check
            chunks.append((vectors, stream if whole else None))
        if position < len(body) and not salvage:
            raise InputError(
                f"{len(body) - position} bytes follow the last chunk; not an .ltc file"
            )
        damaged = [i for i, (_, found) in enumerate(chunks) if found is None]
        if damaged and not salvage:
            names = ", ".join(map(str, damaged[:10])) + (", ..." if len(damaged) > 10 else "")
            raise InputError(
                f"damaged: chunk {names} of {len(chunks)} (0 is the first); --salvage recovers "
                "the others"
            )
        if not damaged and zlib.crc32(body[:position]) != checksum:
            raise InputError("the file is damaged, and nothing tells where")
        return cls(fingerprint, metadata, chunks)


def _append(table: bytearray, difference: int) -> None:
    """Write a number in zigzag code, seven bits a byte."""
    value = 2 * difference if difference >= 0 else -2 * difference - 1
    while value >= 128:
        table.append(value & 127 | 128)
        value >>= 7
    table.append(value)


def _entries(table: bytes) -> list[tuple[int, int, int]]:
    """Return vectors, bytes and checksum of each chunk.

    Raises:
        InputError: these bytes are no table, or a chunk is larger than any.
    """
    entries: list[tuple[int, int, int]] = []
    numbers = [0, 0]
    at = 0
    wrong = InputError("the header's table of chunks is damaged")
    while at < len(table):
        for which in range(2):
            value = shift = 0
            while True:
                if at == len(table) or shift > 35:
                    raise wrong
                byte = table[at]
                at += 1
                value |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    break
            numbers[which] += -(value + 1 >> 1) if value & 1 else value >> 1
        vectors, size = numbers
        if vectors < 1 or size < 0 or at + 2 > len(table):
            raise wrong
        if vectors > LARGEST_CHUNK:
            raise InputError(
                f"chunk {len(entries)} claims {vectors} vectors, more than any chunk holds"
            )
        entries.append((vectors, size, int.from_bytes(table[at : at + 2], "little")))
        at += 2
    return entries
