"""Rate-distortion optimised encoding of a picture's latent, with contexts along the trellis.

Viterbi along each row of each plane. A state of the trellis offers the even or the odd levels (and
zero): the class of a coordinate depends on what stands left of it, which each survivor knows of its
own path, as in the dependent quantization of video codecs (Schwarz, Nguyen, Marpe and Wiegand,
*Hybrid video coding with trellis-coded quantization*, Data Compression Conference 2019).
"""

from __future__ import annotations

import numba
import numpy as np

from ltc.entropy.neighbourhood import BORDER, LARGEST, class_of, known

__all__ = ["predicted", "search"]

kernel = numba.njit(cache=True, nogil=True)
inline = numba.njit(cache=True, nogil=True, inline="always")


@inline
def predicted(level, r, c, left, prediction):  # type: ignore[no-untyped-def]
    """Return what a level is predicted to be, an integer.

    Arguments:
        level: of the plane, shape (R, C), rows before r whole.
        r, c: its place.
        left: the level left of it.
        prediction: weights of the levels left, above, above left and above right, in 1/64.
    """
    if prediction[0] == 0 and prediction[1] == 0:
        return 0
    if r == 0:
        return left
    above = level[r - 1, c]
    if c == 0:
        return above
    beyond = level[r - 1, min(c + 1, level.shape[1] - 1)]
    total = prediction[0] * left + prediction[1] * above
    total += prediction[2] * level[r - 1, c - 1] + prediction[3] * beyond
    return (total + 32) >> 6


@kernel
def search(  # type: ignore[no-untyped-def]
    wanted,
    weight,
    following,
    odd,
    related,
    weights,
    bias,
    prediction,
    group,
    bits,
    inward,
    level,
    magnitude,
    counts,
    errors,
):
    """Choose the levels of least rate + weighted squared error, row by row.

    Arguments:
        wanted: the latent in units of the step, shape (k, R, C).
        weight: bits that a squared error of one step is worth.
        following: the state after each state and parity of the index, shape (states, 2).
        odd: whether a state offers the odd levels and zero, or the even ones, shape (states,).
        related, weights, bias, prediction, group: of each plane.
        bits: code length of each index, shape (groups, classes, 2, indices).
        inward: how far within a level its reconstruction lies, shape (groups, classes, 2, 4) for
            the indices 0, 1, 2 and more.
        level: filled with the levels, shape (k, R, C), integers.
        magnitude: filled with magnitudes of what is coded, with a border of zeros.
        counts: how often each index was chosen, shape of `bits`; added to.
        errors: sums of how far within their levels coordinates lie, and how many they are, shape
            (groups, classes, 2, 4, 2); added to.

    Returns:
        Bits, and the squared error in units of the step.
    """
    planes, rows, columns = wanted.shape
    states, indices = len(odd), bits.shape[-1]
    total, distortion = 0.0, 0.0
    cost, least = np.empty(states), np.empty(states)
    before = np.zeros((2, states), np.int32)  # magnitudes left of the place, of each survivor
    moved = np.zeros((2, states), np.int32)
    left, right = np.zeros(states, np.int32), np.zeros(states, np.int32)
    origin = np.zeros((columns, states), np.int32)
    chosen = np.zeros((columns, states), np.int32)  # index, negative below the prediction
    classes = np.zeros((columns, states), np.int32)
    bases = np.zeros((columns, states), np.int32)
    state = 0
    for plane in range(planes):
        table, shift = bits[group[plane]], inward[group[plane]]
        two, one = weights[plane, 1], weights[plane, 0]
        for r in range(rows):
            cost[:] = np.inf
            cost[state] = 0.0
            before[:] = 0
            left[:] = 0
            for c in range(columns):
                base = known(
                    magnitude, plane, r + BORDER, c + BORDER, related[plane], weights[plane],
                    bias[plane],
                )  # fmt: skip
                least[:] = np.inf
                for s in range(states):
                    if cost[s] == np.inf:
                        continue
                    kind = class_of(base + one * before[0, s] + two * before[1, s])
                    o = odd[s]
                    guess = predicted(level[plane], r, c, left[s], prediction[plane])
                    value = wanted[plane, r, c] - guess
                    size = abs(value)
                    nearest = int(0.5 * (size + o) + 0.5)
                    for candidate in range(4):
                        index = nearest + 1 - candidate
                        if candidate == 3:
                            if nearest <= 2:
                                break
                            index = 0
                        if index < 0:
                            break
                        place = 0.0
                        if index > 0:
                            place = 2 * index - o - shift[kind, o, min(index, 3)]
                        if index < indices - 1:
                            length = table[kind, o, index]
                        else:
                            excess = float(index - indices + 2)
                            length = table[kind, o, indices - 1] + 2 * np.floor(np.log2(excess))
                        error = size - place
                        found = cost[s] + weight * error * error + length
                        after = following[s, index & 1]
                        if found < least[after]:
                            least[after] = found
                            origin[c, after] = s
                            chosen[c, after] = index if value >= 0 else -index
                            classes[c, after] = kind
                            bases[c, after] = guess
                for s in range(states):
                    if least[s] < np.inf:
                        index, s0 = chosen[c, s], origin[c, s]
                        size = 2 * abs(index) - odd[s0] if index != 0 else 0
                        moved[0, s], moved[1, s] = min(size, LARGEST), before[0, s0]
                        right[s] = bases[c, s] + (size if index > 0 else -size)
                cost[:] = least
                before[:] = moved
                left[:] = right
            state = int(np.argmin(cost))
            s = state
            for c in range(columns - 1, -1, -1):
                s0, index = origin[c, s], chosen[c, s]
                o, kind, size = odd[s0], classes[c, s], abs(index)
                height = 2 * size - o if size > 0 else 0
                level[plane, r, c] = bases[c, s] + (height if index > 0 else -height)
                magnitude[plane, r + BORDER, c + BORDER] = min(height, LARGEST)
                which = min(size, 3)
                inside = height - abs(wanted[plane, r, c] - bases[c, s])
                errors[group[plane], kind, o, which, 0] += inside
                errors[group[plane], kind, o, which, 1] += 1
                distortion += (inside - (shift[kind, o, which] if size > 0 else 0.0)) ** 2
                if size < indices - 1:
                    total += table[kind, o, size]
                else:
                    excess = float(size - indices + 2)
                    total += table[kind, o, indices - 1] + 2 * np.floor(np.log2(excess))
                counts[group[plane], kind, o, min(size, indices - 1)] += 1
                s = s0
    return total, distortion
