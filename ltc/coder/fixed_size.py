"""Lattice vectors of exactly the asked size: each has a weight of the distortion of its own."""

import math
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

from ltc.coder.coder import LatticeTransformCoder
from ltc.errors import InputError

__all__ = ["GAINS", "GAIN_BITS", "fit_to_size", "gain"]

# Gains by which a lattice vector of fixed size is louder than others, and bits that say which. More
# are above one: what is too loud is clipped, what is too quiet leaves bits.
GAINS, GAIN_BITS = range(-2, 6), 3
# Weights tried at most, and how many bits lie between two that enclose the size closely enough.
STEPS, BITS = 40, 60.0
# log2(lmbda) from the coder's own: below it a vector is also clipped, ever more; above it none has
# bits left unless it is all but constant.
LOUD, SILENT = 4.0, 20.0
# Mixtures of two paths that are looked at, and written. A stream is up to so many bits shorter
# than the model says, where zeros happen to end it.
MIXTURES, WRITTEN, LUCK = 1024, 8, 0.5
# Further paths to mix, each the best for vectors with noise of so many deviations of the error.
DRAWS, NOISE = 4, 0.07

Lengths = Callable[[Tensor], Tensor]


def gain(coder: LatticeTransformCoder, index: Tensor) -> Tensor:
    """Return the gains of lattice vectors of fixed size.

    The energy of n coordinates of a stationary source is spread by about sqrt(2 / n): gains lie 0.8
    deviations of its root apart.

    Arguments:
        coder: the coder.
        index: integers of `GAINS`.
    """
    coordinates = coder.layout.block * coder.transform.latent_dimension // coder.layout.repeats
    return torch.exp2(index * 0.8 / math.sqrt(coordinates))


@torch.no_grad()
def fit_to_size(coder: LatticeTransformCoder, x: Tensor, lengths: Lengths, size: int) -> Tensor:
    """Return points of little distortion that fit into the bits of each lattice vector.

    Rate and distortion are traded at a weight of its own in each vector, which the decoder has no
    need to know: two weights are searched, by false position and bisection, of which one needs
    fewer bits than there are and the other more. One weight reaches few sizes, about ten bits
    apart. Therefore the path is mixed with others that are nearly as good, which part from it and
    meet it again some times: of all mixtures that take one or the other from meeting to meeting
    the one of least distortion that fits is chosen. What is so loud that even the likeliest points
    near it do not fit is clipped.

    Arguments:
        coder: the coder, whose entropy model has a trellis.
        x: blocks, shape (batch, *positions, d).
        lengths: returns how many bits the stream of each vector really has, shape (count,), inf
            where it has none; of points, lattice units, shape (count, rows, n).
        size: bits of each vector.

    Returns:
        Lattice units, shape (batch, repeats, rows, n), and the index of the vector's gain, by which
        it is brought near to the coder's own weight, as a coordinate n + 1.

    Raises:
        InputError: not even the likeliest points fit.
    """
    wanted = coder.wanted(x)
    vectors = wanted.flatten(0, 1).unsqueeze(1)
    size -= GAIN_BITS
    # At high rate a gain of two is worth a bit per coordinate.
    excess = lengths(coder.choose(vectors, coder.lmbda).squeeze(1)).double() - size
    spacing = vectors[0].numel() * math.log2(float(gain(coder, torch.tensor(1.0))))
    index = (excess / spacing).round().clamp(GAINS[0], GAINS[-1]).to(vectors)[:, None, None, None]
    scaled = vectors / gain(coder, index)
    best, other, log_weight = _enclose(coder, scaled, lengths, size)
    clipped = (log_weight < math.log2(coder.lmbda) - LOUD) & (index.flatten() < GAINS[-1])
    if clipped.any():
        index[clipped] += 1
        scaled[clipped] = vectors[clipped] / gain(coder, index[clipped])
        found = _enclose(coder, scaled[clipped], lengths, size)
        best[clipped], other[clipped], log_weight[clipped] = found
    vectors = scaled
    weight = torch.exp2(log_weight).to(vectors)[:, None, None, None]
    error = coder.reconstruct(best) - vectors
    deviation = NOISE * error.square().mean((1, 2, 3), keepdim=True).sqrt()
    generator = torch.Generator().manual_seed(0)
    for draw in range(DRAWS + 1):
        if draw > 0:
            noise = torch.randn(vectors.shape[1:], generator=generator).to(vectors)
            other = coder.choose(vectors + deviation * noise, weight)
        best = _mixed(coder, vectors, best, other, lengths, size)
    best = torch.cat([best, index.expand_as(best[..., :1])], -1)
    return best.reshape(*wanted.shape[:-1], -1)


