"""Rate-distortion optimised encoding of a picture's latent, with contexts along the trellis.

Viterbi along each row of each plane. The class of a coordinate depends on what stands left of it,
which each survivor knows of its own path, as in the dependent quantization of video codecs: see
`ltc.coder.levels`.
"""

from __future__ import annotations

import numpy as np

from ltc.coder.levels import PLAIN, candidate, kind_of, rank_of, signed
from ltc.compiled import compiled
from ltc.entropy.neighbourhood import BORDER, LARGEST, class_of, known, low_bits, place_of

__all__ = ["predicted", "search"]

inline = compiled(inline="always")


@inline
def predicted(level, r, c, left, before_left, prediction):  # type: ignore[no-untyped-def]
    """Return what a level is predicted to be, an integer: of sums of means alone, see `paired`.

    Arguments:
        level: of the plane, shape (R, C), rows before r whole.
        r, c: its place.
        left, before_left: the levels left of it and left of that.
        prediction: weights of the sum and the difference left, of the sum and the difference above,
            and of the sums above left and above right, in 1/64.
    """
    if (r | c) & 1 or (prediction[0] == 0 and prediction[2] == 0):
        return 0
    if r == 0:
        return before_left
    above = level[r - 2, c]
    if c == 0:
        return above
    beyond = level[r - 2, c + 2] if c + 2 < level.shape[1] else above
    total = prediction[0] * before_left + prediction[1] * left
    total += prediction[2] * above + prediction[3] * level[r - 1, c]
    total += prediction[4] * level[r - 2, c - 2] + prediction[5] * beyond
    return (total + 32) >> 6


@inline
def _length(values, kind, rank, low):  # type: ignore[no-untyped-def]
    """Return the code length of a rank: beyond the table an Elias gamma code follows."""
    escape = values.shape[-1] - 1
    high = rank >> low
    if high < escape:
        return values[kind, high] + low
    return values[kind, escape] + 1 + 2 * np.floor(np.log2(float(high - escape + 1))) + low


