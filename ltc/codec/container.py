"""The `.ltc` file: what a decoder has to know, then chunks that stand alone.

Integers are little-endian and unsigned; a number is one of them in base 128, the lowest seven bits
first, with the highest bit of a byte set where more follow.

| bytes | what |
|---|---|
| 4 | magic, `LTC` and 0x1A |
| 1 | format version, 4 |
| 8 | fingerprint of the model that wrote the file |
| 4 | CRC-32 of all chunks, one after the other |
| | length m of the metadata, a number |
| | length t of the table, a number |
| m | metadata: a JSON object in UTF-8, deflated (RFC 1951) with the dictionary below |
| t | table of the chunks |
| 4 | CRC-32 of everything before |
| | the chunks, one after the other |

An entry of the table holds the number of a chunk's vectors, the number of its bytes and its
checksum. Chunks are much alike: the first two are differences from the chunk before (0 and 0
before the first), zigzag-coded: 0, -1, 1, -2, ... are the numbers 0, 1, 2, 3, ... The checksum has
2 bytes, CRC-16 with the polynomial 0x1021 from zero (`binascii.crc_hqx`), which finds every error
of up to three bits in 4 KB: it tells which chunk is damaged; whether one is, the CRC-32 tells.

A chunk is the stream of one `encode` of a code: words of 32 bits, most significant byte first, of
a range coder that starts anew in each chunk, so that a damaged one costs only itself.
"""

import binascii
import json
import struct
import zlib
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from ltc.coder.sequence import LONGEST
from ltc.errors import InputError
from ltc.files import MAGIC

__all__ = ["CHUNK", "LARGEST_CHUNK", "Container", "Parts"]

# Bytes after which a chunk ends, or more where it begins with the states of many paths. A damaged
# byte costs a chunk; a chunk costs its entry in the file and the end of its stream, 4.4 to 6.5
# bytes (measured, from 0.3 to 2 bits): at most 0.45 %.
CHUNK = 1536
# Coordinates in a chunk at most, so that a forged header cannot make a decoder allocate more.
LARGEST_CHUNK = LONGEST

VERSION = 4
HEADER = struct.Struct("<4sB8sI")
CHECKSUM = struct.Struct("<I")
# What metadata look like, the likeliest last: a small array is not to cost more for them.
DICTIONARY = (
    b'{"kind":"audio","suffix":".wav","arrays":[["audio",[100000],"<f8"]],"rate":44100,"subtype":'
    b'"PCM_16"}{"kind":"image","suffix":".png","arrays":[["image",[512,768],[512,768,3],"|u1"]]}'
    b'{"kind":"array","suffix":".npz","arrays":[["arr_0",[1000],"<i8"],'
    b'{"kind":"array","suffix":".npy","arrays":[["array",[1000,2],"<f8"]]}],"<f4"]]}'
)
# Bytes of metadata, inflated.
LARGEST_METADATA = 1 << 24


class Parts(NamedTuple):
    """The parts of a file, whatever they hold: see the table above."""

    fingerprint: bytes
    metadata: bytes
    table: bytes
    body: bytes

    def pack(self) -> bytes:
        """Return the file's bytes, with checksums."""
        deflate = zlib.compressobj(9, zlib.DEFLATED, -15, zdict=DICTIONARY)
        metadata = deflate.compress(self.metadata) + deflate.flush()
        head = bytearray(HEADER.pack(MAGIC, VERSION, self.fingerprint, zlib.crc32(self.body)))
        _append(head, len(metadata))
        _append(head, len(self.table))
        head += metadata + self.table
        return bytes(head) + CHECKSUM.pack(zlib.crc32(head)) + self.body

    @classmethod
    def unpack(cls, data: bytes) -> tuple[Self, int]:
        """Return the parts of a file, and the CRC-32 that its chunks should have.

        Raises:
            InputError: it is no `.ltc` file, or its header is damaged.
        """
        if len(data) < HEADER.size + CHECKSUM.size:
            raise InputError(f"{len(data)} bytes are too few for an .ltc file; it is cut short")
        magic, version, fingerprint, checksum = HEADER.unpack_from(data)
        if magic != MAGIC:
            raise InputError(f"this is no .ltc file: it starts with {magic!r}, not {MAGIC!r}")
        if version != VERSION:
            raise InputError(f"format version {version}; this ltc reads version {VERSION}")
        wrong = InputError("the header is damaged: its lengths are no numbers")
        length, at = _number(data, HEADER.size, wrong)
        size, metadata_at = _number(data, at, wrong)
        table_at = metadata_at + length
        end = table_at + size
        if end + CHECKSUM.size > len(data):
            raise InputError(
                f"the header claims {length + size} bytes of metadata and table, more than the "
                f"file's {len(data)} bytes hold; it is damaged or cut short"
            )
        if zlib.crc32(data[:end]) != CHECKSUM.unpack_from(data, end)[0]:
            raise InputError("the header is damaged: its checksum does not match")
        inflate = zlib.decompressobj(-15, zdict=DICTIONARY)
        try:
            metadata = inflate.decompress(data[metadata_at:table_at], LARGEST_METADATA)
        except zlib.error as error:
            raise InputError("the header's metadata is not deflated") from error
        if not inflate.eof or inflate.unused_data:
            raise InputError("the header's metadata is not deflated, or too large")
        body = data[end + CHECKSUM.size :]
        return cls(fingerprint, metadata, data[table_at:end], body), checksum


