"""`ltc-bound`."""

import csv
import math

import numpy as np
import pytest

from ltc.baselines import BASELINES
from ltc.cli import bound as command
from ltc.errors import InputError


def table(tmp_path, name="curve.csv"):
    (path,) = tmp_path.rglob(name)
    return list(csv.DictReader(path.open(encoding="utf-8")))


@pytest.mark.parametrize("bound", ["best", "blahut_arimoto"])
def test_gaussian_curve_brackets_the_closed_form(run, tmp_path, bound):
    code, output = run("source=iid_gaussian", "points=5", "tol=2e-3", f"bound={bound}")
    assert code == 0
    assert "iid_gaussian" in output
    assert "Blahut-Arimoto" in output  # the caption says what ran, and what it equals
    rows = table(tmp_path)
    assert len(rows) == 5
    for row in rows:
        exact = 0.5 * math.log2(1 / float(row["distortion"]))
        lower, upper = float(row["rate_lower"]), float(row["rate_upper"])
        assert lower <= exact + 1e-9
        assert exact - 1e-9 <= upper <= lower + 2e-3
    (path,) = tmp_path.rglob("curve.csv")
    assert {path.suffix for path in path.parent.glob("curve.*")} == {".csv", ".png", ".svg"}


def test_no_column_stands_in_the_file_twice(run, tmp_path):
    code, _ = run("source=iid_laplacian", "points=3")
    assert code == 0
    columns = list(table(tmp_path)[0])
    assert columns[:4] == ["distortion", "snr_db", "rate_lower", "rate_upper"]
    assert columns[4:] == ["within tol", "note"]


def test_the_defaults_of_the_banana_are_within_the_tolerance(run, tmp_path):
    code, output = run("source=banana", "points=4", "rates=[3,5]")  # where the upper end leapt
    assert code == 0
    for row in table(tmp_path):
        assert 0 <= float(row["rate_upper"]) - float(row["rate_lower"]) <= 1e-3
        assert row["within tol"] == "yes"
    assert "not within" not in output


def test_points_outside_the_tolerance_say_so_and_why(run, tmp_path):
    np.save("rows.npy", np.random.default_rng(0).laplace(size=(3000, 3)))
    arguments = ("source=array", "source.path=rows.npy", "points=2", "rates=[0.5,1]")
    code, output = run(*arguments, "bound=auto")
    assert code == 0
    reason = "not within 0.001 bits, one end is missing: "
    assert reason in " ".join(output.split())
    assert "bound=samples" in output
    for row in table(tmp_path):
        assert row["within tol"] == "no"
        assert row["note"].startswith(reason)
    (path,) = tmp_path.rglob("curve.svg")
    assert "<!-- not within 0.001" in path.read_text(encoding="utf-8")


def test_baselines_stand_beside_the_bound(run, tmp_path):
    code, output = run("source=iid_uniform", "points=3", "rates=[0.5,2]", "bound.baselines=[ecsq]")
    assert code == 0
    assert "ecsq" in output
    (path,) = tmp_path.rglob("baselines.csv")
    rows = list(csv.DictReader(path.open()))
    assert [row["name"] for row in rows] == ["ecsq"] * 3
    shannon = [0.5 * math.log2(12 / (2 * math.pi * math.e) / float(r["distortion"])) for r in rows]
    assert all(float(row["rate"]) > known for row, known in zip(rows, shannon, strict=True))


@pytest.mark.parametrize("ending", [KeyboardInterrupt, "baselines", "R(D)"])
def test_what_is_known_is_kept_when_the_rest_ends(run, tmp_path, monkeypatch, ending):
    calls = []

    def ends(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt if ending is KeyboardInterrupt else InputError(ending)
        return original(*arguments)

    if ending == "R(D)":
        original = command._row
        monkeypatch.setattr(command, "_row", ends)
    else:
        original = BASELINES["ecsq"]
        monkeypatch.setitem(BASELINES, "ecsq", ends)
    code, output = run("points=4", "bound.baselines=[ecsq]")
    assert code == {KeyboardInterrupt: 130, "baselines": 0, "R(D)": 2}[ending], output
    assert len(table(tmp_path)) == (2 if ending == "R(D)" else 4)
    if ending != "R(D)":
        assert len(table(tmp_path, "baselines.csv")) == 2


def test_samples_have_three_limits(run, tmp_path):
    np.save("rows.npy", np.random.default_rng(0).laplace(size=(3000, 3)))
    code, _ = run("source=array", "source.path=rows.npy", "points=2", "rates=[0.5,1]")
    assert code == 0
    for row in table(tmp_path):
        upper = min(float(row["≤ mixture upper limit"]), float(row["≤ Gaussian upper bound"]))
        assert 0 <= float(row["rate_lower"]) < upper == float(row["rate_upper"])
        assert row["note"] == "not within 0.001 bits: 300 held-out rows say no more"
    assert list(row)[:4] == ["distortion", "snr_db", "rate_lower", "rate_upper"]


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("points=1", "points=1"),
        ("tol=0", "tol=0"),
        ("rates=[2,1]", "the lower first"),
        ("rates=[0,inf]", "the lower first"),
        ("bound=none", "bound=auto"),
        ("transform=linear", "R(D) does not depend on a transform; leave it out"),
        ("bound.baselines=[ecsd]", "expected a list of ecsq, ecvq"),
        ("bound.baselines=ecsq", "expected a list of ecsq, ecvq"),
        ("source=bananna", "did you mean banana"),
        ("source.dimension=x", "source.dimension=x; expected a positive integer"),
        ("source=images", "source=images chooses a quantizer, too: it is for ltc-train"),
        ("lmbda=3", "no key lmbda; there are bound, distortion, eps, n, points, rates, seed, "),
    ],
)
def test_bad_input(run, argument, expected):
    code, output = run(argument)
    assert code == 2
    assert expected in output