@compiled()
def search(  # type: ignore[no-untyped-def]
    plane,
    state,
    wanted,
    weight,
    following,
    coset,
    related,
    weights,
    bias,
    prediction,
    group,
    branch_bits,
    value_bits,
    inward,
    level,
    magnitude,
    branches,
    values,
    errors,
):
    """Choose the levels of a plane of least rate + weighted squared error, row by row.

    Arguments:
        plane: which; those before are whole.
        state: of the trellis, at its start.
        wanted: the latent in units of the step, shape (k, R, C); of the plane, it becomes what a
            decoder takes its levels for.
        weight: bits that a squared error of one step is worth.
        following, coset: what states offer, see `ltc.coder.levels.Branches`.
        related, weights, bias, prediction, group: of each plane.
        branch_bits: code length of each branch, shape (groups, classes, states, branches).
        value_bits: code length of each rank without a sign, shape (groups, classes, kinds, ranks).
        inward: how far within a level its reconstruction lies, shape (groups, classes, kinds, 3)
            for the ranks 0, 1, 2 and more.
        level: filled with the levels, shape (k, R, C), integers.
        magnitude: filled with magnitudes of what is coded, with a border of zeros.
        branches, values: how often each branch and rank was chosen, shapes of their code lengths;
            added to.
        errors: sums of how far within their levels coordinates lie, and how many they are, shape
            (groups, classes, kinds, 3, 2); added to.

    Returns:
        Bits, the squared error in units of the step, and the state at its end.
    """
    _, rows, columns = wanted.shape
    states, ranks = len(following), value_bits.shape[-1]
    total, distortion = 0.0, 0.0
    cost, least = np.empty(states), np.empty(states)
    before = np.zeros((2, states), np.int32)  # magnitudes left of the place, of each survivor
    moved = np.zeros((2, states), np.int32)
    left, right = np.zeros((2, states), np.int32), np.zeros((2, states), np.int32)  # their levels
    origin = np.zeros((columns, states), np.int32)
    taken = np.zeros((columns, states), np.int32)  # the branch from there
    chosen = np.zeros((columns, states), np.int32)  # level less the prediction
    classes = np.zeros((columns, states), np.int32)
    bases = np.zeros((columns, states), np.int32)
    g = group[plane]
    for r in range(rows):
        cost[:] = np.inf
        cost[state] = 0.0
        before[:] = 0
        left[:] = 0
        for c in range(columns):
            place = place_of(r, c)
            one, two = weights[plane, place, 0], weights[plane, place, 1]
            base = known(
                magnitude, plane, r + BORDER, c + BORDER, related[plane], weights[plane, place],
                bias[plane, place],
            )  # fmt: skip
            least[:] = np.inf
            for s in range(states):
                if cost[s] == np.inf:
                    continue
                found_class = class_of(base + one * before[0, s] + two * before[1, s])
                offered = coset[int(found_class >= PLAIN), s]
                guess = predicted(level[plane], r, c, left[0, s], left[1, s], prediction[plane])
                value = wanted[plane, r, c] - guess
                table, shift = value_bits[g, found_class], inward[g, found_class]
                for branch in range(following.shape[1]):
                    after, where = following[s, branch], offered[branch]
                    if after < 0:
                        break
                    kind = kind_of(where)
                    low = low_bits(found_class, kind)
                    start = cost[s] + branch_bits[g, found_class, s, branch]
                    for inner in range(2):
                        found = candidate(value, where, inner)
                        if inner == 1 and found == candidate(value, where, 0):
                            break
                        rank = rank_of(found, where)
                        inside = shift[kind, min(rank, 2)]
                        error = value - found + (inside if found > 0 else -inside)
                        if found == 0:
                            error = value
                        price = start + weight * error * error + _length(table, kind, rank, low)
                        if signed(found, where):
                            price += 1.0
                        if price < least[after]:
                            least[after] = price
                            origin[c, after] = s
                            taken[c, after] = branch
                            chosen[c, after] = found
                            classes[c, after] = found_class
                            bases[c, after] = guess
            for s in range(states):
                if least[s] < np.inf:
                    moved[0, s] = min(abs(chosen[c, s]), LARGEST)
                    moved[1, s] = before[0, origin[c, s]]
                    right[0, s] = bases[c, s] + chosen[c, s]
                    right[1, s] = left[0, origin[c, s]]
            cost[:] = least
            before[:] = moved
            left[:] = right
        state = int(np.argmin(cost))
        s = state
        for c in range(columns - 1, -1, -1):
            s0, branch = origin[c, s], taken[c, s]
            found, found_class = chosen[c, s], classes[c, s]
            where = coset[int(found_class >= PLAIN), s0, branch]
            rank = rank_of(found, where)
            kind, which = kind_of(where), min(rank, 2)
            level[plane, r, c] = bases[c, s] + found
            magnitude[plane, r + BORDER, c + BORDER] = min(abs(found), LARGEST)
            value = wanted[plane, r, c] - bases[c, s]
            inside = abs(found) - (value if found > 0 else -value)
            if found != 0:
                errors[g, found_class, kind, which, 0] += inside
                errors[g, found_class, kind, which, 1] += 1
                depth = inward[g, found_class, kind, which]
                inside -= depth
                wanted[plane, r, c] = bases[c, s] + found - (depth if found > 0 else -depth)
            else:
                wanted[plane, r, c] = bases[c, s]
            distortion += inside * inside
            total += branch_bits[g, found_class, s0, branch]
            low = low_bits(found_class, kind)
            total += _length(value_bits[g, found_class], kind, rank, low)
            if signed(found, where):
                total += 1.0
            branches[g, found_class, s0, branch] += 1
            values[g, found_class, kind, min(rank >> low, ranks - 1)] += 1
            s = s0
    return total, distortion, state
