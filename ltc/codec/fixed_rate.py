"""The coding of nested lattice codewords by their indices, digit by digit."""

from __future__ import annotations

import math

import numba
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ltc.checks import digest
from ltc.codec.container import CHUNK, LARGEST_CHUNK
from ltc.codec.range_coder import (
    TOTAL,
    finish,
    from_bytes,
    get_uniform,
    put,
    start_decoder,
    to_bytes,
    with_room,
)
from ltc.errors import InputError
from ltc.quantizers import NestedQuantizer
from ltc.threads import in_parallel

__all__ = ["FixedRateCode"]

# Chunks that a thread decodes at a time.
PIECE = 64


class FixedRateCode:
    """Indices as digits of equal probability: log2(ratio) bits each, up to 64 bits a stream.

    Arguments:
        quantizer: whose codewords are coded.
        rows: lattice vectors in a point.

    Example:
        >>> from ltc.lattices import E8
        >>> quantizer = NestedQuantizer(E8(), ratio=4)
        >>> code = FixedRateCode(quantizer, rows=1)
        >>> x = torch.randn(100, 1, 8, generator=torch.Generator().manual_seed(0))
        >>> points = quantizer.quantize(x)
        >>> stream = code.encode(points)
        >>> len(stream), torch.allclose(code.decode(stream, 100).float(), points)
        (201, True)
    """

    def __init__(self, quantizer: NestedQuantizer, rows: int) -> None:
        self.quantizer = quantizer
        self.rows = rows

    @property
    def fingerprint(self) -> bytes:
        """A digest of the code, 8 bytes."""
        quantizer = self.quantizer
        kind = f"fixed rate {quantizer.ratio} {self.rows}"
        parts = digest(kind, quantizer.shift, np.asarray(quantizer.lattice.generator_matrix))
        return bytes.fromhex(parts)[:8]

    def state(self) -> dict[str, Tensor]:
        """Return what a checkpoint has to hold: nothing that the quantizer's state does not."""
        return {}

    @property
    def most_vectors(self) -> int:
        """How many vectors a chunk holds at most."""
        return max(1, LARGEST_CHUNK // math.prod(self.shape))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and coordinates of the vectors of a point."""
        return self.rows, self.quantizer.lattice.dimension

    def encode(self, points: Tensor) -> bytes:
        """Encode codewords.

        Arguments:
            points: lattice units, shape (count, rows, n).

        Returns:
            The stream; it does not know its own length in vectors.

        Raises:
            InputError: a point is no codeword.
        """
        return to_bytes(_encode(self._digits(points, 0).reshape(-1), self.quantizer.ratio))

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
        return self._points([(count, stream)])[0]

    def encode_chunks(self, points: Tensor, target: int = CHUNK) -> list[tuple[int, bytes]]:
        """Encode codewords as independent streams, in parallel.

        Arguments:
            points: lattice units, shape (count, rows, n).
            target: bytes to aim for in a chunk.

        Returns:
            For each chunk the number of its vectors and its stream.

        Raises:
            InputError: a point is no codeword.
        """
        bits = math.prod(self.shape) * math.log2(self.quantizer.ratio)
        size = min(self.most_vectors, max(1, int(8 * target / bits)))

        def encode(start: int) -> list[tuple[int, bytes]]:
            digits = self._digits(points[start : start + self.most_vectors], start)
            parts = [digits[at : at + size] for at in range(0, len(digits), size)]
            ratio = self.quantizer.ratio
            return [(len(part), to_bytes(_encode(part.reshape(-1), ratio))) for part in parts]

        return in_parallel(encode, range(0, len(points), self.most_vectors))

    def decode_chunks(self, chunks: list[tuple[int, bytes]]) -> list[Tensor]:
        """Undo `encode_chunks`, in parallel; a tensor of shape (count, rows, n) for each."""
        pieces = [chunks[start : start + PIECE] for start in range(0, len(chunks), PIECE)]
        return in_parallel(self._points, pieces)

    def _digits(self, points: Tensor, first: int) -> npt.NDArray[np.int64]:
        """Return checked indices, shape (count, rows, n); `first` is the number of the first."""
        at = points.detach().to(self.quantizer.shift)
        index = self.quantizer.index(at)
        # A float32 has seven digits.
        error = (self.quantizer.point(index) - at).abs().amax((-1, -2))
        wrong = ~(error <= 1e-4 * self.quantizer.ratio)  # NaN is wrong too
        if wrong.any():
            number = first + int(wrong.nonzero()[0])
            raise InputError(f"vector {number} is no codeword; quantize it first")
        return index.cpu().numpy()

    def _points(self, chunks: list[tuple[int, bytes]]) -> list[Tensor]:
        """Return the codewords of each chunk, shape (count, rows, n)."""
        counts = [count for count, _ in chunks]
        if counts and max(counts) > self.most_vectors:
            raise InputError(
                f"a stream of {max(counts)} vectors is larger than any that ltc writes"
            )
        digits = np.empty((sum(counts), *self.shape), dtype=np.int64)
        start = 0
        for count, stream in chunks:
            part = digits[start : start + count].reshape(-1)
            if not _decode(from_bytes(stream), part, self.quantizer.ratio):
                raise InputError("the stream is damaged: no codewords have it")
            start += count
        index = torch.from_numpy(digits).to(self.quantizer.shift.device)
        return list(self.quantizer.point(index).cpu().split(counts))


kernel = numba.njit(cache=True, nogil=True)


@kernel
def _encode(digits, ratio):  # type: ignore[no-untyped-def]
    words, count = np.empty(1024, dtype=np.uint32), 0
    lower, width = np.uint64(0), ~np.uint64(0)
    pending, first = 0, np.uint64(0)
    for digit in digits:
        words = with_room(words, count + pending + 2)
        left = digit * TOTAL // ratio  # `put_uniform`, whose call would cost a third of the speed
        count, lower, width, pending, first = put(
            words, count, lower, width, pending, first, left, (digit + 1) * TOTAL // ratio - left
        )
    count = finish(words, count, lower, width, pending, first)
    return words[:count]


@kernel
def _decode(words, digits, ratio):  # type: ignore[no-untyped-def]
    position, lower, width, point = start_decoder(words)
    for i in range(len(digits)):
        # The decoder reads at most one word beyond the last that the encoder wrote.
        if position > len(words) + 2:
            return False
        position, lower, width, point, digit = get_uniform(
            words, position, lower, width, point, ratio
        )
        if digit < 0:
            return False
        digits[i] = digit
    return True
