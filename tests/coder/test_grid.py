"""Whole pictures: the search along the trellis, and what it finds as a stream."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ltc.codec import Aim, Payload, grid_stream
from ltc.codec.files import silent
from ltc.coder.grid import FINEST
from ltc.coder.levels import PLAIN, kind_of, level_of, rank_of, signed
from ltc.entropy.neighbourhood import class_of
from ltc.lattices.card import second_moment
from ltc.transforms import Lapped


@pytest.mark.parametrize("bias", [100, 3000])
def test_the_search_finds_the_best_of_all_paths(make, grid_lattice, bias):
    """By enumeration, where the class is the same everywhere: then Viterbi is exact."""
    model = make(grid_lattice)
    context = model.context
    context.weights.zero_()
    context.bias.fill_(bias)
    found_class = class_of(bias)
    following, cosets, volume = model.branches
    weight = (2 / volume) ** 2 / Lapped.ratio
    branch_bits = context.branch_bits[0, found_class]
    value_bits = context.value_bits[0, found_class]

    def price(wanted, path):
        """Return the Lagrangian of levels; infinite where they are none of the trellis."""
        state, cost = 0, 0.0
        for x, level in zip(wanted, path, strict=True):
            offered = cosets[int(found_class >= PLAIN), state][following[state] >= 0]
            ranks = [rank_of(level, coset) for coset in offered]
            branch = int(np.argmax(ranks))
            if ranks[branch] < 0:
                return math.inf
            coset, rank = offered[branch], ranks[branch]
            cost += (x - level) ** 2 * weight
            cost += branch_bits[state, branch] + value_bits[kind_of(coset), rank]
            cost += signed(level, coset)
            state = following[state, branch]
        return cost

    rng = np.random.default_rng(0)
    rows = rng.normal(0, 1.5, (4, 3))
    wanted = np.zeros((48, 1, 3), np.float32)
    for row in rows:
        wanted[0, 0] = row
        found = model.encode(wanted * model.unit(FINEST), FINEST).level[0, 0].tolist()
        paths = itertools.product(range(-4, 5), repeat=3)
        least = min(price(wanted[0, 0], path) for path in paths)
        assert price(wanted[0, 0], found) == pytest.approx(least, abs=1e-4)


def test_eight_states_are_as_near_to_the_limit_as_their_lattice(make, lattices):
    """Of a Gaussian source at one bit per sample, where cosets with a zero are 0.11 from it."""
    model = make(lattices["trellis-8"], stride=2)
    model.context.weights.zero_()
    model.context.bias.fill_(800)
    source = np.random.default_rng(0).normal(size=(12, 40, 100)).astype(np.float32)
    for _ in range(8):
        found = model.encode(source, FINEST)
        model.context.fit(*found.found)
    rate = found.bits / source.size
    assert 0.8 < rate < 1.2
    assert 0.06 < rate - 0.5 * math.log2(1 / found.error) < 0.09


def quality_of(step):
    return 12.5 * (8 - math.log2(step))


@pytest.mark.parametrize("step", [1.0, 2.0, 16.0])
def test_a_stream_has_the_length_that_the_tables_say_and_decodes(coder, files, smooth, step):
    coder.context.check()
    picture = smooth(40, 56, seed=9)
    written = files.encode(
        Payload("image", {"image": picture}, ".png"), aim=Aim("quality", quality_of(step))
    )
    assert 32 * len(written.streams[0]) == pytest.approx(written.bits, rel=3e-3, abs=64)
    encoded = coder.encode(coder.planes(picture.astype(np.float32) - 128), round(step * FINEST))
    assert encoded.bits == written.bits
    assert (grid_stream.encode(coder, encoded.level) == written.streams[0]).all()
    decoded, _ = grid_stream.decode(coder, written.streams[0], encoded.level.shape, silent)
    assert (decoded == encoded.level).all()
    # Borders apart, where biorthogonal transforms scale otherwise, an error of the latent is one
    # of the picture.
    error = np.square(
        files.decompress(written.data)[0].arrays["image"] - picture.astype(float)
    ).mean()
    assert error == pytest.approx(encoded.error + (1 / 12 if step < 4 else 0), rel=0.3)


@pytest.mark.parametrize("scale", [16, 128, 1024])
def test_large_levels_cost_no_more_than_they_must(make, lattices, scale):
    """Beyond what tables have, too: at high rates the gap is that of the lattice alone."""
    lattice = lattices["trellis-8"]
    model = make(lattice, stride=2)
    model.context.weights.zero_()
    model.context.bias.fill_(800 * scale)
    source = scale * np.random.default_rng(0).normal(size=(12, 40, 100)).astype(np.float32)
    for _ in range(6):
        found = model.encode(source, FINEST)
        model.context.fit(*found.found)
    gap = found.bits / source.size - 0.5 * math.log2(scale**2 / found.error)
    moment, _ = second_moment(lattice, 20_000, torch.Generator().manual_seed(0))
    at_high_rate = 0.5 * math.log2(2 * math.pi * math.e * moment)
    assert at_high_rate - 0.02 < gap < at_high_rate + 0.01


def test_without_rate_the_nearest_levels_are_chosen(make, lattices):
    """No path has less error; with the rate counted, errors are larger and bits fewer."""
    planes = np.random.default_rng(0).normal(size=(12, 4, 5)).astype(np.float32) * 3
    weighed = make(lattices["trellis-8"], stride=2)
    nearest = make(lattices["trellis-8"], stride=2)
    nearest.rdo = False
    found, best = (model.encode(planes, FINEST) for model in (nearest, weighed))
    assert found.error < best.error
    assert found.bits > best.bits
    scalar = make(lattices["scalar"], stride=2)
    scalar.rdo = False
    scalar.context.bias.fill_(1 << 14)
    assert (scalar.encode(planes, FINEST).level == 2 * np.rint(planes / 2)).all()


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_all_paths_can_be_written(make, lattices, data):
    """Also levels that no encoder would choose, far beyond the tables."""
    model = make(data.draw(st.sampled_from(list(lattices.values()))), stride=2)
    context = model.context
    level = np.zeros((12, 2, 3), np.int32)
    context.weights.zero_()
    context.bias.fill_(data.draw(st.sampled_from([100, 3000])))
    cosets = model.branches.coset[int(class_of(int(context.bias[0, 0])) >= PLAIN)]
    state = 0
    for at in np.ndindex(level.shape):
        branch = data.draw(st.integers(0, model.branches.numbers[state] - 1))
        rank = data.draw(st.integers(0, 200_000) | st.integers(0, 3))
        level[at] = level_of(cosets[state, branch], rank)
        if signed(level[at], cosets[state, branch]) and data.draw(st.booleans()):
            level[at] *= -1
        state = model.branches.following[state, branch]
    words = grid_stream.encode(model, level)
    decoded, place = grid_stream.decode(model, words, level.shape, silent)
    assert (decoded == level).all()
    assert (place == level).all()  # before it is fitted
