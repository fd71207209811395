"""The Viterbi algorithm, compiled for the CPU.

A kernel works on the items from `start` to `stop`, a block of lanes at a time. It allocates its
own memory and releases Python's lock, so that `ltc.lattices.backend.in_parallel` runs it on
several threads. Kernels are compiled at their first call and kept on disk. A trellis is handed
over as `ltc.lattices.trellis.structure.Flat`.

An item is (row, begin, length): the part of a row that begins there, as long as the trellis or
shorter; what it is shorter by costs nothing. Its `ends` are the states that it begins and ends
in, -1 where it is free. No items at all are the whole rows, free at both ends.
"""

from typing import Any

import numpy as np

from ltc.compiled import compiled
from ltc.lattices.backend import UNRESOLVED
from ltc.lattices.trellis import simd
from ltc.lattices.trellis.simd import add, aligned, less, load, select, store, store_bits

__all__ = ["decode", "states_after"]

# Costs of so many sections are computed at a time: they stay in the cache. At the beginning of
# each, but for the first few, the costs of the states count from the least again: sums stay
# small, and so exact.
TILE = 256
RESTART = 1024


@compiled(inline="always")
def _room(trellis: Any, width: int, x: Any) -> Any:
    """Return memory for a block of lanes: costs of a tile, totals, decisions, and a path."""
    lanes = simd.BYTES // x.itemsize
    choices = 0
    most = 1
    # Number by number, here and below: expressions of arrays take seconds to compile.
    for t in range(len(trellis.degree)):
        choices += trellis.states[t + 1] * (trellis.degree[t] - 1)
        most = max(most, trellis.states[t], trellis.states[t + 1])
    return (
        aligned(TILE * width * lanes, x),
        aligned(2 * most * lanes, x),
        np.empty(choices, np.uint16),
        np.empty((TILE, lanes), np.int64),
    )


@compiled()
def _item(items: Any, index: int, n: int) -> Any:
    """Return (row, begin, length) of an item."""
    if len(items):
        return items[index, 0], items[index, 1], items[index, 2]
    return index, 0, n


@compiled(inline="always")  # as of `_end`: a call for each block of short vectors is felt
def _begin(states: Any, ends: Any, total: Any) -> None:
    """Write the costs of so many states, in which the lanes begin."""
    lanes = simd.BYTES // total.itemsize
    total[: lanes * states] = 0
    for lane in range(len(ends)):
        for s in range(states):
            if ends[lane, 0] >= 0 and s != ends[lane, 0]:
                total[lanes * s + lane] = np.inf


@compiled(inline="always")
def _end(states: Any, ends: Any, total: Any, old: Any, state: Any) -> None:
    """Write in which of so many states the lanes end."""
    lanes = simd.BYTES // total.itemsize
    state[:] = 0
    for s in range(1, states):
        for lane in range(lanes):
            if total[old + lanes * s + lane] < total[old + lanes * state[lane] + lane]:
                state[lane] = s
    for lane in range(len(ends)):
        if ends[lane, 1] >= 0:
            state[lane] = ends[lane, 1]


