"""Paths so long that they are cut into pieces, against the Viterbi algorithm on the whole."""

import math
import tracemalloc

import numpy as np
import pytest
import torch

from ltc.errors import InputError
from ltc.lattices import BW16, E8, Convolutional, Dn, Section, Trellis, force_backend
from ltc.lattices.families.convolutional import CODES
from ltc.lattices.trellis import pieces

LENGTH = 2 * pieces.SHORTEST + 101
all_codes = pytest.mark.parametrize("states", CODES)
some_codes = pytest.mark.parametrize("states", [4, 8, 64])


def uniform(*shape, dtype=torch.float32):
    return 2 * torch.rand(*shape, generator=torch.Generator().manual_seed(0), dtype=dtype)


def uncut(states, length):
    """The same trellis, not told that it repeats."""
    return Trellis(Convolutional(states).of_length(length).trellis.sections)


@all_codes
@pytest.mark.parametrize("length", [LENGTH, 20 * pieces.SHORTEST])
def test_points_are_codewords_and_nearly_the_nearest(states, length):
    if states > 256 and length > LENGTH:
        pytest.skip("the same, and slow")
    lattice = Convolutional(states).of_length(length)
    assert lattice.trellis._is_cut
    x = uniform(length)
    points = lattice.closest_point(x)
    word = np.rint(2 * points.numpy()).astype(np.int64) % 4
    check = sum(
        np.convolve(bits, [int(code, 8) >> i & 1 for i in range(16)])
        for bits, code in zip((word // 2, word % 2), CODES[states], strict=True)
    )
    assert not (check[:length] % 2).any()
    least = (uncut(states, length).closest_point(x) - x).double().square().sum()
    error = (points - x).double().square().sum()
    assert least * (1 - 1e-6) <= error <= least * (1 + 1e-4)


@pytest.mark.parametrize("states", [4, 256])
def test_windows_lose_less_than_a_millionth_a_joint(states, monkeypatch):
    # On the uniform distribution no path stands out. Many joints, so that there is a mean.
    monkeypatch.setattr(pieces, "SHORTEST", 1024)
    monkeypatch.setattr(pieces, "LONGEST", 1024)
    x = uniform(20, 16 * 1024, dtype=torch.float64)
    least = (uncut(states, x.shape[1]).closest_point(x) - x).square().sum()
    error = (Convolutional(states).of_length(x.shape[1]).closest_point(x) - x).square().sum()
    # A thousandth of the time of a piece that is as long as they are in large files.
    assert float(error / least - 1) < 1e-6 * 32


@all_codes
def test_short_paths_are_what_they_are_in_one_piece(states):
    length = 2 * pieces.SHORTEST - 1 if states == 8 else 300
    x = uniform(3, length)
    lattice = Convolutional(states).of_length(length)
    assert torch.equal(lattice.closest_point(x), uncut(states, length).closest_point(x))


@some_codes
def test_compiled_and_torch_agree(states):
    trellis = Convolutional(states).of_length(LENGTH).trellis
    x = uniform(2, LENGTH, dtype=torch.float64)
    cost = uniform(2, LENGTH, 4, dtype=torch.float64)
    results = []
    for backend in ("numba", "torch"):
        with force_backend(backend):
            points = trellis.closest_point(x)
            results.append((points, trellis.shortest_path(cost), trellis.states_after(points)))
    for compiled, reference in zip(*results, strict=True):
        assert torch.equal(compiled, reference)


@some_codes
def test_the_least_cost(states):
    cost = uniform(2, LENGTH, 4).square()
    sums = []
    for trellis in (Convolutional(states).of_length(LENGTH).trellis, uncut(states, LENGTH)):
        path = trellis.shortest_path(cost)
        sums.append(cost.gather(-1, path.unsqueeze(-1)).double().sum())
    assert sums[1] * (1 - 1e-6) <= sums[0] <= sums[1] * (1 + 1e-5)


@pytest.mark.parametrize(
    "trellis",
    [E8().trellis, BW16().trellis, Dn(5).trellis, Convolutional(16, 50).trellis],
    ids=["e8", "bw16", "d5", "convolutional"],
)
def test_states_lie_on_a_path_of_the_points(trellis):
    x = 9 * uniform(20, trellis.dimension)
    points = trellis.closest_point(x)
    with force_backend("torch"):
        states = trellis.states_after(points)
    assert torch.equal(trellis.states_after(points), states)
    before = torch.zeros(20, dtype=torch.int64)
    for t, section in enumerate(trellis.sections):
        for row in range(20):
            branch = section.previous[states[row, t]] == int(before[row])
            offset = section.offset[section.coset[states[row, t]][branch]]
            steps = (float(points[row, t]) - offset) / section.step
            assert np.abs(steps - np.rint(steps)).min() < 1e-5
        before = states[:, t]


def test_a_long_path_is_described_once():
    Convolutional(8).of_length(100).closest_point(torch.zeros(100))
    tracemalloc.start()
    trellis = Convolutional(8).of_length(4_000_000).trellis
    assert trellis.offset.shape == (4_000_000, 4)
    assert trellis.step.shape == (4_000_000,)
    assert tracemalloc.get_traced_memory()[1] < 1e5
    tracemalloc.stop()


def test_a_branch_that_costs_infinity_is_not_taken():
    # Where every second coset is forbidden the path is the free one through the others.
    trellis = Convolutional(4).of_length(LENGTH).trellis
    wanted = trellis.shortest_path(uniform(LENGTH, 4))
    cost = torch.full((LENGTH, 4), math.inf).scatter(-1, wanted.unsqueeze(-1), 1.0)
    for backend in ("numba", "torch"):
        with force_backend(backend):
            assert torch.equal(trellis.shortest_path(cost), wanted)


def test_bad_input_is_refused():
    code = Convolutional(4, 50).trellis
    for backend in ("numba", "torch"):
        with force_backend(backend), pytest.raises(InputError, match="no points"):
            code.states_after(torch.tensor([0.5, 1.5]).repeat(25))
    start = code.sections[0]
    other = Section(start.previous, start.coset[::-1], start.offset, start.step)
    with pytest.raises(InputError, match="cannot repeat"):
        Trellis([other, *code.sections[1:]], 50)
    with pytest.raises(InputError, match="cannot repeat"):
        Trellis(Dn(2).trellis.sections, 50)
    twice = Section(np.array([[0], [0]]), np.array([[0], [0]]), np.array([0.0]), 1.0)
    with pytest.raises(InputError, match="same coset"):
        Trellis([twice]).states_after(torch.zeros(1))
