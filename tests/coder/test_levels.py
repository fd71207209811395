"""The levels of a row: every one has one name, and paths are points of the lattice."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ltc.coder.levels import branches_of, candidate, kind_of, level_of, rank_of, signed
from ltc.lattices import BW16, E8, Dn, DnDual

COSETS = range(6)


def members(coset):
    """Return the levels of a coset that lie about zero."""
    return [n for n in range(-61, 62) if rank_of(n, coset) >= 0]


@pytest.mark.parametrize("coset", COSETS)
def test_every_level_of_a_coset_has_one_name(coset):
    names = []
    for level in members(coset):
        rank = rank_of(level, coset)
        found = level_of(coset, rank)
        assert found == (abs(level) if signed(level, coset) else level)
        names.append((rank, level < 0 and signed(level, coset)))
    assert len(set(names)) == len(names)
    if coset < 4:
        assert members(coset) == [n for n in range(-61, 62) if n % 4 == coset]


def test_a_state_offers_each_level_once(grid_lattice):
    """Where coordinates are small, odd states of a convolutional code offer zero too."""
    branches = branches_of(grid_lattice)
    for small in (0, 1):
        for after, cosets in zip(branches.following, branches.coset[small], strict=True):
            there = cosets[after >= 0]
            offered = sorted(n for coset in there for n in members(coset))
            assert len(set(offered)) == len(offered)
    assert kind_of(1) == kind_of(3)


@pytest.mark.parametrize("lattice", [Dn(4), DnDual(4), E8(), BW16()], ids=lambda found: found.name)
def test_paths_are_points_of_the_lattice(lattice):
    following, cosets, volume = branches_of(lattice)
    rng = np.random.default_rng(0)
    for _ in range(50):
        state, path = 0, []
        for _ in range(lattice.dimension):
            offered = cosets[1, state][following[state] >= 0]
            branch = int(rng.integers(len(offered)))
            path.append(offered[branch] + 4 * int(rng.integers(-2, 3)))
            state = following[state, branch]
        assert state == 0
        point = torch.tensor([path], dtype=torch.float32) / volume
        assert torch.allclose(lattice.closest_point(point), point, atol=1e-4)


@settings(deadline=None)
@given(st.floats(-50, 50), st.sampled_from(COSETS))
@example(1.25, 5)  # between zero and three, which are not four apart
def test_candidates_are_the_nearest_of_their_coset(value, coset):
    nearest = candidate(value, coset, 0)
    assert rank_of(nearest, coset) >= 0
    assert abs(value - nearest) == min(abs(value - n) for n in members(coset))
    inner = candidate(value, coset, 1)
    assert rank_of(inner, coset) >= 0
    assert inner == nearest or abs(inner) < abs(nearest)
    assert abs(inner - nearest) in ({0} if abs(nearest) < 3 else {2, 3, 4})
