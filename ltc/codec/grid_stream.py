"""The bytes of a picture's latent: encoder and decoder walk along planes, rows and columns.

Both compute the class of each coordinate from what the decoder knows, in integers, and code the
coset and the rank of its level by tables of integers: see `ltc.entropy.neighbourhood`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ltc.codec.range_coder import (
    TOTAL,
    finish,
    get,
    get_bit,
    get_gamma,
    get_uniform,
    put,
    put_bit,
    put_gamma,
    put_uniform,
    quantile,
    start_decoder,
    start_encoder,
    with_room,
)
from ltc.coder.grid_search import predicted
from ltc.coder.levels import PLAIN, kind_of, level_of, rank_of, signed
from ltc.compiled import compiled
from ltc.entropy.neighbourhood import BORDER, LARGEST, class_of, known, low_bits, place_of
from ltc.errors import InputError

if TYPE_CHECKING:
    from ltc.coder.grid import GridCoder

__all__ = ["decode", "encode"]

inline = compiled(inline="always")
# Words that a coordinate takes at most: its coset, its rank, its escape, its sign.
MOST_WORDS = 80
# Zeros that an escape begins with at most: levels have 32 bits.
MOST_ZEROS = 30


def encode(model: GridCoder, level: NDArray[np.int32]) -> NDArray[np.uint32]:
    """Return the stream of a picture's levels, shape (k, R, C), in words of 32 bits."""
    following, coset, _ = model.branches
    planes, rows, columns = level.shape
    words, whole = encode_planes(
        level, following, coset, *model.context.arrays(planes), *model.context.probabilities,
        model.border(planes, rows, columns),
    )  # fmt: skip
    if not whole:
        raise RuntimeError("levels are none of the trellis: a bug in ltc")
    found: NDArray[np.uint32] = words
    return found


