"""The recursions over a trellis, compiled for the CPU.

A kernel works on the items (vectors, tables of costs or of masses) from `start` to `stop`, a
block of lanes at a time. It allocates its own memory and releases Python's lock, so that
`ltc.lattices.backend.in_parallel` runs it on several threads. Kernels are compiled at their first
call and kept on disk. A trellis is handed over as `ltc.lattices.trellis.structure.Flat`.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from ltc.lattices.backend import UNRESOLVED
from ltc.lattices.trellis import simd
from ltc.lattices.trellis.simd import add, less, load, maximum, multiply, select, splat, store

__all__ = ["closest_point", "log_partition", "shortest_path"]

# A state's mass, relative to its section's greatest, is lost below 1e-308. With an overlap of
# at least this, what was lost is no part of the first hundred digits.
LEAST_OVERLAP = 1e-200

# Division by zero gives infinity, as in numpy.
compiled = numba.njit(nogil=True, cache=True, error_model="numpy")


@numba.njit(inline="always")
def aligned(size: int, like: Any) -> Any:
    """Return an uninitialised array of `like`'s type that begins on a cache line."""
    room = np.empty(size + 64 // like.itemsize, like.dtype)
    skip = (-room.ctypes.data % 64) // like.itemsize
    return room[skip : skip + size]


@compiled
def _survivors(trellis: Any, cost: Any, total: Any, decision: Any) -> int:
    """Run the Viterbi recursion on a block of lanes.

    `cost` holds lanes of each coset of each section; `total`, twice the room of a section's
    states, receives the costs of the final states and `decision` the best branch into every
    state. Returns where in `total` the final states begin.
    """
    previous, coset, first, degree, states = trellis[:5]
    n = len(degree)
    lanes = simd.BYTES // total.itemsize
    half = len(total) // 2
    width = len(cost) // n
    total[:lanes] = 0
    old = 0
    d = 0
    for t in range(n):
        new = half - old
        b = first[t]
        for s in range(states[t + 1]):
            best = add(
                load(total, old + lanes * previous[b]), load(cost, width * t + lanes * coset[b])
            )
            branch = splat(best, 0)
            for j in range(1, degree[t]):
                other = add(
                    load(total, old + lanes * previous[b + j]),
                    load(cost, width * t + lanes * coset[b + j]),
                )
                better = less(other, best)
                best = select(better, other, best)
                branch = select(better, splat(best, j), branch)
            b += degree[t]
            store(total, new + lanes * s, best)
            store(decision, d, branch)
            d += lanes
        old = new
    return old


@compiled
def _trace_back(trellis: Any, total: Any, final: int, decision: Any, path: Any) -> None:
    """Write the cosets of the best paths, shape (n, lanes), to `path`."""
    previous, coset, first, degree, states = trellis[:5]
    n, lanes = path.shape
    state = np.zeros(lanes, np.int64)
    for s in range(1, states[n]):
        for lane in range(lanes):
            if total[final + lanes * s + lane] < total[final + lanes * state[lane] + lane]:
                state[lane] = s
    d = states[1:].sum()
    for t in range(n - 1, -1, -1):
        d -= states[t + 1]
        # One section of every lane before the next section: the look-ups do not wait.
        for lane in range(lanes):
            s = state[lane]
            b = first[t] + s * degree[t] + np.int64(decision[lanes * (d + s) + lane])
            path[t, lane] = coset[b]
            state[lane] = previous[b]


@compiled
def closest_point(
    start: int, stop: int, x: Any, points: Any, trellis: Any, offset: Any, step: Any
) -> None:
    """Write a nearest lattice point to each row of `x`, shape (count, n), to `points`."""
    n = x.shape[1]
    cosets = trellis.cosets
    width = offset.shape[1]
    lanes = simd.BYTES // x.itemsize
    relative = (offset / step.reshape(n, 1)).astype(x.dtype)
    length = step.astype(x.dtype)
    scaled = np.zeros((n, lanes))
    residual = np.zeros((n, lanes), x.dtype)
    path = np.zeros((n, lanes), np.int64)
    cost = aligned(n * width * lanes, x)
    total = aligned(2 * trellis.states.max() * lanes, x)
    decision = aligned(trellis.states[1:].sum() * lanes, trellis.counter)
    for block in range(start, stop, lanes):
        used = min(lanes, stop - block)
        for t in range(n):
            for lane in range(used):
                # In steps and in double precision, whatever the type of x: what is left after
                # rounding is then as exact for a large x as for a small one.
                scaled[t, lane] = x[block + lane, t] / step[t]
            for lane in range(lanes):
                value = scaled[t, lane]
                rest = value - np.rint(value)
                residual[t, lane] = rest if abs(value) < UNRESOLVED else 0.0
            for k in range(cosets[t]):
                at = (t * width + k) * lanes
                for lane in range(lanes):
                    rest = residual[t, lane] - relative[t, k]
                    rest = (rest - np.rint(rest)) * length[t]
                    cost[at + lane] = rest * rest
        final = _survivors(trellis, cost, total, decision)
        _trace_back(trellis, total, final, decision, path)
        for lane in range(used):
            for t in range(n):
                k = path[t, lane]
                value = scaled[t, lane]
                if abs(value) < UNRESOLVED:
                    # The same sums as above, so that the point is the one that was costed.
                    rest = residual[t, lane] - relative[t, k]
                    whole = np.rint(value) + np.float64(np.rint(rest))
                    points[block + lane, t] = whole * step[t] + offset[t, k]
                else:
                    points[block + lane, t] = x[block + lane, t]


@compiled
def shortest_path(start: int, stop: int, cost: Any, paths: Any, trellis: Any) -> None:
    """Write the cosets of least total cost, (count, n), of tables (count, n, cosets)."""
    n, width = cost.shape[1:]
    lanes = simd.BYTES // cost.itemsize
    block_cost = aligned(n * width * lanes, cost)
    total = aligned(2 * trellis.states.max() * lanes, cost)
    decision = aligned(trellis.states[1:].sum() * lanes, trellis.counter)
    path = np.zeros((n, lanes), np.int64)
    block_cost[:] = 0
    for block in range(start, stop, lanes):
        used = min(lanes, stop - block)
        for lane in range(used):
            for t in range(n):
                for k in range(trellis.cosets[t]):
                    block_cost[(t * width + k) * lanes + lane] = cost[block + lane, t, k]
        final = _survivors(trellis, block_cost, total, decision)
        _trace_back(trellis, total, final, decision, path)
        for lane in range(used):
            for t in range(n):
                paths[block + lane, t] = path[t, lane]


@compiled
def log_partition(
    start: int, stop: int, log_mass: Any, log_total: Any, marginal: Any, trellis: Any, lost: Any
) -> None:
    """Write log partition functions and the posterior marginals of the cosets.

    The forward-backward algorithm in float64, `log_mass` and `marginal` of shape
    (count, n, cosets), `log_total` of shape (count,). Every section is scaled so that its
    greatest mass is one: nothing overflows. What underflows is without weight in the result
    unless `lost` is set for the table; then the result is not to be used.
    """
    previous, coset, first, degree, states, cosets = trellis[:6]
    n, width = log_mass.shape[1:]
    double = np.empty(0, np.float64)
    lanes = simd.BYTES // double.itemsize
    mass = aligned(n * width * lanes, double)
    forward = aligned(states.sum() * lanes, double)
    backward = aligned(2 * states.max() * lanes, double)
    weight = aligned(width * lanes, double)
    greatest = aligned(lanes, double)
    log_scale = np.zeros(lanes)
    mass[:] = 0
    for block in range(start, stop, lanes):
        used = min(lanes, stop - block)
        log_scale[:] = 0
        for lane in range(used):
            for t in range(n):
                top = -np.inf
                for k in range(cosets[t]):
                    top = max(top, np.float64(log_mass[block + lane, t, k]))
                if top == -np.inf:
                    top = 0.0
                log_scale[lane] += top
                for k in range(cosets[t]):
                    mass[(t * width + k) * lanes + lane] = np.exp(
                        np.float64(log_mass[block + lane, t, k]) - top
                    )
        # Forward: the mass of all pasts of each state.
        forward[:lanes] = 1
        old = 0
        for t in range(n):
            new = old + lanes * states[t]
            b = first[t]
            row = t * width * lanes
            for s in range(states[t + 1]):
                value = multiply(
                    load(forward, old + lanes * previous[b]), load(mass, row + lanes * coset[b])
                )
                for j in range(b + 1, b + degree[t]):
                    value = add(
                        value,
                        multiply(
                            load(forward, old + lanes * previous[j]),
                            load(mass, row + lanes * coset[j]),
                        ),
                    )
                b += degree[t]
                store(forward, new + lanes * s, value)
            _normalise(forward, new, states[t + 1], greatest)
            for lane in range(lanes):
                log_scale[lane] += np.log(greatest[lane])
            old = new
        for lane in range(used):
            sum_ = 0.0
            for s in range(states[n]):
                sum_ += forward[old + lanes * s + lane]
            log_total[block + lane] = log_scale[lane] + np.log(sum_)
        # Backward: the mass of all futures of each state, and of every coset in between.
        half = len(backward) // 2
        backward[: lanes * states[n]] = 1
        after = 0
        for t in range(n - 1, -1, -1):
            before = half - after
            old -= lanes * states[t]
            row = t * width * lanes
            backward[before : before + lanes * states[t]] = 0
            weight[:] = 0
            b = first[t]
            for s in range(states[t + 1]):
                future = load(backward, after + lanes * s)
                for j in range(b, b + degree[t]):
                    p = lanes * previous[j]
                    k = lanes * coset[j]
                    store(
                        weight,
                        k,
                        add(load(weight, k), multiply(load(forward, old + p), future)),
                    )
                    value = add(load(backward, before + p), multiply(load(mass, row + k), future))
                    store(backward, before + p, value)
                b += degree[t]
            _normalise(backward, before, states[t], greatest)
            after = before
            for lane in range(used):
                overlap = 0.0
                for k in range(cosets[t]):
                    overlap += weight[k * lanes + lane] * mass[row + k * lanes + lane]
                if not overlap > LEAST_OVERLAP:
                    lost[block + lane] = True
                for k in range(width):
                    share = 0.0
                    if k < cosets[t]:
                        share = weight[k * lanes + lane] * mass[row + k * lanes + lane] / overlap
                    marginal[block + lane, t, k] = share


@compiled
def _normalise(values: Any, begin: int, count: int, greatest: Any) -> None:
    """Divide the lanes of `count` states by their greatest, which is written to `greatest`."""
    lanes = len(greatest)
    top = load(values, begin)
    for s in range(1, count):
        top = maximum(top, load(values, begin + lanes * s))
    store(greatest, 0, top)
    inverse = np.empty_like(greatest)
    for lane in range(lanes):
        inverse[lane] = 1 / greatest[lane] if greatest[lane] > 0 else 1.0
    factor = load(inverse, 0)
    for s in range(count):
        at = begin + lanes * s
        store(values, at, multiply(load(values, at), factor))
