"""Discrete sources against closed forms, and product kernels against whole matrices."""

import itertools
import subprocess
import sys

import numpy as np
import pytest
import scipy.stats

from ltc.bounds import CertifiedRateDistortion, DiscreteProblem, GridProblem
from ltc.bounds.closed import bernoulli_hamming, laplacian_absolute, uniform_absolute


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LTC_CACHE", str(tmp_path))


@pytest.mark.parametrize("probability", [0.5, 0.2])
@pytest.mark.parametrize("distortion", [0.001, 0.05, 0.15])
def test_bernoulli_under_hamming(probability, distortion):
    problem = DiscreteProblem([1 - probability, probability], 1 - np.eye(2))
    lower, upper = CertifiedRateDistortion(problem).bracket(distortion)
    assert lower - 1e-12 <= bernoulli_hamming(distortion, probability) <= upper + 1e-12
    assert upper - lower <= 5e-4


@pytest.mark.parametrize("loss", ["squared", "absolute"])
@pytest.mark.parametrize("d", [1, 2, 3])
def test_grid_is_the_same_as_the_whole_matrix(d, loss):
    rng = np.random.default_rng(d)
    sizes = ((12,), (4, 5), (3, 2, 3))[d - 1]
    x = [np.sort(rng.normal(size=n)) for n in sizes]
    y = [np.sort(rng.normal(size=n + 1)) for n in sizes]
    p = rng.dirichlet(np.ones(np.prod(sizes))).reshape(sizes)
    letters, outputs = (np.array(list(itertools.product(*axes))) for axes in (x, y))
    difference = np.abs(letters[:, None] - outputs)
    matrix = (difference**2 if loss == "squared" else difference).sum(2)
    grid, whole = GridProblem(p, x, y, loss), DiscreteProblem(p.ravel(), matrix)
    for name in ("d_min", "d_max"):
        assert getattr(grid, name) == pytest.approx(getattr(whole, name))
    for slope in (0.7, 3.0, 20.0):
        one, other = grid.solve(slope, 1e-6), whole.solve(slope, 1e-6)
        assert one.lower == pytest.approx(other.lower, abs=2e-6)
        reached = one.middle @ [slope, 1.0]
        assert one.lower - 1e-12 <= reached <= one.lower + 2e-6


@pytest.mark.parametrize(
    ("density", "closed", "ends"),
    [
        (scipy.stats.laplace(), laplacian_absolute, 16),
        (scipy.stats.uniform(-1, 2), uniform_absolute, 1),
    ],
    ids=["laplacian", "uniform"],
)
@pytest.mark.parametrize("share", [0.7, 0.2])
def test_absolute_error(density, closed, ends, share):
    # Rounding the source to the middles of cells of width h moves every distortion by at most
    # h / 2, so that R(D + h / 2) <= R of the rounded source at D <= R(D - h / 2).
    edges = np.linspace(-ends, ends, 301)
    p = np.diff(density.cdf(edges))
    problem = GridProblem(p / p.sum(), [(edges[1:] + edges[:-1]) / 2], loss="absolute")
    half = (edges[1] - edges[0]) / 2
    distortion = share * problem.d_max
    lower, upper = CertifiedRateDistortion(problem, 1e-3).bracket(distortion)
    assert closed(distortion + half) - 1e-6 <= upper <= lower + 1e-3
    assert lower <= closed(distortion - half) + 1e-6


def test_many_processes_share_the_cache(tmp_path):
    # Each writes the file of the same bound several times, while the others read it.
    code = (
        "import numpy as np; from ltc.bounds import *; "
        "b = CertifiedRateDistortion(DiscreteProblem([0.5, 0.5], [[0, 1], [1, 0]]), 1e-4); "
        "print([b.bracket(float(d)) for d in np.linspace(0.02, 0.4, 12)])"
    )
    runs = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert all("Bracket" in run.communicate()[0] and run.returncode == 0 for run in runs)
    (file,) = (tmp_path / "bounds").iterdir()  # and no temporary file is left
    with np.load(file) as data:
        assert len(data["lines"]) == len(data["points"]) >= 12
    # A file that was cut off is as good as none.
    file.write_bytes(file.read_bytes()[:100])
    problem = DiscreteProblem([0.5, 0.5], [[0, 1], [1, 0]])
    lower, upper = CertifiedRateDistortion(problem).bracket(0.11)
    assert lower <= bernoulli_hamming(0.11) <= upper