def decode(
    model: GridCoder,
    words: NDArray[np.uint32],
    shape: tuple[int, int, int],
    progress: Callable[[float], None],
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return the levels of a stream, and the places that they stand for in units of the step.

    Arguments:
        model: the coder.
        words: uint32.
        shape: (k, R, C).
        progress: told now and then what share is done, from 0 to 1.

    Raises:
        InputError: no picture has this stream.
    """
    level, place = np.zeros(shape, np.int32), np.zeros(shape, np.float32)
    following, coset, _ = model.branches
    arguments = (
        np.zeros(5, np.uint64), words, following, coset, *model.context.arrays(shape[0]),
        *model.context.probabilities, model.context.reconstruction, level,
        model.border(*shape), place,
    )  # fmt: skip
    for plane in range(shape[0]):
        if not decode_plane(plane, *arguments):
            raise InputError("the stream is damaged: nothing has it")
        progress((plane + 1) / shape[0])
    return level, place


@inline
def _expected(  # type: ignore[no-untyped-def]
    plane, r, c, level, magnitude, related, weights, bias, prediction
):
    """Return the class of a coordinate, and what its level is predicted to be.

    Arguments:
        plane, r, c: its place; what comes before it is whole.
        level, magnitude, related, weights, bias, prediction: as in `encode_planes`.
    """
    own, weight = magnitude[plane, r + BORDER], weights[plane, place_of(r, c)]
    total = known(
        magnitude, plane, r + BORDER, c + BORDER, related[plane], weight,
        bias[plane, place_of(r, c)],
    ) + weight[0] * own[c + 1] + weight[1] * own[c]  # fmt: skip
    left = level[plane, r, c - 1] if c > 0 else 0
    before_left = level[plane, r, c - 2] if c > 1 else 0
    guess = predicted(level[plane], r, c, left, before_left, prediction[plane])
    return class_of(total), guess


@compiled()
def encode_planes(  # type: ignore[no-untyped-def]
    level, following, coset, related, weights, bias, prediction, group, branch, left, magnitude
):
    """Return the words of levels, uint32, and whether they are levels along the trellis.

    Arguments:
        level: shape (k, R, C), integers.
        following, coset: what states offer, see `ltc.coder.levels.Branches`.
        related, weights, bias, prediction, group: of each plane.
        branch: sums of the probabilities before each branch, in 2^-24, shape (groups, classes,
            states, branches + 1).
        left: sums of the probabilities before each rank, in 2^-24, shape
            (groups, classes, kinds, ranks + 1).
        magnitude: zeros, with a border.
    """
    planes, rows, columns = level.shape
    escape = left.shape[-1] - 2
    words, encoder = start_encoder()
    state = 0
    for plane in range(planes):
        for r in range(rows):
            words = with_room(words, encoder, MOST_WORDS * columns + 1)
            for c in range(columns):
                found_class, guess = _expected(
                    plane, r, c, level, magnitude, related, weights, bias, prediction
                )
                rest = level[plane, r, c] - guess
                offered = coset[int(found_class >= PLAIN), state]
                rank, b = -1, -1
                while rank < 0:
                    b += 1
                    if b == len(offered) or following[state, b] < 0:
                        return words[:0], False
                    rank = rank_of(rest, offered[b])
                table = branch[group[plane], found_class, state]
                encoder = put(words, encoder, table[b], table[b + 1] - table[b])
                kind = kind_of(offered[b])
                table, low = left[group[plane], found_class, kind], low_bits(found_class, kind)
                high = rank >> low
                symbol = min(high, escape)
                encoder = put(words, encoder, table[symbol], table[symbol + 1] - table[symbol])
                if symbol == escape:  # how far beyond
                    encoder = put_gamma(words, encoder, high - escape + 1)
                if low:
                    encoder = put_uniform(words, encoder, rank - (high << low), 1 << low)
                if signed(rest, offered[b]):
                    encoder = put_bit(words, encoder, int(rest < 0))
                magnitude[plane, r + BORDER, c + BORDER] = min(abs(rest), LARGEST)
                state = following[state, b]
    return finish(words, encoder), True


@compiled()
def decode_plane(  # type: ignore[no-untyped-def]
    plane, walk, words, following, coset, related, weights, bias, prediction, group, branch, left,
    inward, level, magnitude, place,
):  # fmt: skip
    """Fill a plane of levels and the places that they stand for; tell whether words are a stream.

    Arguments:
        plane: which; those before are whole.
        walk: what goes on from plane to plane, shape (5,), uint64.
        words: uint32.
        following, coset, related, weights, bias, prediction, group, branch, left: as in
            `encode_planes`.
        inward: how far within a level its reconstruction lies, shape (groups, classes, kinds, 3).
        level: to be filled, shape (k, R, C), integers.
        magnitude: zeros, with a border.
        place: to be filled, shape (k, R, C), float32, units of the step.
    """
    _, rows, columns = level.shape
    escape = left.shape[-1] - 2
    decoder = np.int64(walk[0]), walk[1], walk[2], walk[3]
    if plane == 0:
        decoder = start_decoder(words)
    state = np.int64(walk[4])
    g = group[plane]
    for r in range(rows):
        # The decoder reads at most one word beyond the last that the encoder wrote.
        if decoder[0] > len(words) + 2:
            return False
        for c in range(columns):
            found_class, guess = _expected(
                plane, r, c, level, magnitude, related, weights, bias, prediction
            )
            part = quantile(decoder)
            if part >= TOTAL:
                return False
            table, b = branch[g, found_class, state], 0
            while np.uint64(table[b + 1]) <= part:
                b += 1
            decoder = get(words, decoder, table[b], table[b + 1] - table[b])
            where = coset[int(found_class >= PLAIN), state, b]
            kind = kind_of(where)
            table = left[g, found_class, kind]
            part = quantile(decoder)
            if part >= TOTAL:
                return False
            rank = 0
            while np.uint64(table[rank + 1]) <= part:
                rank += 1
            decoder = get(words, decoder, table[rank], table[rank + 1] - table[rank])
            if rank == escape:
                decoder, excess = get_gamma(words, decoder, MOST_ZEROS)
                if excess < 0:
                    return False
                rank += excess - 1
            low = low_bits(found_class, kind)
            if low:
                decoder, digit = get_uniform(words, decoder, 1 << low)
                if digit < 0:
                    return False
                rank = (rank << low) + digit
            rest = level_of(where, rank)
            if signed(rest, where):
                decoder, negative = get_bit(words, decoder)
                if negative < 0:
                    return False
                if negative:
                    rest = -rest
            inside = inward[g, found_class, kind, min(rank, 2)]
            level[plane, r, c] = guess + rest
            if rest == 0:
                place[plane, r, c] = guess
            else:
                place[plane, r, c] = guess + rest - (inside if rest > 0 else -inside)
            magnitude[plane, r + BORDER, c + BORDER] = min(abs(rest), LARGEST)
            state = following[state, b]
    walk[0], walk[1], walk[2], walk[3] = decoder
    walk[4] = np.uint64(state)
    return True
