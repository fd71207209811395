"""A range coder, compiled, in the format of constriction's `RangeEncoder`.

constriction codes one array of symbols a call, with models that may differ from symbol to symbol
only in their parameters. On a trellis the model of a symbol follows from the symbols before it,
so that the coder has to run inside the walk. This is constriction's algorithm (words of 32 bits,
state of 64 bits, 24 bits of precision) as functions that a numba kernel can inline; the tests hold
both to the same words up to the last, and let each decode what the other encoded (Martin, *Range
encoding*, 1979; Bamler, arXiv 2201.01741, section 3).

An encoder is (words written, lower end of the interval, its width, words that wait for a carry, the
first of them), a decoder (words read, lower end, width, the number that it reads).
"""

import numpy as np
import numpy.typing as npt

from ltc.compiled import compiled

__all__ = [
    "PRECISION",
    "TOTAL",
    "finish",
    "from_bytes",
    "get",
    "get_bit",
    "get_gamma",
    "get_uniform",
    "put",
    "put_bit",
    "put_gamma",
    "put_uniform",
    "quantile",
    "start_decoder",
    "start_encoder",
    "to_bytes",
    "with_room",
]

PRECISION = 24
TOTAL = 1 << PRECISION

# Constants have types: each literal that a kernel calls another with is compiled for.
_START = np.int64(0)
_HALF = np.int64(TOTAL // 2)
_32 = np.uint64(32)
_PRECISION = np.uint64(PRECISION)
_THRESHOLD = np.uint64(1 << 32)
_ZERO = np.uint64(0)
_ONE = np.uint64(1)
_WORD = np.uint64(0xFFFFFFFF)

inline = compiled(inline="never")


@inline
def start_encoder():  # type: ignore[no-untyped-def]
    """Return words with room for some, and an encoder at their start."""
    return np.empty(1024, dtype=np.uint32), (_START, _ZERO, ~_ZERO, _START, _ZERO)


@inline
def with_room(words, encoder, more):  # type: ignore[no-untyped-def]
    """Return words with room for so many more: themselves, or a longer copy."""
    size = encoder[0] + encoder[3] + more
    if size <= len(words):
        return words
    larger = np.empty(2 * size, dtype=np.uint32)
    # Not by a slice: numba would compile the text of the error of unequal shapes, for 3 s.
    for i in range(len(words)):
        larger[i] = words[i]
    return larger


@inline
def _flush(words, count, pending, first, carry):  # type: ignore[no-untyped-def]
    """Write the words that waited for a carry; returns the new count."""
    words[count] = np.uint32((first + carry) & _WORD)
    rest = np.uint32(0) if carry else np.uint32(0xFFFFFFFF)
    for i in range(count + 1, count + pending):
        words[i] = rest
    return count + pending


@inline
def put(words, encoder, left, probability):  # type: ignore[no-untyped-def]
    """Encode one symbol.

    Arguments:
        words: receives the output, uint32; with room for one more word.
        encoder: as of `start_encoder`.
        left: sum of the probabilities of the symbols before this one, in units of 2^-24.
        probability: of the symbol, in units of 2^-24, at least 1.

    Returns:
        The encoder after it.
    """
    count, lower, width, pending, first = encoder
    scale = width >> _PRECISION
    width = scale * np.uint64(probability)
    moved = lower + scale * np.uint64(left)
    if pending > 0 and moved + width > moved:
        count = _flush(words, count, pending, first, _ONE if moved < lower else _ZERO)
        pending = 0
    lower = moved
    if width < _THRESHOLD:
        word = lower >> _32
        lower = lower << _32
        width = width << _32
        if pending > 0:
            pending += 1
        elif lower + width > lower:
            words[count] = np.uint32(word)
            count += 1
        else:
            pending = 1
            first = word
    return count, lower, width, pending, first


@inline
def finish(words, encoder):  # type: ignore[no-untyped-def]
    """Write the last word, and return all words.

    Where constriction writes enough for whatever may follow, this writes the point of the interval
    with the most zeros at its end: a decoder reads zeros beyond the end, so that they need not be
    kept. See `to_bytes`.
    """
    count, lower, width, pending, first = encoder
    if width == ~_ZERO:
        return words[:count]
    # An interval is at least 2^32 wide: one word is always enough.
    point = lower
    for bits in range(63, -1, -1):
        below = (_ONE << np.uint64(bits)) - _ONE
        rounded = (lower + below) & ~below
        if rounded - lower < width:
            point = rounded
            break
    if pending > 0:
        count = _flush(words, count, pending, first, _ONE if point < lower else _ZERO)
    words[count] = np.uint32(point >> _32)
    return words[: count + 1]


@inline
def _next(words, position):  # type: ignore[no-untyped-def]
    return np.uint64(words[position]) if position < len(words) else _ZERO


@inline
def start_decoder(words):  # type: ignore[no-untyped-def]
    """Return a decoder at the start of words, uint32."""
    point = (_next(words, _START) << _32) | _next(words, _START + 1)
    return _START + 2, _ZERO, ~_ZERO, point


@inline
def get(words, decoder, left, probability):  # type: ignore[no-untyped-def]
    """Consume the symbol that `quantile` showed; returns the decoder after it."""
    position, lower, width, point = decoder
    scale = width >> _PRECISION
    lower = lower + scale * np.uint64(left)
    width = scale * np.uint64(probability)
    if width < _THRESHOLD:
        lower = lower << _32
        width = width << _32
        point = (point << _32) | _next(words, position)
        position += 1
    return position, lower, width, point


@inline
def quantile(decoder):  # type: ignore[no-untyped-def]
    """Return which of the 2^24 parts of the interval holds the point; more: invalid data."""
    return (decoder[3] - decoder[1]) // (decoder[2] >> _PRECISION)


@inline
def put_uniform(words, encoder, digit, number):  # type: ignore[no-untyped-def]
    """Encode one of `number` equally likely digits; returns what `put` returns."""
    left = digit * TOTAL // number
    return put(words, encoder, left, (digit + 1) * TOTAL // number - left)


@inline
def get_uniform(words, decoder, number):  # type: ignore[no-untyped-def]
    """Decode one of `number` digits: the decoder after it, and the digit; -1: invalid data."""
    part = np.int64(quantile(decoder))
    if not 0 <= part < TOTAL:
        return decoder, -1
    digit = part * number // TOTAL
    if (digit + 1) * TOTAL // number <= part:
        digit += 1
    left = digit * TOTAL // number
    return get(words, decoder, left, (digit + 1) * TOTAL // number - left), digit


@inline
def put_bit(words, encoder, bit):  # type: ignore[no-untyped-def]
    """Encode a bit, 0 or 1, both equally likely; returns what `put` returns."""
    return put(words, encoder, bit * _HALF, _HALF)


@inline
def get_bit(words, decoder):  # type: ignore[no-untyped-def]
    """Decode a bit: the decoder after it, and the bit; -1: invalid data."""
    part = quantile(decoder)
    if part >= TOTAL:
        return decoder, np.int64(-1)
    bit = np.int64(part >= TOTAL // 2)
    return get(words, decoder, bit * _HALF, _HALF), bit


@inline
def put_gamma(words, encoder, number):  # type: ignore[no-untyped-def]
    """Encode a positive integer in Elias's gamma code; returns what `put` returns.

    It takes `2 log2(number) + 1` words at most, for which there is room.
    """
    length = 0
    while number >> (length + 1):
        length += 1
    for position in range(2 * length + 1):
        bit = (number >> (2 * length - position)) & 1 if position >= length else 0
        encoder = put_bit(words, encoder, bit)
    return encoder


@inline
def get_gamma(words, decoder, most):  # type: ignore[no-untyped-def]
    """Decode what `put_gamma` wrote: the decoder after it, and the integer; -1: invalid data.

    Arguments:
        most: zeros that it may begin with.
    """
    length, number = 0, 0
    while number == 0 or length > 0:
        decoder, bit = get_bit(words, decoder)
        if bit < 0 or (number == 0 and bit == 0 and length == most):
            return decoder, -1
        if number > 0:
            number = (number << 1) | bit
            length -= 1
        elif bit == 1:
            number = 1
        else:
            length += 1
    return decoder, number


def to_bytes(words: npt.NDArray[np.uint32]) -> bytes:
    """Return the bytes of a stream, without the zeros at the end of its last word.

    Arguments:
        words: what `finish` returned.

    Example:
        >>> to_bytes(np.array([1, 2 << 24], np.uint32)).hex()
        '0000000102'
    """
    stream = words.astype(">u4").tobytes()
    return stream[:-4] + stream[-4:].rstrip(b"\0")


def from_bytes(stream: bytes) -> npt.NDArray[np.uint32]:
    """Undo `to_bytes`, up to a last word of zeros, which decoders do not need.

    Example:
        >>> from_bytes(bytes([0, 0, 0, 1, 2]))
        array([       1, 33554432], dtype=uint32)
    """
    return np.frombuffer(stream + bytes(-len(stream) % 4), dtype=">u4").astype(np.uint32)
