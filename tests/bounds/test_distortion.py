"""Bounds under other distortions than squared error."""

import math

import numpy as np
import pytest
import scipy.stats
import torch

from ltc.bounds import (
    AlphabetProblem,
    GridProblem,
    ParametricRateDistortion,
    bound_by_blahut_arimoto,
    bound_for,
    bound_from_samples,
    grid_problem,
)
from ltc.bounds.alphabet_problem import Cloud, Path
from ltc.bounds.kernel import Kernel
from ltc.bounds.power_cost import Cost
from ltc.bounds.quadrature import scalar_density
from ltc.distortion import Absolute, Distortion, Squared
from ltc.errors import InputError
from ltc.sources import (
    Array,
    CorrelatedVector,
    IIDBernoulli,
    IIDGaussian,
    IIDLaplacian,
    IIDMixture,
    IIDUniform,
    Sawbridge,
)

pytestmark = pytest.mark.usefixtures("cache")


def test_no_grid_becomes_too_large_for_memory(monkeypatch):
    """Each spacing has four times the pairs of a node and an output of the one before it."""
    sizes = []

    class Counted(Kernel):
        def __init__(self, exponents):
            super().__init__(exponents)
            sizes.append(math.prod(exponents.shape))

    monkeypatch.setattr(grid_problem, "Kernel", Counted)
    monkeypatch.setattr(grid_problem, "MOST", 1e5)
    problem = GridProblem(scalar_density(scipy.stats.norm()), Cost(Absolute()), interior=True)
    solution = problem.solve(14.0, 1e-4)
    assert max(sizes) < 4e6
    distortion, rate = solution.points.T
    assert solution.lower < (rate + 14.0 * distortion).min() < math.inf


class OfTheUser(Distortion):
    """As somebody outside the package would write it: only the cost is asked for."""

    name = "mine"

    def __init__(self, power, above=1.0):
        self.power, self.above = power, above

    def cost(self, error):
        return torch.where(error > 0, self.above, 1.0) * error.abs() ** self.power

    def centre(self, values):
        raise AssertionError("a bound asks for the cost alone")


class Hamming(OfTheUser):
    def __init__(self):
        super().__init__(0)

    def cost(self, error):
        return (error != 0).to(error.dtype)


def entropy(p):
    return -p * math.log2(p) - (1 - p) * math.log2(1 - p)


@pytest.mark.parametrize("distortion", [0.5, 0.2])
def test_laplacian_in_closed_form(distortion):
    truth = math.log2(math.sqrt(0.5) / distortion)
    assert bound_for(IIDLaplacian(8), distortion=Absolute()).bracket(distortion) == pytest.approx(
        (truth, truth)
    )
    # What Blahut-Arimoto computes without knowing it, with and without Shannon's bound.
    lower, upper = bound_by_blahut_arimoto(IIDLaplacian(), 2e-3, Absolute()).bracket(distortion)
    assert lower <= truth + 1e-6
    assert truth <= upper + 1e-6
    assert upper - lower <= 2e-3


def test_laplacian_at_the_ends():
    bound = bound_for(IIDLaplacian(), distortion=Absolute())
    assert bound.bracket(0.0) == (math.inf, math.inf)
    assert bound.bracket(0.8) == (0.0, 0.0)  # the median alone costs less


@pytest.mark.parametrize("rate", [0.3, 1.5])
@pytest.mark.parametrize(
    "source", [IIDUniform(), IIDLaplacian(), IIDGaussian(), IIDMixture()], ids=lambda s: s.name
)
def test_the_methods_agree(source, rate):
    cost = Cost(Absolute())
    distortion = 0.76 * 2**-rate
    density = scalar_density(source.density)
    brackets = [
        ParametricRateDistortion(GridProblem(density, cost, interior), 2e-3).bracket(distortion)
        for interior in (True, False)
    ]
    shannon = (density.entropy - cost.entropy(distortion)) / math.log(2)
    for lower, upper in brackets:
        assert -1e-9 <= upper - lower <= 2e-3
        assert upper >= shannon - 1e-6
    assert max(b.lower for b in brackets) <= min(b.upper for b in brackets) + 1e-6
    assert brackets[0] != brackets[1]


def test_a_finer_bracket_is_inside_a_coarse_one():
    # A wrong quadrature would show: nodes, outputs and panels differ.
    density = scalar_density(IIDUniform.density)
    coarse, fine = (
        ParametricRateDistortion(GridProblem(density, Cost(Absolute()), True), t).bracket(0.3)
        for t in (1e-2, 2e-4)
    )
    assert coarse.lower <= fine.lower + 1e-6
    assert fine.upper <= coarse.upper + 1e-6


@pytest.mark.parametrize("method", [bound_for, bound_by_blahut_arimoto])
def test_two_independent_scalars_need_what_one_needs(method):
    # The product kernel on the plane: a diagonal covariance.
    distortion = 0.5
    scalar = bound_for(IIDGaussian(), distortion=Absolute()).bracket(distortion)
    plane = method(CorrelatedVector(2, 0.0), 1e-2, Absolute()).bracket(distortion)
    assert plane.lower <= scalar.upper
    assert scalar.lower <= plane.upper
    assert plane.upper - plane.lower <= 1e-2


def test_correlation_helps():
    free, correlated = (
        bound_for(CorrelatedVector(2, c), 1e-2, Absolute()).bracket(0.5) for c in (0.0, 0.9)
    )
    assert correlated.upper < free.lower - 0.2


