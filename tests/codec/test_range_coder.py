"""The compiled range coder against constriction's."""

import constriction
import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ltc.codec.range_coder import (
    TOTAL,
    finish,
    from_bytes,
    get,
    put,
    quantile,
    start_decoder,
    start_encoder,
    to_bytes,
    with_room,
)


@numba.njit
def encode(symbols, left, probability):
    words, encoder = start_encoder()
    for s in symbols:
        words = with_room(words, encoder, 2)
        encoder = put(words, encoder, left[s], probability[s])
    return finish(words, encoder).copy()


@numba.njit
def decode(words, count, left, probability):
    symbols = np.empty(count, np.int32)
    decoder = start_decoder(words)
    for i in range(count):
        part = quantile(decoder)
        s = np.searchsorted(left, part, side="right") - 1
        symbols[i] = s
        decoder = get(words, decoder, left[s], probability[s])
    return symbols


def uniform(size):
    """Return the pmf of constriction's `Uniform`, in units of 2^-24."""
    probability = np.full(size, TOTAL // size)
    probability[-1] += TOTAL - probability.sum()
    return np.cumsum(probability) - probability, probability


@pytest.mark.parametrize("size", [2, 3, 7, 255, 1000])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 17, 100_000])
def test_words_are_those_of_constriction(size, count):
    rng = np.random.default_rng(count)
    for symbols in (
        rng.integers(0, size, count),
        np.zeros(count),
        np.full(count, size - 1),
        np.full(count, size // 2),  # waits for carries
    ):
        symbols = symbols.astype(np.int32)
        words = encode(symbols, *uniform(size))
        coder = constriction.stream.queue.RangeEncoder()
        model = constriction.stream.model.Uniform(size)
        if count:
            coder.encode(symbols, model)
        theirs = coder.get_compressed()
        # Both are numbers in one interval, less than two words wide; ours has the least words.
        assert len(words) in (len(theirs), len(theirs) - 1)
        size_in_words = len(words) + 1
        ours, other = (
            int.from_bytes(w.astype(">u4").tobytes().ljust(4 * size_in_words, b"\0"), "big")
            for w in (words, theirs)
        )
        assert abs(ours - other) < 1 << 64
        short = from_bytes(to_bytes(words))
        for received in (words, theirs, short):
            np.testing.assert_array_equal(decode(received, count, *uniform(size)), symbols)
        if count:
            decoder = constriction.stream.queue.RangeDecoder(words)
            np.testing.assert_array_equal(decoder.decode(model, count), symbols)


@settings(deadline=None)
@given(
    weights=st.lists(st.integers(1, 10**6), min_size=2, max_size=20),
    symbols=st.lists(st.integers(0, 19), max_size=300),
)
def test_any_pmf_round_trips_near_its_entropy(weights, symbols):
    probability = np.maximum(np.array(weights) * (TOTAL // 2) // sum(weights), 1)
    probability[np.argmax(probability)] += TOTAL - probability.sum()
    left = np.cumsum(probability) - probability
    symbols = np.array([s % len(weights) for s in symbols], dtype=np.int32)
    stream = to_bytes(encode(symbols, left, probability))
    words = from_bytes(stream)
    np.testing.assert_array_equal(decode(words, len(symbols), left, probability), symbols)
    information = -np.log2(probability[symbols] / TOTAL).sum()
    assert 8 * len(stream) <= information + 9.01


@settings(deadline=None)
@given(stream=st.binary(max_size=300), count=st.integers(1, 200))
def test_carries_reach_through_any_stream(stream, count):
    """Symbols that noise decodes to encode to a stream that decodes to them."""
    left, probability = uniform(255)
    words = from_bytes(stream)
    with np.errstate(over="ignore"):
        symbols = decode(words, count, left, probability) % 255
    short = from_bytes(to_bytes(encode(symbols, left, probability)))
    np.testing.assert_array_equal(decode(short, count, left, probability), symbols)