@compiled()
def _survivors(
    trellis: Any, start: int, stop: int, cost: Any, total: Any, old: Any, decision: Any, d: Any
) -> Any:
    """Run the Viterbi recursion on a block of lanes, from section `start` to `stop`.

    `cost` holds lanes of each coset of each of these sections, `total`, twice the room of a
    section's states, the costs of the states from `old` on. `decision` receives from `d` on, for
    every branch into a state but the first, a bit for each lane: whether it is better than those
    before it. Returns the new `old` and `d`.
    """
    previous, coset, first, degree, states = trellis[:5]
    lanes = simd.BYTES // total.itemsize
    half = len(total) // 2
    width = len(cost) // TILE
    if start % RESTART == 0 and start > 0:
        _take_away_least(total, old, states[start], lanes)
    for t in range(start, stop):
        new = half - old
        b = first[t]
        row = width * (t - start)
        more = degree[t] - 1
        if more == 1:  # by far the most frequent: without an inner loop
            for s in range(states[t + 1]):
                best = add(
                    load(total, old + lanes * previous[b]), load(cost, row + lanes * coset[b])
                )
                b += 1
                other = add(
                    load(total, old + lanes * previous[b]), load(cost, row + lanes * coset[b])
                )
                b += 1
                better = less(other, best)
                store_bits(decision, d + s, better)
                store(total, new + lanes * s, select(better, other, best))
            d += states[t + 1]
        else:
            for s in range(states[t + 1]):
                best = add(
                    load(total, old + lanes * previous[b]), load(cost, row + lanes * coset[b])
                )
                b += 1
                for _ in range(more):
                    other = add(
                        load(total, old + lanes * previous[b]), load(cost, row + lanes * coset[b])
                    )
                    b += 1
                    better = less(other, best)
                    best = select(better, other, best)
                    store_bits(decision, d, better)
                    d += 1
                store(total, new + lanes * s, best)
        old = new
    return old, d


@compiled()
def _take_away_least(total: Any, old: Any, states: int, lanes: int) -> None:
    """Take away from the costs of so many states, from `old` on, the least in each lane."""
    for lane in range(lanes):
        least = total[old + lane]
        for s in range(1, states):
            least = min(least, total[old + lanes * s + lane])
        for s in range(states):
            total[old + lanes * s + lane] -= least


@compiled()
def _trace_back(
    trellis: Any, start: int, stop: int, state: Any, decision: Any, d: Any, path: Any
) -> int:
    """Write the cosets of the best paths, (n, lanes), of sections `start` to `stop` to `path`.

    `state` has the states after these sections, and receives those before; `d` is where their
    decisions end. Returns where they begin.
    """
    previous, coset, first, degree, states = trellis[:5]
    for t in range(stop - 1, start - 1, -1):
        choices = degree[t] - 1
        d -= states[t + 1] * choices
        begin = first[t]
        # One section of every lane before the next section: the look-ups do not wait.
        if choices == 1:
            for lane in range(len(state)):
                s = state[lane]
                at = begin + 2 * s + (decision[d + s] >> lane & 1)
                path[t - start, lane] = coset[at]
                state[lane] = previous[at]
        else:
            for lane in range(len(state)):
                s = state[lane]
                branch = 0
                for j in range(choices):
                    # Without a jump: a processor cannot foresee it.
                    branch = j + 1 if decision[d + s * choices + j] >> lane & 1 else branch
                at = begin + s * degree[t] + branch
                path[t - start, lane] = coset[at]
                state[lane] = previous[at]
    return d


@compiled()
def _in_steps(  # type: ignore[no-untyped-def]
    x, items, block, used, start, stop, step, scaled, residual
):
    """Write coordinates `start` to `stop` of a block in steps, and what is left after rounding.

    In double precision, whatever the type of x: what is left is then as exact for a large x as
    for a small one.
    """
    for lane in range(used):
        row, begin, size = _item(items, block + lane, len(step))
        for t in range(start, min(size, stop)):
            scaled[t - start, lane] = x[row, begin + t, 0]
    for t in range(stop - start):
        length = step[start + t]
        for lane in range(scaled.shape[1]):
            value = scaled[t, lane] / length
            scaled[t, lane] = value
            rest = value - np.rint(value)
            residual[t, lane] = rest if abs(value) < UNRESOLVED else 0.0


