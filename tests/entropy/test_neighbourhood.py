"""Contexts of known neighbours, and the tables of each class."""

import itertools

import numpy as np
import pytest

from ltc.coder.levels import branches_of
from ltc.entropy import Context
from ltc.entropy.neighbourhood import BORDER, class_of, features, known, place_of, with_border
from ltc.lattices import Convolutional
from ltc.transforms import Lapped


def test_weights_times_features_is_what_the_kernels_sum():
    rng = np.random.default_rng(0)
    context = Context(Lapped(3, 2).frequencies, [2, 2, 2, 2])
    related, weights, bias, _, _ = context.arrays(12)
    weights = rng.integers(0, 100, weights.shape).astype(np.int32)
    magnitude = with_border(12, 5, 6)
    magnitude[:, BORDER:-BORDER, BORDER:-BORDER] = rng.integers(0, 9, (12, 5, 6))
    seen = features(magnitude, related)
    for plane, r, c in itertools.product(range(12), range(5), range(6)):
        at = plane, r + BORDER, c + BORDER
        weight, start = weights[plane, place_of(r, c)], bias[plane, place_of(r, c)]
        total = known(magnitude, *at, related[plane], weight, start)
        row = magnitude[plane, r + BORDER]
        total += weight[0] * row[c + 1] + weight[1] * row[c]
        assert total == start + weight @ seen[:, plane, r, c]


def test_what_a_decoder_does_not_know_has_no_weight():
    """Of its own plane what comes later, and planes that come later."""
    context = Context(Lapped(3, 2).frequencies, [2, 2, 2, 2])
    related = context.related
    assert (related < np.arange(len(related))[:, None]).all()
    magnitude = with_border(12, 3, 3)
    magnitude[5, BORDER + 1, BORDER + 1 :] = 7
    magnitude[5, BORDER + 2] = 7
    magnitude[6:] = 7
    assert (features(magnitude, related)[:, 5, 1, 1] == 0).all()


def test_classes_rise_by_quarters_of_octaves():
    found = [class_of(total) for total in range(1 << 18)]
    assert sorted(set(found)) == list(range(max(found) + 1))
    assert (np.diff(found) >= 0).all()
    for total in (1 << 8, 1 << 12, 1 << 16):
        assert found[2 * total] - found[total] == 4


def test_tables_are_probabilities_and_follow_the_counts():
    context = Context(Lapped(3, 2).frequencies, [2, 2, 2, 2])
    branches, values, errors = context.nothing()
    branches[1, 20, 3] = 3e6, 1e6
    values[0, 10, 1, :2] = 1e6
    errors[0, 10, 1, 0] = 0.25e6, 1e6
    context.fit(branches, values, errors)
    context.check()
    assert context.branch_bits[1, 20, 3].tolist() == pytest.approx([0.415, 2], abs=1e-3)
    assert context.value_bits[0, 10, 1, :2].tolist() == pytest.approx([1, 1], abs=1e-3)
    assert context.reconstruction[0, 10, 1, 0] == pytest.approx(0.25, abs=1e-3)


def test_more_states_take_the_probabilities_of_fewer():
    """States that offer the same levels are alike; everything else is the same."""
    few, many = (branches_of(Convolutional(states)) for states in (8, 64))
    frequencies = Lapped(3, 2).frequencies
    other, context = (Context(frequencies, branches.numbers) for branches in (few, many))
    rng = np.random.default_rng(0)
    other.fit(*(rng.integers(1, 1000, counts.shape) for counts in other.nothing()))
    parities = [branches.coset[1, :, 0] & 1 for branches in (few, many)]
    context.take(other, *parities)
    for parity in (0, 1):
        mean = other.branch[..., parities[0] == parity, :].double().mean(-2)
        there = context.branch[..., parities[1] == parity, :]
        assert (there - mean[..., None, :]).abs().max() <= 0.5
    for name, value in context.named_buffers():
        assert name == "branch" or (value == other.state_dict()[name]).all()


def test_forged_tables_are_refused():
    forged = Context(Lapped(3, 4).frequencies, [2, 2, 2, 2])
    forged.left[1, 3, 0, 5] = forged.left[1, 3, 0, 6]
    with pytest.raises(ValueError, match="no probabilities"):
        forged.check()
