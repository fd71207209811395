"""The disk cache of bounds: one entry for each distribution, whole in spite of many processes."""

import subprocess
import sys

import numpy as np
import pytest
import scipy.stats

from ltc.bounds import AlphabetProblem, ParametricRateDistortion, bound_for, bound_from_samples
from ltc.sources import CorrelatedVector, IIDUniform

pytestmark = pytest.mark.usefixtures("cache")


class StudentT(IIDUniform):
    """As somebody outside the package would write it."""

    name = "student_t"

    def __init__(self, nu):
        super().__init__()
        self.density = scipy.stats.t(nu, scale=((nu - 2) / nu) ** 0.5)


def test_distributions_of_one_name_are_kept_apart(tmp_path):
    # Both have unit variance; that of heavier tails is easier to code.
    first = {nu: bound_for(StudentT(nu)).bracket(0.1) for nu in (3, 30)}
    assert len(list((tmp_path / "bounds").iterdir())) == 2
    assert first[3].upper < 1.4
    assert first[30].lower > 1.6
    again = {nu: bound_for(StudentT(nu)).bracket(0.1) for nu in (30, 3)}
    assert again == first


def test_a_cache_that_cannot_be_used_costs_no_result(tmp_path, monkeypatch, caplog):
    first = bound_for(StudentT(3)).bracket(0.1)
    (file,) = (tmp_path / "bounds").iterdir()
    np.savez(file, lines=np.zeros((2, 2)), points=np.zeros((2, 2)))
    assert bound_for(StudentT(3)).bracket(0.1) == first
    (tmp_path / "a_file").touch()
    monkeypatch.setenv("LTC_CACHE", str(tmp_path / "a_file"))
    assert bound_for(StudentT(3)).bracket(0.1) == first
    assert caplog.text.count("is not kept for the next time") == 1


def test_samples_are_kept_apart_by_their_rows():
    class Named(CorrelatedVector):
        name = "named"

    found = []
    for correlation in (0.0, 0.99):
        bound = bound_from_samples(Named(2, correlation), components=2, count=2000)
        found.append(bound.bracket(0.1).upper)
    assert found[0] > found[1] + 0.3


def test_samples_come_from_the_cache_the_second_time():
    messages = []
    brackets = [
        bound_from_samples(
            IIDUniform(2), components=2, count=400, progress=lambda *m: messages.append(m)
        ).bracket(0.3)
        for _ in range(2)
    ]
    assert brackets[0] == brackets[1]
    assert sum(share == 1.0 for _, share in messages) == 1


def test_many_processes_share_the_cache(tmp_path):
    # Each writes the file of the same bound several times, while the others read it.
    code = (
        "import numpy as np; from ltc.bounds import *; "
        "b = ParametricRateDistortion(AlphabetProblem([[0.0], [1.0]], [0.5, 0.5]), 1e-4); "
        "print([b.bracket(float(d)) for d in np.linspace(0.02, 0.24, 12)])"
    )
    runs = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert all("Bracket" in run.communicate()[0] and run.returncode == 0 for run in runs)
    (file,) = (tmp_path / "bounds").iterdir()  # and no temporary file is left
    with np.load(file) as data:
        assert len(data["lines"]) == len(data["points"]) >= 5
    # A file that was cut off is as good as none.
    file.write_bytes(file.read_bytes()[:100])
    problem = AlphabetProblem([[0.0], [1.0]], [0.5, 0.5])
    fresh = ParametricRateDistortion(problem)
    assert not fresh.solutions
    assert fresh.bracket(0.1).lower < 1
