"""The walk of encoder and decoder along a trellis: the arrays of a `Graph`, then the tables.

Both trust the arrays, and check the points and the stream. `pattern` says which of the tables'
patterns each row of a vector has, shape (1, rows), the same for all vectors, or (count, rows).
`state` is where each row's path stands, shape (rows,). If the trellis has one first state, each
vector starts in it. If it has more, `states`, a stream begins with those of all paths, after a bit
that tells whether any is not 0, and `state` goes on from vector to vector.
"""

from __future__ import annotations

import numba
import numpy as np

from ltc.codec.range_coder import (
    TOTAL,
    finish,
    get,
    get_gamma,
    get_uniform,
    put,
    put_gamma,
    put_uniform,
    quantile,
    start_decoder,
    with_room,
)

__all__ = ["decode", "encode"]

kernel = numba.njit(cache=True, nogil=True)
# Words that a coordinate takes at most, one for each `put`: a branch, an integer, and an escape.
MOST_WORDS = 128
# Zeros that an escape begins with at most: integers have 53 bits.
MOST_ZEROS = 53


@kernel
def encode(  # type: ignore[no-untyped-def]
    points,
    begin,
    enough,
    pattern,
    state,
    states,
    kind,
    node,
    start,
    target,
    coset,
    first_coset,
    offset,
    step,
    tolerance,
    branch_at,
    branch_left,
    coset_at,
    first_integer,
    table_start,
    left,
):
    """Encode points from `begin` on, until `enough` words are written.

    Returns:
        The words, uint32; the vector after the last that was encoded, or the first that is no point
        of the lattice; and whether all were.
    """
    words, count = np.empty(1024, dtype=np.uint32), 0
    lower, width = np.uint64(0), ~np.uint64(0)
    pending, first = 0, np.uint64(0)
    vectors, rows, n = points.shape
    if states > 1:
        words = with_room(words, rows + 2)
        moved = int(np.any(state))
        count, lower, width, pending, first = put_uniform(
            words, count, lower, width, pending, first, moved, 2
        )
        for row in range(moved * rows):
            count, lower, width, pending, first = put_uniform(
                words, count, lower, width, pending, first, state[row], states
            )
    for i in range(begin, vectors):
        if count >= enough:
            count = finish(words, count, lower, width, pending, first)
            return words[:count], i, True
        for row in range(rows):
            which = pattern[i if len(pattern) > 1 else 0, row]
            s = state[row]
            words = with_room(words, count + pending + MOST_WORDS * n + 1)
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
                    count, lower, width, pending, first = put(
                        words, count, lower, width, pending, first,
                        branch_left[entry, 0], branch_left[entry, 1],
                    )  # fmt: skip
                c = coset_at[which, t] + coset[best]
                table = table_start[c]
                size = table_start[c + 1] - table - 2  # integers in the table
                z = np.int64(integer) - first_integer[c]
                symbol = z if 0 <= z < size else size
                count, lower, width, pending, first = put(
                    words, count, lower, width, pending, first,
                    left[table + symbol], left[table + symbol + 1] - left[table + symbol],
                )  # fmt: skip
                if symbol == size:
                    # How far outside, after a bit that tells the side.
                    excess = int(-z if z < 0 else z - size + 1)
                    count, lower, width, pending, first = put_uniform(
                        words, count, lower, width, pending, first, int(z < 0), 2
                    )
                    count, lower, width, pending, first = put_gamma(
                        words, count, lower, width, pending, first, excess
                    )
                s = target[best]
            if states > 1:
                state[row] = s
    count = finish(words, count, lower, width, pending, first)
    return words[:count], vectors, True


@kernel
def decode(  # type: ignore[no-untyped-def]
    words,
    reader,
    points,
    pattern,
    state,
    states,
    kind,
    node,
    start,
    target,
    coset,
    first_coset,
    offset,
    step,
    tolerance,
    branch_at,
    branch_left,
    coset_at,
    first_integer,
    table_start,
    left,
):
    """Decode words into `points`, shape (count, rows, n); return whether they are a stream.

    `reader` is where the decoder stands, four numbers of type uint64: zeros at the start.
    """
    position, lower, width, point = np.int64(reader[0]), reader[1], reader[2], reader[3]
    vectors, rows, n = points.shape
    if position == 0:
        position, lower, width, point = start_decoder(words)
        if states > 1:
            position, lower, width, point, moved = get_uniform(
                words, position, lower, width, point, 2
            )
            for row in range(moved * len(state)):
                position, lower, width, point, state[row] = get_uniform(
                    words, position, lower, width, point, states
                )
            if moved < 0 or state.min() < 0:
                return False
    for i in range(vectors):
        for row in range(rows):
            which = pattern[i if len(pattern) > 1 else 0, row]
            s = state[row]
            # The decoder reads at most one word beyond the last that the encoder wrote.
            if position > len(words) + 2:
                return False
            for t in range(n):
                k = kind[t]
                b = start[node[k] + s]
                if start[node[k] + s + 1] - b > 1:
                    part = quantile(lower, width, point)
                    if part >= TOTAL:
                        return False
                    entry = branch_at[which, t] + b - start[node[k]]
                    while part >= np.uint64(branch_left[entry, 0]) + np.uint64(
                        branch_left[entry, 1]
                    ):
                        b += 1
                        entry += 1
                    position, lower, width, point = get(
                        words, position, lower, width, point,
                        branch_left[entry, 0], branch_left[entry, 1],
                    )  # fmt: skip
                c = coset_at[which, t] + coset[b]
                table = table_start[c]
                size = table_start[c + 1] - table - 2
                part = quantile(lower, width, point)
                if part >= TOTAL:
                    return False
                low, high = 0, size
                while low < high:
                    middle = (low + high + 1) >> 1
                    if np.uint64(left[table + middle]) <= part:
                        low = middle
                    else:
                        high = middle - 1
                position, lower, width, point = get(
                    words, position, lower, width, point,
                    left[table + low], left[table + low + 1] - left[table + low],
                )  # fmt: skip
                z = low
                if low == size:
                    position, lower, width, point, below = get_uniform(
                        words, position, lower, width, point, 2
                    )
                    if below < 0:
                        return False
                    position, lower, width, point, excess = get_gamma(
                        words, position, lower, width, point, MOST_ZEROS
                    )
                    if excess < 0:
                        return False
                    z = -excess if below else size - 1 + excess
                place = first_coset[k] + coset[b]
                points[i, row, t] = offset[place] + step[place] * np.float64(z + first_integer[c])
                s = target[b]
            if states > 1:
                state[row] = s
    reader[0], reader[1], reader[2], reader[3] = position, lower, width, point
    return True
