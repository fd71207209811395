"""The class of a coordinate on a grid, from those of its neighbours that a decoder knows.

The latent of a picture is coded plane by plane, a plane for each channel, and row by row: of all
planes before, everything is known, and of its own plane the rows above and what stands left in the
row. A weighted sum of the magnitudes of known neighbours, in integers, says how large a coordinate
is to be expected; its logarithm in quarters of an octave is the class.

Magnitudes are stored with a border of zeros, `BORDER` on each side: shape (k, R + 4, C + 4).
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ltc.compiled import compiled

__all__ = ["BORDER", "CLASSES", "FEATURES", "LARGEST", "class_of", "features",
           "fit_weights", "known", "low_bits", "place_of", "related", "with_border"]  # fmt: skip

BORDER = 2
CLASSES = 64
# The class from whose next octave on low bits of a rank are sent as they are, see `low_bits`.
WHOLE = 33
# The kind of odd cosets, see `ltc.coder.levels`.
ODD = 2
# Magnitudes are counted up to it, so that sums of 32 bits do not overflow.
LARGEST = 4095
# What a sum of weights times magnitudes is in units of, as a power of two: 1/1024.
UNIT = 10
# The weights, in the order of `known`: two to the left, above, beside above, two above; the five
# frequencies below it; those two right and below; the same frequency of the colours before, at the
# place and around it.
LEFT, ABOVE, FREQUENCIES, AHEAD, COLOURS = 0, 2, 5, 10, 11
FEATURES = 15

Array = NDArray[np.int32]
inline = compiled(inline="always")


def related(frequencies: Tensor) -> NDArray[np.int64]:
    """Return the planes that tell most about each plane, of those before it.

    Arguments:
        frequencies: colour, u and v of each plane, shape (k, 3).

    Returns:
        Shape (k, 7): the frequencies (u - 1, v), (u, v - 1), (u - 1, v - 1), (u - 2, v),
        (u, v - 2) of its colour, then the same frequency of the first and of the second colour;
        -1 where there is none before it.

    Example:
        >>> related(torch.tensor([[0, 0, 0], [0, 0, 1], [1, 0, 0]])).tolist()[1]
        [-1, 0, -1, -1, -1, -1, -1]
    """
    planes = [tuple(plane) for plane in frequencies.tolist()]
    place = {plane: number for number, plane in enumerate(planes)}
    found = []
    for colour, u, v in planes:
        below = [(1, 0), (0, 1), (1, 1), (2, 0), (0, 2)]
        names = [(colour, u - i, v - j) for i, j in below]
        names += [(other, u, v) if other < colour else (-1, u, v) for other in (0, 1)]
        found.append([place.get(name, -1) for name in names])
    return np.array(found)


@inline
def known(magnitude, plane, r, c, related, weights, bias):  # type: ignore[no-untyped-def]
    """Return the part of the sum that does not depend on what stands left in the row.

    Arguments:
        magnitude: with a border, shape (k, R + 4, C + 4).
        plane, r, c: the place of the coordinate, in the array with a border.
        related: of the plane, shape (7,).
        weights: of the plane and the place in a square, shape (15,).
        bias: likewise.
    """
    own = magnitude[plane]
    total = bias + weights[2] * own[r - 1, c] + weights[4] * own[r - 2, c]
    total += weights[3] * (own[r - 1, c - 1] + own[r - 1, c + 1])
    for i in range(5):
        if related[i] >= 0:
            total += weights[5 + i] * magnitude[related[i], r, c]
    for i in range(2):
        if related[i] >= 0:
            other = magnitude[related[i]]
            total += weights[10] * (other[r, c + 1] + other[r + 1, c])
    for i in range(2):
        if related[5 + i] >= 0:
            other = magnitude[related[5 + i]]
            total += weights[11 + 2 * i] * other[r, c]
            around = other[r, c - 1] + other[r, c + 1] + other[r - 1, c] + other[r + 1, c]
            total += weights[12 + 2 * i] * around
    return total


@inline
def place_of(r, c):  # type: ignore[no-untyped-def]
    """Return which place in a square of two by two one is: see `ltc.coder.means`."""
    return 2 * (r & 1) + (c & 1)


@inline
def class_of(total):  # type: ignore[no-untyped-def]
    """Return the class of a sum: 0 below a sixteenth, then quarters of octaves, 63 at most."""
    rest = total >> (UNIT - 6)
    if rest < 4:
        return 0
    octave = 0
    while rest >> octave >= 8:
        octave += 1
    return min(4 * octave + (rest >> octave) - 3, CLASSES - 1)


@inline
def low_bits(found_class, kind):  # type: ignore[no-untyped-def]
    """Return how many low bits of a rank are sent as they are, all values equally likely.

    The others are coded by the table of the class: 4 to 8 of its symbols are then as many as are
    expected, and the table reaches far enough. Within so few ranks probabilities hardly change: of
    a geometric distribution, 0.004 bits are lost.
    """
    # Four classes are an octave, and an odd coset has twice as many levels: each with its mirror's.
    return max(found_class - (WHOLE - 4 if kind == ODD else WHOLE), 0) >> 2


def with_border(planes: int, rows: int, columns: int, joined: bool = False) -> Array:
    """Return zeros for the magnitudes of a picture or a sound, with a border.

    Arguments:
        planes: k.
        rows, columns: of each, R and C.
        joined: whether planes lie one below the other: the border of each then is its neighbours.

    Returns:
        Shape (k, R + 4, C + 4).

    Example:
        >>> magnitude = with_border(2, 5, 3, joined=True)
        >>> magnitude[0, -3, 2] = 7  # in the last row of the first, above the second
        >>> int(magnitude[1, 1, 2])
        7
    """
    if not joined:
        return np.zeros((planes, rows + 2 * BORDER, columns + 2 * BORDER), np.int32)
    whole = np.zeros((planes * rows + 2 * BORDER, columns + 2 * BORDER), np.int32)
    windows = np.lib.stride_tricks.sliding_window_view(
        whole, (rows + 2 * BORDER, whole.shape[1]), writeable=True
    )
    found: Array = windows[::rows, 0]
    return found


def features(magnitude: Array, related: NDArray[np.int64]) -> Array:
    """Return what the weights of each coordinate are multiplied by.

    Arguments:
        magnitude: with a border, shape (k, R + 4, C + 4).
        related: of each plane, shape (k, 7).

    Returns:
        Shape (15, k, R, C): the sum in `known`, and of the left neighbours, is weights times these.
    """
    rows, columns = (n - 2 * BORDER for n in magnitude.shape[1:])

    def moved(planes: Array, down: int = 0, right: int = 0) -> Array:
        top, left = BORDER + down, BORDER + right
        return planes[:, top : top + rows, left : left + columns]

    def other(i: int, down: int = 0, right: int = 0) -> Array:
        there = (related[:, i] >= 0)[:, None, None]
        return moved(magnitude[related[:, i]], down, right) * there

    around = [(0, -1), (0, 1), (-1, 0), (1, 0)]
    found = [moved(magnitude, 0, -1), moved(magnitude, 0, -2), moved(magnitude, -1, 0)]
    found += [moved(magnitude, -1, -1) + moved(magnitude, -1, 1), moved(magnitude, -2, 0)]
    found += [other(i) for i in range(5)]
    found += [sum((other(i, *at) for i in (0, 1) for at in ((0, 1), (1, 0))), found[0] * 0)]
    for i in (5, 6):
        found += [other(i), sum((other(i, *at) for at in around), found[0] * 0)]
    return np.stack(found).astype(np.int32)


def fit_weights(seen: Array, magnitude: Array, steps: int = 300) -> tuple[Array, Array]:
    """Fit the weights of each plane by maximum likelihood.

    Each magnitude is taken as geometrically distributed, its mean a weighted sum of what is seen.

    Arguments:
        seen: from `features`, shape (15, k, samples).
        magnitude: shape (k, samples).
        steps: of Adam.

    Returns:
        Weights, shape (k, 15), and biases, shape (k,), in units of 1/1024.

    Example: a coordinate that is as large as its left neighbour.
        >>> rng = np.random.default_rng(0)
        >>> seen = np.zeros((15, 1, 5000), np.int32)
        >>> seen[0] = rng.integers(0, 20, 5000)
        >>> magnitude = rng.geometric(1 / (1 + seen[0])).astype(np.int32) - 1
        >>> weights, bias = fit_weights(seen, magnitude)
        >>> bool(abs(weights[0, 0] / 1024 - 1) < 0.1)
        True
    """
    inputs, wanted = torch.from_numpy(seen).float(), torch.from_numpy(magnitude).float()
    planes = inputs.shape[1]
    weights = torch.full((FEATURES, planes), math.log(0.08), requires_grad=True)
    bias = torch.full((planes,), math.log(0.02), requires_grad=True)
    optimizer = torch.optim.Adam([weights, bias], lr=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        mean = torch.einsum("fk,fkn->kn", weights.exp(), inputs) + bias.exp()[:, None]
        loss = (wanted + 1) * torch.log1p(mean) - wanted * torch.log(mean)
        loss.mean().mul(planes).backward()
        optimizer.step()
        schedule.step()
    found = (torch.exp(value.detach().T) * (1 << UNIT) for value in (weights, bias[None]))
    integers = [value.round().clamp(0, 1 << 14).to(torch.int32).numpy() for value in found]
    return np.ascontiguousarray(integers[0]), integers[1].ravel().clip(1)
