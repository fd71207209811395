"""The coding of lattice vectors as streams of the same size, so that each has a fixed address."""

import torch
from torch import Tensor

from ltc.checks import digest
from ltc.codec.base import Code
from ltc.codec.code import LatticeCode
from ltc.coder.fixed_size import GAIN_BITS, GAINS
from ltc.errors import InputError

__all__ = ["FixedSizeCode"]


class FixedSizeCode(Code):
    """Streams of lattice vectors that begin anew, filled with zeros: vector i begins at i `size`.

    A stream begins with the `GAIN_BITS` of a vector's gain, whose index is its last coordinate.

    Arguments:
        code: how a vector is coded.
        size: bytes of each.

    Example:
        >>> from ltc.entropy import Exact
        >>> from ltc.lattices import E8
        >>> channel = torch.zeros(1, 1, dtype=torch.long)
        >>> code = FixedSizeCode(LatticeCode.of(Exact(E8(), channel), channel), size=5)
        >>> points = E8().closest_point(torch.randn(100, 1, 8)).double()
        >>> points = torch.nn.functional.pad(points, (0, 1))
        >>> stream = code.encode(points)
        >>> len(stream), torch.allclose(code.decode(stream[35:40], 1), points[7:8])
        (500, True)
    """

    def __init__(self, code: LatticeCode, size: int) -> None:
        self.code = code
        self.size = size
        self.shape = code.shape[0], code.shape[1] + 1

    @property
    def fingerprint(self) -> bytes:
        """A digest of the code and the size, 8 bytes."""
        return bytes.fromhex(digest(f"fixed size {self.size}, {GAINS}", self.code.fingerprint))[:8]

    def state(self) -> dict[str, Tensor]:
        """Return the tables of the code."""
        return self.code.state()

    def lengths(self, points: Tensor) -> Tensor:
        """Return how many bits each vector needs, as any code, without those of its gain."""
        return self.code.lengths(points)

    def _encode(self, points: Tensor, first: int, target: int | None) -> list[tuple[int, bytes]]:
        streams = []
        for i in range(len(points)):
            stream = self.code._encode(points[i : i + 1, :, :-1], first + i, None)[0][1]
            whole = int.from_bytes(stream.ljust(self.size + 1, b"\0"))
            rest = 8 * (len(stream.ljust(self.size + 1)) - self.size)
            gain = int(points[i, 0, -1])
            if gain not in GAINS or whole % (1 << (rest + GAIN_BITS)):
                raise InputError(
                    f"vector {first + i} takes more than its {self.size} bytes, or has a gain that "
                    "none has: choose points that fit"
                )
            first_bits = (gain - GAINS[0]) << (8 * self.size - GAIN_BITS)
            whole = whole >> (rest + GAIN_BITS) | first_bits
            streams.append(whole.to_bytes(self.size))
        group = max(1, len(points) if target is None else target // self.size)
        parts = [streams[start : start + group] for start in range(0, len(streams), group)]
        return [(len(part), b"".join(part)) for part in parts]

    def _decode(self, chunks: list[tuple[int, bytes]]) -> list[Tensor]:
        parts: list[tuple[int, bytes]] = []
        gains: list[int] = []
        mask = (1 << 8 * self.size) - 1
        for count, stream in chunks:
            if len(stream) != count * self.size:
                raise InputError(
                    f"the stream is damaged: {count} vectors have {count * self.size} bytes, "
                    f"got {len(stream)}"
                )
            for i in range(0, len(stream), self.size):
                whole = int.from_bytes(stream[i : i + self.size]) << GAIN_BITS
                gains.append((whole >> (8 * self.size)) + GAINS[0])
                parts.append((1, (whole & mask).to_bytes(self.size)))
        if not parts:
            return [torch.zeros(0, *self.shape)] * len(chunks)
        points = torch.cat(self.code._decode(parts))
        gain = points.new_tensor(gains)[:, None, None].expand_as(points[..., :1])
        points = torch.cat([points, gain], -1)
        return list(points.split([count for count, _ in chunks]))