def test_baselines_of_a_discrete_source_may_have_no_distortion(run, tmp_path):
    code, output = run("source=iid_bernoulli", "points=3", "bound.baselines=[ecsq]")
    assert code == 0, output
    assert list(tmp_path.rglob("baselines.csv"))


def test_too_few_samples_are_named(run):
    code, output = run("bound=samples", "bound.count=3")
    assert (code, "bound.count=3; expected an integer of at least 40" in output) == (2, True)


@pytest.mark.parametrize("bad", ["rates=[1]", "rates=3", "bound.baselines=[[a]]"])
def test_bad_lists(run, bad):
    code, output = run("points=3", bad)
    assert code == 2
    assert "Traceback" not in output


def test_a_curve_is_never_replaced(run, tmp_path):
    assert run("points=2", "hydra.run.dir=same")[0] == 0
    before = (tmp_path / "same" / "curve.csv").read_bytes()
    code, output = run("points=3", "hydra.run.dir=same")
    assert code == 2
    assert "holds a run already" in output
    assert (tmp_path / "same" / "curve.csv").read_bytes() == before


def test_absolute_error_is_drawn_without_decibels(run, tmp_path):
    code, output = run("source=iid_laplacian", "distortion=absolute", "points=3")
    assert code == 0, output
    assert "SNR" not in output
    for row in table(tmp_path):
        exact = max(0.0, math.log2(math.sqrt(0.5) / float(row["distortion"])))
        assert float(row["rate_lower"]) == float(row["rate_upper"]) == pytest.approx(exact)
    assert "snr_db" not in row


def test_a_bound_that_there_is_not(run, tmp_path):
    np.save("rows.npy", np.random.default_rng(0).normal(size=(300, 2)))
    rows = ("source=array", "source.path=rows.npy", "distortion=absolute")
    assert "no bound of source=array is known under distortion=absolute" in run(*rows)[1]
    for arguments in (
        rows,
        (*rows, "bound=samples"),
        ("distortion=absolute", "bound.baselines=[ecsq]"),
    ):
        code, output = run(*arguments)
        assert code == 2
    assert "distortion=squared only" in output


@pytest.mark.parametrize(("eps", "quantile"), [(0.1, 1.2815516), (1e-300, 37.0471)])  # tables
def test_blocks_of_fixed_size_have_a_column_and_a_curve(run, tmp_path, eps, quantile):
    code, output = run("n=400", f"eps={eps:g}", "points=3", "rates=[0,2]")
    assert code == 0, output
    zero, *rows = table(tmp_path)
    assert (zero["dispersion"], zero["normal approximation"]) == ("", "")  # R(D) is zero there
    for row in rows:
        penalty = math.sqrt(0.5 / 400) * quantile / math.log(2)
        expected = float(row["rate_lower"]) + penalty
        assert float(row["normal approximation"]) == pytest.approx(expected)
    (path,) = tmp_path.rglob("curve.svg")
    assert f"normal approximation, n=400 eps={eps:g}" in path.read_text(encoding="utf-8")


def test_bits_that_all_cost_the_same_need_no_more_in_blocks(run, tmp_path):
    arguments = ("source=iid_bernoulli", "distortion=absolute", "n=100", "points=2")
    code, output = run(*arguments)  # of an even bit the dispersion is 0
    assert code == 0, output
    for row in table(tmp_path):
        assert float(row["dispersion"]) < 1e-6
        rate = float(row["normal approximation"])
        assert float(row["rate_lower"]) <= rate <= float(row["rate_upper"])
        assert rate > 0


def test_blocks_of_fixed_size_need_more_than_samples(run, tmp_path):
    np.save("rows.npy", np.random.default_rng(0).laplace(size=(3000, 3)))
    for bound in ("auto", "best"):
        code, output = run("source=array", "source.path=rows.npy", "n=2048", f"bound={bound}")
        assert (code, "leave n out" in " ".join(output.split())) == (2, True)
    for bad, expected in [
        (["n=0"], "n=0; expected an integer from 1 to 1000000000000"),
        (["rates=[1,1000]"], "expected two rates up to 100, the lower first"),
        (["n=9", "eps=1"], "eps=1; expected"),
        (["eps=0.1"], "give n=SAMPLES too"),
        (["points=1e9"], "expected an integer from 2 to 10000"),
    ]:
        code, output = run(*bad)
        assert (code, expected in output) == (2, True)