def _mixed(
    coder: LatticeTransformCoder,
    vectors: Tensor,
    best: Tensor,
    other: Tensor,
    lengths: Lengths,
    size: int,
) -> Tensor:
    """Return of mixtures of two paths the one of least distortion that fits.

    Arguments:
        coder, vectors, lengths, size: as of `_enclose`.
        best: points that fit, shape of `vectors`.
        other: any points.
    """
    bits, error = _costs(coder, vectors, best)
    other_bits, other_error = _costs(coder, vectors, other)
    event = _events(coder, best, other)
    number = int(event.max()) + 1

    def by_event(difference: Tensor) -> Tensor:
        sums = difference.new_zeros(len(event), number)
        return sums.scatter_add_(1, event, difference)

    mixtures = _mixtures(number).to(event.device)
    more = by_event(other_bits - bits) @ mixtures.T
    errors = by_event(other_error - error) @ mixtures.T
    errors = errors.masked_fill(coder.bits(best).double()[:, None] + more > size + LUCK, math.inf)
    order = errors.argsort(1)
    best, todo = best.clone(), torch.arange(len(best), device=best.device)
    for rank in range(WRITTEN):
        which = order[todo, rank]
        better = errors[todo, which] < 0
        todo, which = todo[better], which[better]
        if not len(todo):
            break
        taken = mixtures[which].gather(1, event[todo]).bool().view_as(best[todo])
        points = torch.where(taken, other[todo], best[todo])
        fits = (lengths(points.squeeze(1)) <= size).to(todo.device)
        best[todo[fits]] = points[fits]
        todo = todo[~fits]
    return best


def _enclose(
    coder: LatticeTransformCoder, vectors: Tensor, lengths: Lengths, size: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return points that fit, points near them that need more, if any do, and log2(lmbda).

    Arguments: as above, vectors in lattice units, shape (count, 1, rows, n).
    """
    count, centre = len(vectors), math.log2(coder.lmbda)
    ends = torch.stack(coder.entropy.support(coder.entropy.kinds(coder.table(vectors))))
    reach = ends.abs().amax(0)
    # Half a bit per coordinate for each doubling of the weight, in theory and at high rate.
    slope = vectors[0].numel() / 2
    points = vectors.new_zeros(2, *vectors.shape)  # that fit, that do not
    at = torch.tensor([-math.inf, math.inf], dtype=torch.float64)[:, None].repeat(1, count)
    excess = at.clone()
    here = torch.full((count,), centre, dtype=torch.float64)
    todo = torch.arange(count)
    for step in range(STEPS):
        t = here[todo].to(vectors)[:, None, None, None]
        loud = torch.exp2((t - centre + LOUD).clamp(max=0)) * reach
        found = coder.choose(vectors[todo].clamp(-loud, loud), torch.exp2(t))
        over = lengths(found.squeeze(1)).double() - size
        side = (over > 0).long()
        points[side, todo] = found
        at[side, todo], excess[side, todo] = here[todo], over
        done = (excess == 0)[0] | ((at[1] - at[0]) * slope < BITS) | (at[0] > centre + SILENT)
        todo = torch.nonzero(~done)[:, 0]
        if not len(todo):
            break
        (lower, upper), (under, over) = at[:, todo], excess[:, todo]
        further = 2.0 ** (step - 12)
        up = lower + (further - under / slope).clamp(max=SILENT)
        down = upper - (further + over / slope).clamp(max=2 * LOUD)
        share = (under / (under - over)).clamp(0.1, 0.9) if step % 3 else torch.tensor(0.5)
        between = lower + share * (upper - lower)
        here[todo] = torch.where(upper.isinf(), up, torch.where(lower.isinf(), down, between))
    if at[0].isinf().any():
        raise InputError(
            f"{size} bits do not hold a block of {vectors[0].numel()} coordinates, not even the "
            "likeliest points; use a larger quantizer.rate"
        )
    none = at[1].isinf()
    low, high = points
    high = torch.where(none.to(high.device)[:, None, None, None], low, high)
    return low, high, torch.where(none, at[0], at.mean(0))


def _costs(coder: LatticeTransformCoder, vectors: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Return bits, up to a constant, and distortion of each coordinate, (count, rows n)."""
    bits = -coder.entropy.log_density(points, coder.table(points)) / math.log(2)
    error = coder.price * coder.distortion.cost(coder.reconstruct(points) - vectors)
    return bits.flatten(1).double(), error.flatten(1).double()


def _events(coder: LatticeTransformCoder, low: Tensor, high: Tensor) -> Tensor:
    """Return how often two paths have parted up to each coordinate, shape (count, rows n)."""
    trellis = coder.entropy.trellis
    assert trellis is not None
    apart = trellis.states_after(low) != trellis.states_after(high)
    apart = torch.cat([torch.zeros_like(apart[..., :1]), apart[..., :-1]], -1)
    return ((low != high) & ~apart).flatten(1).cumsum(1)


@lru_cache(maxsize=8)
def _mixtures(events: int) -> Tensor:
    """Return which events a mixture takes from the second path, shape (MIXTURES, events)."""
    generator = torch.Generator().manual_seed(0)
    share = torch.linspace(0, 1, MIXTURES, dtype=torch.float64)
    # Event after event, so that their number in other vectors changes nothing.
    draws = torch.rand(events, MIXTURES, generator=generator, dtype=torch.float64)
    return (draws < share).double().T.contiguous()
