"""The coding of nested lattice codewords by their indices, digit by digit."""

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ltc.checks import digest
from ltc.codec.base import Code
from ltc.codec.range_coder import (
    TOTAL,
    finish,
    from_bytes,
    get_uniform,
    put,
    start_decoder,
    start_encoder,
    to_bytes,
    with_room,
)
from ltc.compiled import compiled
from ltc.errors import InputError
from ltc.quantizers import NestedQuantizer

__all__ = ["FixedRateCode"]


class FixedRateCode(Code):
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
        self.shape = rows, quantizer.lattice.dimension

    @property
    def fingerprint(self) -> bytes:
        """A digest of the quantizer, 8 bytes."""
        quantizer = self.quantizer
        kind = f"fixed rate {quantizer.ratio} {self.shape[0]}"
        parts = digest(kind, quantizer.shift, np.asarray(quantizer.lattice.generator_matrix))
        return bytes.fromhex(parts)[:8]

    def state(self) -> dict[str, Tensor]:
        """Return nothing that the quantizer's state does not hold."""
        return {}

    def _encode(self, points: Tensor, first: int, target: int | None) -> list[tuple[int, bytes]]:
        digits, ratio = self._digits(points, first), self.quantizer.ratio
        size = max(1, len(digits))
        if target is not None:
            size = max(1, int(8 * target / (math.prod(self.shape) * math.log2(ratio))))
        parts = [digits[start : start + size] for start in range(0, len(digits), size)]
        return [(len(part), to_bytes(_write(part.reshape(-1), ratio))) for part in parts]

    def _digits(self, points: Tensor, first: int) -> npt.NDArray[np.int64]:
        """Return checked indices, shape (count, rows, n); `first` is the number of the first."""
        at = points.to(self.quantizer.shift)
        index = self.quantizer.index(at)
        # A float32 has seven digits.
        error = (self.quantizer.point(index) - at).abs().amax((-1, -2))
        wrong = ~(error <= 1e-4 * self.quantizer.ratio)  # NaN is wrong too
        if wrong.any():
            number = first + int(wrong.nonzero()[0])
            raise InputError(f"vector {number} is no codeword; quantize it first")
        return index.cpu().numpy()

    def _decode(self, chunks: list[tuple[int, bytes]]) -> list[Tensor]:
        counts = [count for count, _ in chunks]
        digits = np.empty((sum(counts), *self.shape), dtype=np.int64)
        start = 0
        for count, stream in chunks:
            part = digits[start : start + count].reshape(-1)
            if not _read(from_bytes(stream), part, self.quantizer.ratio):
                raise InputError("the stream is damaged: no codewords have it")
            start += count
        index = torch.from_numpy(digits).to(self.quantizer.shift.device)
        return list(self.quantizer.point(index).cpu().split(counts))


@compiled()
def _write(digits, ratio):  # type: ignore[no-untyped-def]
    words, encoder = start_encoder()
    for digit in digits:
        words = with_room(words, encoder, 2)
        left = digit * TOTAL // ratio  # `put_uniform`, whose call would cost a third of the speed
        encoder = put(words, encoder, left, (digit + 1) * TOTAL // ratio - left)
    return finish(words, encoder)


@compiled()
def _read(words, digits, ratio):  # type: ignore[no-untyped-def]
    decoder = start_decoder(words)
    for i in range(len(digits)):
        # The decoder reads at most one word beyond the last that the encoder wrote.
        if decoder[0] > len(words) + 2:
            return False
        decoder, digit = get_uniform(words, decoder, ratio)
        if digit < 0:
            return False
        digits[i] = digit
    return True
