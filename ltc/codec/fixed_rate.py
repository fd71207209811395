"""The coding of nested lattice codewords by their indices, digit by digit."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from ltc.codec.code import LARGEST_CHUNK
from ltc.codec.range_coder import TOTAL, finish, get, put, quantile, start_decoder
from ltc.errors import InputError
from ltc.quantizers import NestedQuantizer

__all__ = ["FixedRateCode"]


class FixedRateCode:
    """Indices as digits of equal probability: log2(ratio) bits each, up to 64 bits a stream.

    Arguments:
        quantizer: whose codewords are coded.
        rows: lattice vectors in a point.

    Example:
        >>> from ltc.lattices import E8
        >>> quantizer = NestedQuantizer(E8(), ratio=4)
        >>> code = FixedRateCode(quantizer, rows=1)
        >>> points = quantizer.quantize(torch.randn(100, 1, 8))
        >>> stream = code.encode(points)
        >>> len(stream), torch.allclose(code.decode(stream, 100).float(), points)
        (204, True)
    """

    def __init__(self, quantizer: NestedQuantizer, rows: int) -> None:
        self.quantizer = quantizer
        self.rows = rows

    @property
    def fingerprint(self) -> bytes:
        """A digest of the code, 16 bytes."""
        digest = hashlib.sha256(f"fixed rate {self.quantizer.ratio} {self.rows}".encode())
        for tensor in (self.quantizer.shift, torch.tensor(self.quantizer.lattice.generator_matrix)):
            digest.update(tensor.cpu().numpy().tobytes())
        return digest.digest()[:16]

    def encode(self, points: Tensor) -> bytes:
        """Encode codewords.

        Arguments:
            points: lattice units, shape (count, rows, n).

        Raises:
            InputError: a point is no codeword.
        """
        at = points.detach().to(self.quantizer.shift)
        index = self.quantizer.index(at)
        # A float32 has seven digits.
        error = (self.quantizer.point(index) - at).abs().amax((-1, -2))
        wrong = ~(error <= 1e-4 * self.quantizer.ratio)  # NaN is wrong too
        if wrong.any():
            raise InputError(f"vector {int(wrong.nonzero()[0])} is no codeword; quantize it first")
        words: Any = _encode(index.flatten().cpu().numpy(), self.quantizer.ratio)
        encoded: bytes = words.astype("<u4").tobytes()
        return encoded

    def decode(self, stream: bytes, count: int) -> Tensor:
        """Decode codewords.

        Arguments:
            stream: what `encode` returned.
            count: number of vectors.

        Returns:
            Codewords in lattice units, shape (count, rows, n), float64, on the CPU.

        Raises:
            InputError: no codewords have this stream.
        """
        shape = (count, self.rows, self.quantizer.lattice.dimension)
        if len(stream) % 4:
            raise InputError(f"a stream of {len(stream)} bytes is damaged; expected multiples of 4")
        if math.prod(shape) > LARGEST_CHUNK + math.prod(shape[1:]):
            raise InputError(f"a stream of {count} vectors is larger than any that ltc writes")
        words = np.frombuffer(stream, dtype="<u4").astype(np.uint32)
        digits = np.empty(math.prod(shape), dtype=np.int64)
        if not _decode(words, digits, self.quantizer.ratio):
            raise InputError("the stream is damaged: no codewords have it")
        index = torch.from_numpy(digits).reshape(shape).to(self.quantizer.shift.device)
        return self.quantizer.point(index).cpu()

    def encode_chunks(self, points: Tensor, target: int = 1 << 16) -> list[tuple[int, bytes]]:
        """Encode codewords as independent streams.

        Arguments:
            points: lattice units, shape (count, rows, n).
            target: bytes to aim for in a chunk.

        Returns:
            For each chunk the number of its vectors and its stream.
        """
        size = self.chunk_vectors(target)
        return [(len(part), self.encode(part)) for part in points.split(size) if len(part)]

    def decode_chunks(self, chunks: list[tuple[int, bytes]]) -> list[Tensor]:
        """Undo `encode_chunks`; a tensor of shape (count, rows, n) for each."""
        return [self.decode(stream, count) for count, stream in chunks]

    def chunk_vectors(self, target: int) -> int:
        """Return how many vectors a chunk of about `target` bytes holds."""
        scalars = min(LARGEST_CHUNK, int(8 * target / math.log2(self.quantizer.ratio)))
        return max(1, scalars // (self.rows * self.quantizer.lattice.dimension))


kernel = numba.njit(cache=True, nogil=True)


@kernel
def _encode(digits, ratio):  # type: ignore[no-untyped-def]
    words, count = np.empty(1024, dtype=np.uint32), 0
    lower, width = np.uint64(0), ~np.uint64(0)
    pending, first = 0, np.uint64(0)
    for digit in digits:
        left = digit * TOTAL // ratio
        words, count, lower, width, pending, first = put(
            words, count, lower, width, pending, first, left, (digit + 1) * TOTAL // ratio - left
        )
    words, count = finish(words, count, lower, width, pending, first)
    return words[:count]


@kernel
def _decode(words, digits, ratio):  # type: ignore[no-untyped-def]
    position, lower, width, point = start_decoder(words)
    for i in range(len(digits)):
        # The decoder reads at most one word beyond the last that the encoder wrote.
        if position > len(words) + 2:
            return False
        part = np.int64(quantile(lower, width, point))
        if not 0 <= part < TOTAL:
            return False
        digit = part * ratio // TOTAL
        if (digit + 1) * TOTAL // ratio <= part:
            digit += 1
        left = digit * TOTAL // ratio
        position, lower, width, point = get(
            words, position, lower, width, point, left, (digit + 1) * TOTAL // ratio - left
        )
        digits[i] = digit
    return True
