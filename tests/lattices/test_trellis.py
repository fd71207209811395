"""What is computed on a trellis, against direct enumeration."""

import itertools
import math
import sys

import numpy as np
import pytest
import torch

from ltc.errors import InputError
from ltc.lattices import (
    BW16,
    E8,
    K12,
    Convolutional,
    Dn,
    Leech,
    Section,
    Trellis,
    force_backend,
    hermite_normal_form,
)
from ltc.lattices.trellis import recursions

BACKENDS = pytest.mark.parametrize("backend", ["numba", "torch"])


def convolutional(length: int) -> Trellis:
    """Ungerboeck's code with four states: a trellis that may end in every state."""
    # The next state is (input, first bit), the subset 2 * (first bit) + (input + second bit).
    previous, coset = np.zeros((4, 2), np.int64), np.zeros((4, 2), np.int64)
    for bit, first, second in itertools.product(range(2), repeat=3):
        previous[2 * bit + first, second] = 2 * first + second
        coset[2 * bit + first, second] = 2 * first + (bit + second) % 2
    section = Section(previous, coset, np.arange(4.0), 4.0)
    start = Section(np.zeros((2, 1), np.int64), np.array([[0], [1]]), np.arange(4.0), 4.0)
    widen = Section(
        np.array([[0], [0], [1], [1]]), np.array([[0], [1], [2], [3]]), np.arange(4.0), 4.0
    )
    return Trellis([start, widen, *(length - 2) * [section]])


def paths(trellis: Trellis) -> list[list[int]]:
    """The cosets along every path."""
    reached = {0: [[]]}
    for section in trellis.sections:
        following = {}
        for state, (previous, cosets) in enumerate(
            zip(section.previous, section.coset, strict=True)
        ):
            following[state] = [
                [*path, int(coset)]
                for before, coset in zip(previous, cosets, strict=True)
                for path in reached[int(before)]
            ]
        reached = following
    return [path for ending in reached.values() for path in ending]