@compiled()
def decode(  # type: ignore[no-untyped-def]
    start, stop, given, items, ends, result, joint, trellis, offset, step
):
    """Write the best paths of items to the same places of `result`, (rows, n).

    With the `offset` and the `step` of the cosets of each section, `given` are vectors, (rows, n,
    1), and nearest points are written. Without them, both empty, it is the cost of each coset,
    (rows, n, cosets), and the cosets of least total cost are written. If `joint` has elements,
    nothing but the states in the middle of the trellis is written, to `joint`.
    """
    n = len(trellis.degree)
    costs_given = len(step) == 0
    width = given.shape[2] if costs_given else offset.shape[1]
    lanes = simd.BYTES // given.itemsize
    until = n // 2 if len(joint) else 0
    state = np.zeros(lanes, np.int64)
    cost, total, decision, path = _room(trellis, width, given)
    cost[:] = 0
    relative = np.empty((len(step), width), given.dtype)
    length = np.empty(len(step), given.dtype)
    for t in range(len(step)):
        length[t] = step[t]
        for k in range(width):
            relative[t, k] = offset[t, k] / step[t]
    scaled = np.zeros((TILE, lanes))
    residual = np.zeros((TILE, lanes), given.dtype)
    for block in range(start, stop, lanes):
        used = min(lanes, stop - block)
        end = ends[block : block + used]
        _begin(trellis.states[0], end, total)
        old: Any = np.int64(0)  # of the type that follows, for one compilation
        d: Any = np.int64(0)
        for first in range(0, n, TILE):
            last = min(first + TILE, n)
            if costs_given:
                for lane in range(used):
                    row, begin, size = _item(items, block + lane, n)
                    for t in range(first, min(last, size)):
                        for k in range(trellis.cosets[t]):
                            at = ((t - first) * width + k) * lanes
                            cost[at + lane] = given[row, begin + t, k]
            else:
                _in_steps(given, items, block, used, first, last, step, scaled, residual)
                for t in range(first, last):
                    for k in range(trellis.cosets[t]):
                        at = ((t - first) * width + k) * lanes
                        for lane in range(lanes):
                            rest = residual[t - first, lane] - relative[t, k]
                            rest = (rest - np.rint(rest)) * length[t]
                            cost[at + lane] = rest * rest
            for lane in range(used if len(items) else 0):
                size = items[block + lane, 2]
                for at in range(max(0, size - first) * width, (last - first) * width):
                    cost[at * lanes + lane] = 0
            old, d = _survivors(trellis, first, last, cost, total, old, decision, d)
        _end(trellis.states[n], end, total, old, state)
        last = n
        while last > until:
            first = max((last - 1) // TILE * TILE, until)
            d = _trace_back(trellis, first, last, state, decision, d, path)
            if not costs_given and last < n and not until:  # the last tile is still there
                _in_steps(given, items, block, used, first, last, step, scaled, residual)
            # A section of all lanes before the next one: a tenth faster than lane by lane.
            for t in range(first, first if until else last):
                for lane in range(used):
                    row, begin, size = _item(items, block + lane, n)
                    if t >= size:
                        continue
                    k = path[t - first, lane]
                    value = scaled[t - first, lane]
                    if costs_given:
                        result[row, begin + t] = k
                    elif abs(value) < UNRESOLVED:
                        # The same sums as above, so that the point is the one that was costed.
                        rest = residual[t - first, lane] - relative[t, k]
                        whole = np.rint(value) + np.float64(np.rint(rest))
                        result[row, begin + t] = whole * step[t] + offset[t, k]
                    else:
                        result[row, begin + t] = given[row, begin + t, 0]
            last = first
        for lane in range(used if until else 0):
            joint[block + lane] = state[lane]


@compiled()
def states_after(
    start: int, stop: int, x: Any, states: Any, kinds: Any, following: Any, offset: Any, step: Any
) -> None:
    """Write the state after each coordinate of points, (rows, n); -1 from where there is none.

    `following` has the state after a state and a coset, shape (kinds, states, cosets), where
    section t is of kind `kinds[t]`, or of the last one; likewise `offset` and `step`.
    """
    last = len(kinds) - 1
    for row in range(start, stop):
        state = 0
        for t in range(x.shape[1]):
            kind = kinds[min(t, last)]
            value = x[row, t] / step[kind]
            best = np.inf
            nearest = 0
            for k in range(offset.shape[1]):
                rest = value - offset[kind, k] / step[kind]
                rest = abs(rest - np.rint(rest))
                if rest < best:
                    best = rest
                    nearest = k
            state = following[kind, state, nearest] if state >= 0 else -1
            states[row, t] = state