@pytest.mark.parametrize("p", [0.5, 0.2])
@pytest.mark.parametrize("measure", [Absolute(), Hamming()], ids=lambda d: d.name)
def test_bits_under_absolute_error(p, measure):
    # Between 0 and 1 nothing is gained: absolute error is Hamming's.
    source = IIDBernoulli(1, p)
    for bound in (bound_for, bound_by_blahut_arimoto):
        for distortion in (0.02, 0.1):
            truth = entropy(p) - entropy(distortion)
            lower, upper = bound(source, distortion=measure).bracket(distortion)
            assert lower - 1e-9 <= truth <= upper + 1e-9
            assert upper - lower <= 1e-3
        assert bound(source, distortion=measure).bracket(0.0) == pytest.approx((entropy(p),) * 2)


@pytest.mark.parametrize(
    "measure", [OfTheUser(1.5), OfTheUser(1, 3.0), OfTheUser(3)], ids=lambda d: type(d).__name__
)
def test_a_distortion_of_the_user(measure):
    by = {
        bound: bound(IIDGaussian(), 2e-3, measure).bracket(0.3)
        for bound in (bound_for, bound_by_blahut_arimoto)
    }
    lower, upper = (
        f(b) for f, b in ((max, [b[0] for b in by.values()]), (min, [b[1] for b in by.values()]))
    )
    assert 0 < lower <= upper + 1e-6
    bits = bound_for(IIDBernoulli(1, 0.3), distortion=measure)
    # An output of 0 or 1 pays as it does under Hamming's, or up to three times as much.
    assert bits.bracket(0.1).lower <= entropy(0.3) - entropy(0.1 / 3)
    assert bits.bracket(0.1).upper - bits.bracket(0.1).lower <= 1e-3


def test_the_scale_of_a_cost_is_that_of_the_distortion():
    class Double(OfTheUser):
        def cost(self, error):
            return 2 * super().cost(error)

    for power in (1, 2):
        once, twice = (
            bound_for(IIDUniform(), 2e-3, measure).bracket(distortion)
            for measure, distortion in ((OfTheUser(power), 0.1), (Double(power), 0.2))
        )
        assert max(once.lower, twice.lower) <= min(once.upper, twice.upper)


@pytest.mark.parametrize(
    "measure", [Squared(), Absolute(), OfTheUser(1.5, 2.0)], ids=lambda d: type(d).__name__
)
def test_the_most_entropy_that_an_error_can_have(measure):
    cost = Cost(measure)
    slope = 1.7
    error = np.linspace(-60, 60, 2_000_001)
    density = np.exp(-slope * cost(error))
    density /= density.sum()
    mean = float(density @ cost(error))
    found = scipy.stats.entropy(density) + math.log(error[1] - error[0])
    assert cost.entropy(mean) == pytest.approx(found, abs=1e-5)


@pytest.mark.parametrize(
    "measure", [Absolute(), OfTheUser(1.5, 2.0)], ids=lambda d: type(d).__name__
)
def test_paths_are_clouds(measure):
    rng = torch.Generator().manual_seed(0)
    x = (torch.rand(50, 9, generator=rng) < 0.1).double().cumsum(0)
    y = torch.randn(7, 9, generator=rng, dtype=torch.float64)
    weights = torch.randn(50, generator=rng, dtype=torch.float64)
    path, cloud = (kind(x, Cost(measure)) for kind in (Path, Cloud))
    direct = measure.cost(x[:, None] - y).sum(-1)
    for found in (path, cloud):
        assert found.distortions(y).allclose(direct)
    for one, other in zip(
        path.kernel_sums(weights, y, 0.1), cloud.kernel_sums(weights, y, 0.1), strict=True
    ):
        assert one.allclose(other)
    c, moved = cloud.kernel_sums(weights, y, 0.1)
    assert (cloud.kernel_sums(weights, moved, 0.1)[0] >= c - 1e-9).all()


def test_sawbridge():
    # As under squared error: each sample is off by one or by nothing.
    brackets = [
        bound_for(Sawbridge(16), distortion=d).bracket(0.05) for d in (Squared(), Absolute())
    ]
    assert brackets[0].lower < brackets[1].upper  # between the two, squared error pays less
    assert 0 < brackets[1].upper - brackets[1].lower < 2e-3


def test_distortions_are_kept_apart_in_the_cache():
    problems = [
        AlphabetProblem([[0.0], [1.0]], [0.5, 0.5], Cost(d))
        for d in (Squared(), Absolute(), OfTheUser(1), OfTheUser(1, 2.0))
    ]
    keys = [problem.key for problem in problems]
    assert keys[1] == keys[2]  # the same cost by another name
    assert all(keys[i] != keys[j] for i, j in ((0, 1), (1, 3), (0, 3)))


def test_what_there_is_not(tmp_path):
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).normal(size=(100, 2)))
    rows = Array(tmp_path / "rows.npy")
    assert bound_for(rows, distortion=Absolute()) is None
    assert bound_for(rows, distortion=Absolute(), from_samples=True) is None
    assert bound_for(CorrelatedVector(16, 0.9), distortion=Absolute()) is None
    with pytest.raises(InputError, match="squared error only, not under distortion=absolute"):
        bound_from_samples(rows, distortion=Absolute())

    class Capped(OfTheUser):
        def cost(self, error):
            return error.abs().clamp_max(1.5)

    with pytest.raises(InputError, match="distortion=mine costs"):
        bound_for(IIDGaussian(), distortion=Capped(1))
