"""The bytes of a picture's latent: encoder and decoder walk along planes, rows and columns.

Both compute the class of each coordinate from what the decoder knows, in integers, and code the
index of its level by a table of integers: see `ltc.entropy.neighbourhood`.
"""

from __future__ import annotations

import numba
import numpy as np

from ltc.codec.range_coder import (
    PRECISION,
    TOTAL,
    finish,
    get,
    put,
    quantile,
    start_decoder,
    with_room,
)
from ltc.coder.grid_search import predicted
from ltc.entropy.neighbourhood import BORDER, LARGEST, class_of, known

__all__ = ["decode", "encode"]

kernel = numba.njit(cache=True, nogil=True)
_HALF = 1 << (PRECISION - 1)
# Words that a coordinate takes at most: its index, its escape, its sign.
MOST_WORDS = 80


@kernel
def encode(  # type: ignore[no-untyped-def]
    level, following, odd, related, weights, bias, prediction, group, left, magnitude
):
    """Return the words of levels, uint32, and whether they are levels along the trellis.

    Arguments:
        level: shape (k, R, C), integers.
        following, odd: of the trellis, see `search`.
        related, weights, bias, prediction, group: of each plane.
        left: sums of the probabilities before each index, in 2^-24, shape
            (groups, classes, 2, indices + 1).
        magnitude: zeros, with a border.
    """
    planes, rows, columns = level.shape
    indices = left.shape[-1] - 1
    words, count = np.empty(1024, dtype=np.uint32), 0
    lower, width = np.uint64(0), ~np.uint64(0)
    pending, first = 0, np.uint64(0)
    state = 0
    for plane in range(planes):
        for r in range(rows):
            words = with_room(words, count + pending + MOST_WORDS * columns + 1)
            for c in range(columns):
                total = known(
                    magnitude, plane, r + BORDER, c + BORDER, related[plane], weights[plane],
                    bias[plane],
                )  # fmt: skip
                own = magnitude[plane, r + BORDER]
                total += weights[plane, 0] * own[c + 1] + weights[plane, 1] * own[c]
                before = level[plane, r, c - 1] if c > 0 else 0
                guess = predicted(level[plane], r, c, before, prediction[plane])
                rest = level[plane, r, c] - guess
                size, o = abs(rest), odd[state]
                if size > 0 and (size & 1) != o:
                    return words[:0], False
                index = (size + o) >> 1 if size > 0 else 0
                table = left[group[plane], class_of(total), o]
                symbol = min(index, indices - 1)
                count, lower, width, pending, first = put(
                    words, count, lower, width, pending, first,
                    table[symbol], table[symbol + 1] - table[symbol],
                )  # fmt: skip
                if symbol == indices - 1:  # Elias gamma code of how far beyond
                    excess = index - indices + 2
                    length = 0
                    while excess >> (length + 1):
                        length += 1
                    for position in range(2 * length + 1):
                        bit = 0
                        if position >= length:
                            bit = (excess >> (2 * length - position)) & 1
                        count, lower, width, pending, first = put(
                            words, count, lower, width, pending, first, bit * _HALF, _HALF
                        )
                if size > 0:
                    bit = int(rest < 0)
                    count, lower, width, pending, first = put(
                        words, count, lower, width, pending, first, bit * _HALF, _HALF
                    )
                own[c + BORDER] = min(size, LARGEST)
                state = following[state, index & 1]
    count = finish(words, count, lower, width, pending, first)
    return words[:count], True


@kernel
def decode(  # type: ignore[no-untyped-def]
    words, following, odd, related, weights, bias, prediction, group, left, inward, level,
    magnitude, place,
):  # fmt: skip
    """Fill levels and the places that they stand for; return whether the words are a stream.

    Arguments:
        words: uint32.
        following, odd, related, weights, bias, prediction, group, left: as in `encode`.
        inward: how far within a level its reconstruction lies, shape (groups, classes, 2, 4).
        level: to be filled, shape (k, R, C), integers.
        magnitude: zeros, with a border.
        place: to be filled, shape (k, R, C), float32, units of the step.
    """
    planes, rows, columns = level.shape
    indices = left.shape[-1] - 1
    position, lower, width, point = start_decoder(words)
    state = 0
    for plane in range(planes):
        for r in range(rows):
            # The decoder reads at most one word beyond the last that the encoder wrote.
            if position > len(words) + 2:
                return False
            for c in range(columns):
                total = known(
                    magnitude, plane, r + BORDER, c + BORDER, related[plane], weights[plane],
                    bias[plane],
                )  # fmt: skip
                own = magnitude[plane, r + BORDER]
                total += weights[plane, 0] * own[c + 1] + weights[plane, 1] * own[c]
                before = level[plane, r, c - 1] if c > 0 else 0
                guess = predicted(level[plane], r, c, before, prediction[plane])
                kind, o = class_of(total), odd[state]
                table = left[group[plane], kind, o]
                part = quantile(lower, width, point)
                if part >= TOTAL:
                    return False
                index = 0
                while np.uint64(table[index + 1]) <= part:
                    index += 1
                position, lower, width, point = get(
                    words, position, lower, width, point,
                    table[index], table[index + 1] - table[index],
                )  # fmt: skip
                if index == indices - 1:
                    length, excess = 0, 0
                    while excess == 0 or length > 0:
                        part = quantile(lower, width, point)
                        if part >= TOTAL:
                            return False
                        bit = int(part >= _HALF)
                        position, lower, width, point = get(
                            words, position, lower, width, point, bit * _HALF, _HALF
                        )
                        if excess > 0:
                            excess = (excess << 1) | bit
                            length -= 1
                        elif bit == 1:
                            excess = 1
                        elif length == 24:
                            return False
                        else:
                            length += 1
                    index += excess - 1
                size = 2 * index - o if index > 0 else 0
                step = float(size)
                if size > 0:
                    step -= inward[group[plane], kind, o, min(index, 3)]
                    part = quantile(lower, width, point)
                    if part >= TOTAL:
                        return False
                    bit = int(part >= _HALF)
                    position, lower, width, point = get(
                        words, position, lower, width, point, bit * _HALF, _HALF
                    )
                    if bit == 1:
                        size, step = -size, -step
                level[plane, r, c] = guess + size
                place[plane, r, c] = guess + step
                own[c + BORDER] = min(abs(size), LARGEST)
                state = following[state, index & 1]
    return True
