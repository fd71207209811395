"""The model of an endless trellis, against eigenvectors and against long finite trellises."""

import sys

import numpy as np
import pytest
import torch

from ltc.errors import InputError
from ltc.lattices import Convolutional, Section
from ltc.lattices.trellis import stationary

small = pytest.mark.parametrize("states", [4, 8])


def log_masses(spread=2.0):
    return spread * np.random.default_rng(0).standard_normal(4)


def branch_matrix(section, mass):
    """The sum of the masses of all branches from each state (row) to each state."""
    matrix = np.zeros(2 * (len(section.previous),))
    for after, row in enumerate(section.previous):
        for branch, before in enumerate(row):
            matrix[before, after] += mass[section.coset[after, branch]]
    return matrix


def leading(matrix):
    """The eigenvalue of greatest magnitude and its right eigenvector, of greatest entry one."""
    values, vectors = np.linalg.eig(matrix)
    best = np.abs(values).argmax()
    vector = vectors[:, best].real
    return values[best].real, vector / vector[np.abs(vector).argmax()]


def branch_probabilities(section, model, log_mass):
    """The probability of each branch given the state that it leaves."""
    b, before = model.log_completions, model.log_growth + model.log_completions
    log_ratio = b[..., :, None] - before[..., section.previous]
    return np.exp(log_mass[..., section.coset] + log_ratio)


@small
@pytest.mark.parametrize("spread", [0.5, 2.0, 8.0])
def test_against_the_eigenvector(states, spread):
    section = Convolutional(states).section
    log_mass = log_masses(spread)
    eigenvalue, vector = leading(branch_matrix(section, np.exp(log_mass)))
    model = stationary(section, log_mass)
    np.testing.assert_allclose(np.exp(model.log_growth), eigenvalue, rtol=1e-10)
    np.testing.assert_allclose(np.exp(model.log_completions), vector, rtol=1e-8)


@pytest.mark.parametrize("states", [4, 8, 256])
def test_probabilities_of_the_eigenvector_sum_to_one(states):
    section = Convolutional(states).section
    log_mass = np.stack([log_masses(), log_masses(100.0), [-27.0, -12.0, 0.0, -3.0]])
    model = stationary(section, log_mass)
    for probability in branch_probabilities(section, model, log_mass):
        sums = np.bincount(section.previous.ravel(), probability.ravel())
        np.testing.assert_allclose(sums, 1, atol=1e-11)


@small
def test_against_the_middle_of_a_long_trellis(states):
    lattice, log_mass = Convolutional(states), log_masses()
    trellis = lattice.of_length(400).trellis
    model = stationary(lattice.section, log_mass)
    # The backward pass over the second half: the masses of all completions.
    completions = np.ones(states)
    for section in trellis.sections[:200:-1]:
        completions = branch_matrix(section, np.exp(log_mass)) @ completions
        completions /= completions.max()
    np.testing.assert_allclose(np.exp(model.log_completions), completions, rtol=1e-10)
    # The posterior of the cosets in the middle: the chain's branches in the long run.
    tables = torch.from_numpy(np.tile(log_mass, (400, 1))).requires_grad_()
    (posterior,) = torch.autograd.grad(trellis.log_partition(tables), tables)
    chain, share = np.zeros((states, states)), branch_probabilities(section, model, log_mass)
    np.add.at(chain, (section.previous, np.arange(states)[:, None]), share)
    _, visits = leading(chain.T)
    cosets = np.bincount(
        section.coset.ravel(), ((visits / visits.sum())[section.previous] * share).ravel()
    )
    np.testing.assert_allclose(posterior[200], cosets, rtol=1e-9)


@small
def test_one_more_section_multiplies_by_the_eigenvalue(states):
    lattice, log_mass = Convolutional(states), log_masses()
    shorter, longer = (
        float(
            lattice.of_length(n).trellis.log_partition(torch.from_numpy(np.tile(log_mass, (n, 1))))
        )
        for n in (300, 301)
    )
    assert longer - shorter == pytest.approx(
        float(stationary(lattice.section, log_mass).log_growth.mean()), abs=1e-10
    )


def test_a_circle_of_two_states():
    turn = Section(np.array([[1], [0]]), np.array([[0], [1]]), np.array([0.0, 0.5]), 1.0)
    model = stationary(turn, [0.0, 1.0])
    np.testing.assert_allclose(model.log_growth, 0.5, atol=1e-12)
    np.testing.assert_allclose(model.log_completions, [0.0, -0.5], atol=1e-12)


def test_tables_that_converge_at_other_speeds_are_those_found_alone():
    section = Convolutional(8).section
    masses = np.stack([log_masses(spread) for spread in (0.5, 8.0, 0.0, 2.0)]).reshape(2, 2, 4)
    model = stationary(section, masses)
    assert model.log_completions.shape == (2, 2, 8)
    for place in np.ndindex(2, 2):
        alone = stationary(section, masses[place])
        np.testing.assert_array_equal(model.log_growth[place], alone.log_growth)
        np.testing.assert_array_equal(model.log_completions[place], alone.log_completions)


def test_any_length_is_one_path_of_shared_sections():
    lattice = Convolutional(8, 16)
    long = lattice.of_length(20_000)
    assert long.dimension == long.trellis.dimension == len(long.trellis.sections) == 20_000
    assert len({id(section) for section in long.trellis.sections}) == 4
    assert lattice.of_length(16).trellis is lattice.trellis
    assert lattice.of_length(1).trellis.states == [1, 2]
    # The path goes on: a point of the long code begins with a point of the short one.
    points = long.closest_point(torch.randn(1, 20_000))
    start = points[:, :50]
    assert torch.equal(lattice.of_length(50).closest_point(start), start)


def test_bad_input_is_refused():
    lattice = Convolutional(4)
    for length in (0, -1, 2.0):
        with pytest.raises(InputError, match="positive integer"):
            lattice.of_length(length)
    with pytest.raises(InputError, match="finite"):
        stationary(lattice.section, [0, 0, 0, -np.inf])
    with pytest.raises(InputError, match=r"\(\.\.\., 4\)"):
        stationary(lattice.section, [0, 0, 0])
    with pytest.raises(InputError, match="repeats"):
        stationary(lattice.trellis.sections[0], np.zeros(4))
    apart = Section(np.array([[0], [1]]), np.array([[0], [1]]), np.array([0.0, 0.5]), 1.0)
    with pytest.raises(InputError, match="reached from each other"):
        stationary(apart, [0.0, 1.0])


def test_what_does_not_converge_is_still_a_model(monkeypatch):
    """With 64 states and masses of e^-100 it would take millions of steps."""
    monkeypatch.setattr(sys.modules["ltc.lattices.trellis.stationary"], "MOST_WORK", 20_000)
    section = Convolutional(64).section
    log_mass = -100 * np.random.default_rng(0).random(4)
    model = stationary(section, log_mass)
    assert np.ptp(model.log_growth) > 1e-3
    probability = branch_probabilities(section, model, log_mass)
    sums = np.bincount(section.previous.ravel(), probability.ravel())
    np.testing.assert_allclose(sums, 1, atol=1e-11)