def tables(trellis: Trellis, *leading: int, dtype=torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(
        *leading, trellis.dimension, trellis.cosets, generator=generator, dtype=dtype
    )


SMALL = {
    "d2": Trellis.from_integer_basis([[1, 1], [0, 2]]),
    "d5": Dn(5).trellis,
    "e8": E8().trellis,
    "k12": K12().trellis,
    "convolutional": convolutional(8),
}
small_trellises = pytest.mark.parametrize("trellis", SMALL.values(), ids=SMALL.keys())


@small_trellises
@BACKENDS
def test_against_all_paths(trellis, backend):
    log_mass = tables(trellis, 3)
    index = torch.tensor(paths(trellis))
    sums = log_mass.unsqueeze(1).expand(-1, len(index), -1, -1)
    sums = sums.gather(-1, index.expand(3, -1, -1).unsqueeze(-1)).sum((-1, -2))
    with force_backend(backend):
        torch.testing.assert_close(
            trellis.log_partition(log_mass), sums.logsumexp(-1), atol=1e-10, rtol=0
        )
        best = index[sums.argmin(-1)]
        assert torch.equal(trellis.shortest_path(log_mass), best)


def test_log_partition_against_enumerated_points(trellis_lattice):
    # A Gaussian so narrow that what lies beyond the enumerated points is below the tolerance.
    lattice = trellis_lattice
    trellis, n = lattice.trellis, lattice.dimension
    sharpness, tail = 16.0, 36.0
    centre = torch.randn(n, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    nearest = (centre - lattice.closest_point(centre)).square().sum()
    points = lattice.enumerate(float(nearest + tail / sharpness) ** 0.5, centre)
    expected = (-sharpness * (points - centre).square().sum(1)).logsumexp(0)
    offset, step = torch.from_numpy(trellis.offset), torch.from_numpy(trellis.step)
    integers = torch.arange(-20, 21)
    values = offset.unsqueeze(-1) + step[:, None, None] * integers
    log_mass = (-sharpness * (values - centre[:, None, None]).square()).logsumexp(-1)
    log_mass = log_mass.nan_to_num(-math.inf)
    for backend in ("numba", "torch"):
        with force_backend(backend):
            actual = trellis.log_partition(log_mass)
        torch.testing.assert_close(actual, expected, atol=1e-10, rtol=0)


def test_gradient(trellis_lattice):
    lattice = trellis_lattice
    trellis = lattice.trellis
    log_mass = tables(trellis, 2, 1).requires_grad_()
    assert torch.autograd.gradcheck(trellis.log_partition, log_mass, fast_mode=True)
    (gradient,) = torch.autograd.grad(trellis.log_partition(log_mass).sum(), log_mass)
    # The posterior probabilities of the cosets of a section.
    torch.testing.assert_close(gradient.sum(-1), torch.ones(2, 1, lattice.dimension).double())
    with force_backend("torch"):
        (expected,) = torch.autograd.grad(trellis.log_partition(log_mass).sum(), log_mass)
    torch.testing.assert_close(gradient, expected)


def test_masses_that_are_computed_again_are_the_same(trellis_lattice, monkeypatch):
    trellis = trellis_lattice.trellis
    log_mass = tables(trellis, 11).requires_grad_()
    results = []
    for cached in (1 << 30, 0):  # masses of all sections, and of as few as can be
        monkeypatch.setattr(recursions, "CACHED_BYTES", cached)
        total = trellis.log_partition(log_mass)
        results.append((total, *torch.autograd.grad(total.sum(), log_mass)))
    for kept, again in zip(*results, strict=True):
        assert torch.equal(kept, again)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("spread", [1.0, 1000.0])
def test_compiled_and_torch_agree(trellis_lattice, dtype, spread):
    lattice = trellis_lattice
    trellis = lattice.trellis
    values = (spread * tables(trellis, 20, dtype=dtype)).requires_grad_()
    generator = torch.Generator().manual_seed(0)
    x = 4 * torch.randn(200, lattice.dimension, generator=generator, dtype=dtype)
    results = []
    for backend in ("numba", "torch"):
        with force_backend(backend):
            total = trellis.log_partition(values)
            (gradient,) = torch.autograd.grad(total.sum(), values)
            results.append(
                (total, gradient, trellis.shortest_path(values), lattice.trellis.closest_point(x))
            )
    for compiled, reference in zip(*results, strict=True):
        torch.testing.assert_close(compiled, reference)


def test_masses_of_zero():
    trellis = E8().trellis
    log_mass = tables(trellis, 2)
    log_mass[:, :, 1] = -math.inf  # only the path of even numbers is left
    expected = log_mass[:, :, 0].sum(-1)
    torch.testing.assert_close(trellis.log_partition(log_mass), expected)
    log_mass[1] = -math.inf
    assert trellis.log_partition(log_mass)[1] == -math.inf


@BACKENDS
def test_long_trellises(backend):
    trellis = convolutional(3000)
    log_mass = tables(trellis, 2).requires_grad_()
    with force_backend(backend):
        total = trellis.log_partition(log_mass)
        (gradient,) = torch.autograd.grad(total.sum(), log_mass)
        path = trellis.shortest_path(log_mass)
    assert torch.isfinite(total).all()
    torch.testing.assert_close(gradient.sum(-1), torch.ones(2, 3000).double())
    best = log_mass.detach().gather(-1, path.unsqueeze(-1)).sum((-1, -2))
    assert (best <= log_mass.detach()[..., 0].sum(-1)).all()


def test_many_branches_into_a_state():
    # A cubic lattice stretched along one axis of 300 cosets.
    trellis = Trellis.from_integer_basis([[1, 1], [0, 300]])
    x = torch.randn(100, 2, dtype=torch.float64) * 500
    points = trellis.closest_point(x)
    box = torch.arange(-4000.0, 4000.0, dtype=torch.float64)
    for row, point in zip(x, points, strict=True):
        partner = box + 300 * ((row[1] - box) / 300).round()
        distance = (box - row[0]).square() + (partner - row[1]).square()
        torch.testing.assert_close((row - point).square().sum(), distance.min())


def test_more_branches_into_a_state_than_16_bits_count():
    count = 66_000
    branches = np.arange(count)[None]
    section = Section(np.zeros_like(branches), branches, np.arange(float(count)), float(count))
    cost = torch.ones(1, count, dtype=torch.float64)
    cost[0, -1] = 0
    assert Trellis([section]).shortest_path(cost).tolist() == [count - 1]


def theta_series(trellis: Trellis, unit: float, terms: int) -> list[int]:
    """Count points by squared length in units: the forward pass with polynomials."""
    states = np.zeros((1, terms), dtype=np.int64)
    states[0, 0] = 1
    for section in trellis.sections:
        reach = int(math.sqrt(terms * unit) / section.step) + 2
        values = section.offset[:, None] + section.step * np.arange(-reach, reach + 1)
        norms = np.rint(values**2 / unit).astype(int)
        after = np.zeros((len(section.previous), terms), dtype=np.int64)
        for coset, norm in enumerate(norms):
            shifted = np.zeros_like(states)
            for shift in norm[norm < terms]:
                shifted[:, shift:] += states[:, : terms - shift]
            state, branch = np.nonzero(section.coset == coset)
            np.add.at(after, state, shifted[section.previous[state, branch]])
        states = after
    return states.sum(0).tolist()


@pytest.mark.parametrize(
    ("known", "unit", "shells"),
    [
        # Conway and Sloane, chapter 4: tables 4.9, 4.13, 4.14 and sections 9 to 11.
        (E8(), 2 / 4, {4: 240, 8: 2160, 12: 6720, 16: 17520}),
        (K12(), 1 / 3**0.5, {4: 756, 6: 4032, 8: 20412, 10: 60480}),
        (BW16(), 2**0.5 / 4, {8: 4320, 12: 61440, 16: 522720}),
        (Leech(), 1 / 8, {32: 196560, 48: 16773120, 64: 398034000}),
    ],
)
def test_theta_series(known, unit, shells):
    last = max(shells)
    expected = [shells.get(norm, int(norm == 0)) for norm in range(last + 1)]
    assert theta_series(known.trellis, unit, last + 1) == expected


def test_bad_input_is_refused():
    trellis = E8().trellis
    for method in (trellis.shortest_path, trellis.log_partition):
        with pytest.raises(InputError, match="sections, cosets"):
            method(torch.zeros(3, 2, 8))
        with pytest.raises(InputError, match="float32"):
            method(torch.zeros(3, 8, 2, dtype=torch.int64))
    with pytest.raises(InputError, match="vectors of shape"):
        trellis.closest_point(torch.zeros(3))
    with pytest.raises(InputError, match="numba or torch"), force_backend("cuda"):
        pass
    with pytest.raises(InputError, match="at least one section"):
        Trellis([])
    for generators, message in [
        ([[1, 2], [2, 4]], "singular"),
        ([[1, 0, 0], [0, 1, 0]], "at least n rows"),
        ([[0.5, 0], [0, 1]], "integer"),
    ]:
        with pytest.raises(InputError, match=message):
            hermite_normal_form(generators)


def test_masses_of_many_states_are_held_by_few_threads(monkeypatch):
    ranges = []

    def recorded(kernel, count, grain, *arguments):
        ranges.append(count // grain)
        kernel(0, count, *arguments)

    recursions = sys.modules["ltc.lattices.trellis.recursions"]
    monkeypatch.setattr(recursions, "in_parallel", recorded)
    trellis, masses = Convolutional(4, 16).trellis, torch.zeros(5000, 16, 4)
    some = trellis.log_partition(masses)
    monkeypatch.setattr(recursions, "MOST_BYTES", 1)
    assert torch.equal(trellis.log_partition(masses), some)
    assert ranges[0] > ranges[1] == 1
