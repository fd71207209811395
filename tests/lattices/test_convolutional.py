"""Trellis codes against enumeration and the measurements of prototypes."""

import itertools

import pytest
import torch

from ltc.errors import InputError
from ltc.lattices import Convolutional
from ltc.lattices.families.convolutional import CODES


@pytest.mark.parametrize("states", [4, 8, 16])
def test_closest_point_is_the_best_of_all_words(states):
    length = 9
    lattice = Convolutional(states, length)
    h1, h0 = (int(code, 8) for code in CODES[states])
    words = []
    for bits in itertools.product((0, 1), repeat=2 * length):
        z1, z0 = bits[:length], bits[length:]
        check = [
            sum((h1 >> i & 1) * z1[t - i] + (h0 >> i & 1) * z0[t - i] for i in range(t + 1)) % 2
            for t in range(length)
        ]
        if not any(check):
            words.append([2 * a + b for a, b in zip(z1, z0, strict=True)])
    words = torch.tensor(words, dtype=torch.float64) / 2
    assert len(words) == 2**length  # two points in four at each coordinate
    x = 3 * torch.randn(
        200, length, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    residual = x[:, None] - words
    residual = residual - 2 * torch.round(residual / 2)
    best = residual.square().sum(-1).min(1).values
    found = (x - lattice.closest_point(x)).square().sum(-1)
    assert torch.allclose(found, best, atol=1e-12)


@pytest.mark.parametrize(
    ("states", "moment"), [(4, 0.06612), (8, 0.06487), (32, 0.06283), (256, 0.06100)]
)
def test_second_moments(states, moment):
    lattice = Convolutional(states, 1024)
    errors = lattice.sample_voronoi(100, torch.Generator().manual_seed(0))
    # The first coordinates pay for the start in a known state.
    assert float(errors[:, 64:].square().mean()) == pytest.approx(moment, rel=0.01)


@pytest.mark.parametrize("states", CODES)
def test_surrogates_have_the_same_cosets(states):
    lattice = Convolutional(states, 16)
    surrogate = lattice.surrogate
    assert max(surrogate.trellis.states) <= 64
    assert (surrogate.trellis.offset == lattice.trellis.offset).all()
    assert (surrogate.trellis.step == lattice.trellis.step).all()


def test_shared_zero_is_one_more_value_of_half_the_states():
    lattice = Convolutional(8, 16)
    even = torch.arange(-5.0, 6.0)
    assert torch.equal(lattice.with_shared_zero(even), even)
    odd = torch.arange(-2.5, 3.5)
    expected = torch.tensor([-2.5, -1.5, -0.5, 0.0, 0.5, 1.5])
    assert torch.equal(lattice.with_shared_zero(odd), expected)


def test_bad_input():
    with pytest.raises(InputError, match="states=5"):
        Convolutional(states=5)
    with pytest.raises(InputError, match="length=4"):
        Convolutional(length=4)
    with pytest.raises(InputError, match="generator matrix"):
        _ = Convolutional().generator_matrix
