"""The forward-backward algorithm, compiled for the CPU; see `viterbi` for how kernels work."""

from typing import Any

import numpy as np

from ltc.compiled import compiled
from ltc.lattices.trellis import simd
from ltc.lattices.trellis.simd import add, aligned, load, maximum, multiply, store

__all__ = ["log_partition"]

# A state's mass, relative to its section's greatest, is lost below 1e-308. With an overlap of
# at least this, what was lost is no part of the first hundred digits.
LEAST_OVERLAP = 1e-200


@compiled()
def log_partition(
    start: int,
    stop: int,
    log_mass: Any,
    log_total: Any,
    marginal: Any,
    trellis: Any,
    lost: Any,
    sections: int,
) -> None:
    """Write log partition functions and the posterior marginals of the cosets.

    The forward-backward algorithm, all in float64: `log_mass` and `marginal` of shape
    (count, n, cosets), `log_total` of shape (count,). Every section is scaled so that its
    greatest mass is one: nothing overflows. What underflows is without weight in the result
    unless `lost` is set for the table; then the result is not to be used.

    Masses are kept of so many `sections` at a time, and where each such segment begins; what is
    not kept is computed again on the way back.
    """
    previous, coset, first, degree, states, cosets = trellis[:6]
    n, width = log_mass.shape[1:]
    double = np.empty(0, np.float64)
    lanes = simd.BYTES // double.itemsize
    mass = aligned(n * width * lanes, double)
    most = 0
    # Number by number, as in `viterbi`: expressions of arrays take seconds to compile.
    for t in range(n + 1):
        most = max(most, states[t])
    segments = (n + sections - 1) // sections
    starts = aligned(segments * most * lanes, double)
    forward = aligned((sections + 1) * most * lanes, double)
    backward = aligned(2 * most * lanes, double)
    weight = aligned(width * lanes, double)
    greatest = aligned(lanes, double)
    log_scale = np.zeros(lanes)
    unused = np.zeros(lanes)
    mass[:] = 0
    for block in range(start, stop, lanes):
        used = min(lanes, stop - block)
        log_scale[:] = 0
        for lane in range(used):
            for t in range(n):
                top = -np.inf
                for k in range(cosets[t]):
                    top = max(top, log_mass[block + lane, t, k])
                if top == -np.inf:
                    top = 0.0
                log_scale[lane] += top
                for k in range(cosets[t]):
                    mass[(t * width + k) * lanes + lane] = np.exp(
                        log_mass[block + lane, t, k] - top
                    )
        # Forward: the mass of all pasts of each state, as each segment begins.
        old = 0
        forward[:lanes] = 1
        for segment in range(segments):
            begin = segment * sections
            for i in range(lanes * states[begin]):
                forward[i] = forward[old + i]
                starts[segment * most * lanes + i] = forward[i]
            end = min(n, begin + sections)
            old = _forward(forward, mass, begin, end, width, trellis, greatest, log_scale)
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
            if (t + 1) % sections == 0 and t + 1 < n:  # the masses of another segment
                begin = t + 1 - sections
                for i in range(lanes * states[begin]):
                    forward[i] = starts[begin // sections * most * lanes + i]
                old = _forward(forward, mass, begin, t + 1, width, trellis, greatest, unused)
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


@compiled()
def _forward(
    forward: Any,
    mass: Any,
    begin: int,
    end: int,
    width: int,
    trellis: Any,
    greatest: Any,
    log_scale: Any,
) -> int:
    """Write the masses of sections on from those that `forward` begins with; return the last's."""
    previous, coset, first, degree, states = trellis[:5]
    lanes = len(greatest)
    old = 0
    for t in range(begin, end):
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
    return old


@compiled()
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
