"""The walk of encoder and decoder along a trellis.

`arrays` are those of a `Graph`, then the tables. Both trust them, and check the points and the
stream. `pattern` says which of the tables' patterns each row of a vector has, shape (1, rows), the
same for all vectors, or (count, rows). `state` is where each row's path stands, shape (rows,). If
the trellis has one first state, each vector starts in it. If it has more, `states`, a stream begins
with those of all paths, after a bit that tells whether any is not 0, and `state` goes on from
vector to vector.
"""

import numpy as np

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
from ltc.compiled import compiled

__all__ = ["decode", "encode"]

# Words that a coordinate takes at most, one for each `put`: a branch, an integer, and an escape.
MOST_WORDS = 128
# Zeros that an escape begins with at most: integers have 53 bits.
MOST_ZEROS = 53


@compiled()
def encode(points, begin, enough, pattern, state, states, arrays):  # type: ignore[no-untyped-def]
    """Encode points from `begin` on, until `enough` words are written.

    Returns:
        The words, uint32; the vector after the last that was encoded, or the first that is no point
        of the lattice; and whether all were.
    """
    kind, node, start, target, coset, first_coset, offset, step, tolerance = arrays[:9]
    branch_at, branch_left, coset_at, first_integer, table_start, left = arrays[9:]
    words, encoder = start_encoder()
    vectors, rows, n = points.shape
    if states > 1:
        words = with_room(words, encoder, rows + 2)
        moved = 0
        for row in range(rows):
            moved |= int(state[row] != 0)
        encoder = put_bit(words, encoder, moved)
        for row in range(moved * rows):
            encoder = put_uniform(words, encoder, state[row], states)
    for i in range(begin, vectors):
        if encoder[0] >= enough:
            return finish(words, encoder), i, True
        for row in range(rows):
            which = pattern[i if len(pattern) > 1 else 0, row]
            s = state[row]
            words = with_room(words, encoder, MOST_WORDS * n + 1)
            for t in range(n):
                value = points[i, row, t]
                best, integer, error = -1, 0.0, np.inf
                k = kind[t]
                here = node[k] + s
                for b in range(start[here], start[here + 1]):
                    c = first_coset[k] + coset[b]
                    z = np.rint((value - offset[c]) / step[c])
                    distance = abs(value - (offset[c] + step[c] * z))
                    if distance < error:
                        best, integer, error = b, z, distance
                c = first_coset[k] + coset[best]
                if not error < 0.5 * tolerance[c] or abs(integer) > 2.0**52:
                    return words[:0], i, False
                if start[here + 1] - start[here] > 1:
                    entry = branch_at[which, t] + best - start[node[k]]
                    encoder = put(words, encoder, branch_left[entry, 0], branch_left[entry, 1])
                c = coset_at[which, t] + coset[best]
                size = table_start[c + 1] - table_start[c] - 2  # integers in the table
                z = np.int64(integer) - first_integer[c]
                at = table_start[c] + (z if 0 <= z < size else size)
                encoder = put(words, encoder, left[at], left[at + 1] - left[at])
                if not 0 <= z < size:
                    # How far outside, after a bit that tells the side.
                    encoder = put_bit(words, encoder, int(z < 0))
                    encoder = put_gamma(words, encoder, int(-z if z < 0 else z - size + 1))
                s = target[best]
            if states > 1:
                state[row] = s
    return finish(words, encoder), vectors, True


@compiled()
def decode(words, reader, points, pattern, state, states, arrays):  # type: ignore[no-untyped-def]
    """Decode words into `points`, shape (count, rows, n); return whether they are a stream.

    `reader` is where the decoder stands, four numbers of type uint64: zeros at the start.
    """
    kind, node, start, target, coset, first_coset, offset, step, _ = arrays[:9]
    branch_at, branch_left, coset_at, first_integer, table_start, left = arrays[9:]
    decoder = np.int64(reader[0]), reader[1], reader[2], reader[3]
    vectors, rows, n = points.shape
    if reader[0] == 0:
        decoder = start_decoder(words)
        if states > 1:
            decoder, moved = get_bit(words, decoder)
            for row in range(moved * len(state)):
                decoder, state[row] = get_uniform(words, decoder, states)
                if state[row] < 0:
                    return False
            if moved < 0:
                return False
    for i in range(vectors):
        for row in range(rows):
            which = pattern[i if len(pattern) > 1 else 0, row]
            s = state[row]
            # The decoder reads at most one word beyond the last that the encoder wrote.
            if decoder[0] > len(words) + 2:
                return False
            for t in range(n):
                k = kind[t]
                b = start[node[k] + s]
                if start[node[k] + s + 1] - b > 1:
                    part = quantile(decoder)
                    if part >= TOTAL:
                        return False
                    entry = branch_at[which, t] + b - start[node[k]]
                    before, own = branch_left[entry, 0], branch_left[entry, 1]
                    while part >= np.uint64(before + own):
                        b += 1
                        entry += 1
                        before, own = branch_left[entry, 0], branch_left[entry, 1]
                    decoder = get(words, decoder, before, own)
                c = coset_at[which, t] + coset[b]
                table = table_start[c]
                size = table_start[c + 1] - table - 2
                part = quantile(decoder)
                if part >= TOTAL:
                    return False
                low, high = 0, size
                while low < high:
                    middle = (low + high + 1) >> 1
                    if np.uint64(left[table + middle]) <= part:
                        low = middle
                    else:
                        high = middle - 1
                at = table + low
                decoder = get(words, decoder, left[at], left[at + 1] - left[at])
                z = low
                if low == size:
                    decoder, below = get_bit(words, decoder)
                    if below < 0:
                        return False
                    decoder, excess = get_gamma(words, decoder, MOST_ZEROS)
                    if excess < 0:
                        return False
                    z = -excess if below else size - 1 + excess
                place = first_coset[k] + coset[b]
                points[i, row, t] = offset[place] + step[place] * np.float64(z + first_integer[c])
                s = target[b]
            if states > 1:
                state[row] = s
    reader[0], reader[1], reader[2], reader[3] = decoder
    return True