@dataclass
class Container:
    """The contents of an `.ltc` file.

    Attributes:
        fingerprint: of the model, 8 bytes.
        metadata: what the payload is; JSON values.
        chunks: for each chunk the number of its vectors and its stream, None if it is damaged.

    Example:
        >>> container = Container(bytes(8), {"kind": "array"}, [(3, b"abcd")])
        >>> Container.unpack(container.pack()) == container
        True
    """

    fingerprint: bytes
    metadata: dict[str, Any]
    chunks: list[tuple[int, bytes | None]]

    def check_model(self, fingerprint: bytes) -> None:
        """Refuse a file that another model wrote.

        Arguments:
            fingerprint: of the model that is to decode it.

        Raises:
            InputError: that is so.
        """
        if self.fingerprint != fingerprint:
            raise InputError(
                f"the file was written by model {self.fingerprint.hex()}, this is model "
                f"{fingerprint.hex()}; give the checkpoint that compressed it"
            )

    def pack(self) -> bytes:
        """Return the file's bytes."""
        metadata = json.dumps(self.metadata, separators=(",", ":")).encode()
        streams = [stream or b"" for _, stream in self.chunks]
        table = bytearray()
        before = (0, 0)
        for (vectors, _), stream in zip(self.chunks, streams, strict=True):
            for difference in (vectors - before[0], len(stream) - before[1]):
                _append(table, 2 * difference if difference >= 0 else -2 * difference - 1)
            table += binascii.crc_hqx(stream, 0).to_bytes(2, "little")
            before = vectors, len(stream)
        return Parts(self.fingerprint, metadata, bytes(table), b"".join(streams)).pack()

    @classmethod
    def unpack(cls, data: bytes, salvage: bool = False) -> Self:
        """Read a file's bytes.

        Arguments:
            data: the file.
            salvage: whether damaged chunks are returned as None instead of refused.

        Raises:
            InputError: it is no `.ltc` file, or it is damaged; the damage is named.
        """
        parts, checksum = Parts.unpack(data)
        try:
            metadata = json.loads(parts.metadata)
        except (ValueError, RecursionError) as error:
            raise InputError("the header's metadata is no JSON") from error
        if not isinstance(metadata, dict):
            raise InputError("the header's metadata is no JSON object")
        body = memoryview(parts.body)
        chunks: list[tuple[int, bytes | None]] = []
        position = 0
        for vectors, count, check in _entries(parts.table):
            stream = bytes(body[position : position + count])
            position += count
            whole = len(stream) == count and binascii.crc_hqx(stream, 0) == check
            chunks.append((vectors, stream if whole else None))
        if position < len(body) and not salvage:
            raise InputError(
                f"{len(body) - position} bytes too many follow the header: damaged, or several "
                "files in one; --salvage recovers what is whole"
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
        return cls(parts.fingerprint, metadata, chunks)


def _append(target: bytearray, number: int) -> None:
    """Write a number, seven bits a byte."""
    while number >= 128:
        target.append(number & 127 | 128)
        number >>= 7
    target.append(number)


def _number(data: bytes, at: int, wrong: InputError) -> tuple[int, int]:
    """Return the number that begins at a place, and the place after it; raise `wrong` if none."""
    value = shift = 0
    while at < len(data) and shift <= 35:
        value |= (data[at] & 127) << shift
        shift += 7
        at += 1
        if data[at - 1] < 128:
            return value, at
    raise wrong


def _entries(table: bytes) -> list[tuple[int, int, int]]:
    """Return vectors, bytes and checksum of each chunk."""
    entries: list[tuple[int, int, int]] = []
    numbers = [0, 0]
    at = 0
    wrong = InputError("the header's table of chunks is damaged")
    while at < len(table):
        for which in range(2):
            value, at = _number(table, at, wrong)
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
