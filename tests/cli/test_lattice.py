"""`ltc-lattice`."""

import functools
import io
import json
import math

import pytest
from rich.console import Console

import ltc
from ltc.cli.lattice import _best, _card, _table, main
from ltc.lattices import E8, Leech, Zn
from ltc.lattices.card import best, card


@pytest.fixture
def run(call):
    return functools.partial(call, main)


def test_card_measures_the_literature(run, tmp_path):
    code, out, _ = run("quantizer=e8", "samples=100000", "--json")
    assert code == 0
    card = json.loads(out)
    assert card["kissing_number"] == 240
    error = card["second_moment_estimate"] - card["second_moment"]
    assert abs(error) < 4 * card["second_moment_stderr"]
    assert card["gap_to_sphere_bound"] > 0
    code, out, _ = run("quantizer=e8", "samples=1000")
    assert "240" in out
    assert not list(tmp_path.iterdir())  # it writes nothing


def test_table_of_all(run):
    code, out, _ = run("samples=1000", "--json")
    assert code == 0
    cards = json.loads(out)
    assert {"scalar", "e8", "leech"} <= {card["name"] for card in cards}
    assert all(card["second_moment_estimate"] > card["sphere_bound"] * 0.9 for card in cards)
    assert [card["dimension"] for card in best(cards)] == list(range(1, 25))
    assert {card["name"] for card in best(cards)} >= {"e8", "ae9", "d6_d6", "lambda23_dual"}


def test_bad_input(run):
    for arguments, expected in (
        (["quantizer=e88"], "did you mean e8"),
        (["quantizer=foo"], "there is no quantizer=foo"),
        (["samples=0"], "samples=0"),
        (["samples=1e15"], "expected an integer from 2 to 1000000000"),
        (["seed=abc"], "seed=abc; expected an integer"),
        (["foo=3"], "there are quantizer, samples, seed"),
    ):
        code, _, err = run(*arguments)
        assert code == 2
        assert expected in err
        assert "ecvq" not in err  # which is no lattice


def test_whole_floats_are_integers(run):
    code, out, _ = run("quantizer=a2", "samples=1e3", "--json")
    assert code == 0
    assert json.loads(out)["dimension"] == 2


def cards():
    known = [card(lattice, 1000) for lattice in (Zn(), E8(), Leech())]
    wide = {"name": "trellis_4096", "dimension": 65536, "second_moment": None}
    return [*known, {**known[0], **wide, "throughput": 1.2e9}]


@pytest.mark.parametrize("width", [80, 120])
def test_nothing_is_cut(width):
    console = Console(width=width, file=io.StringIO())
    found = cards()
    console.print(_table(found))
    console.print(_best(found))
    for one in found:
        console.print(_card(one))
    printed = console.file.getvalue()
    assert "…" not in printed
    assert all(len(line) <= width for line in printed.splitlines())
    for one in found:
        assert one["name"] in printed
        for key in ("second_moment", "second_moment_estimate", "second_moment_stderr"):
            assert one[key] is None or f"{one[key]:.6f}" in printed


def test_a_literature_that_only_estimates_is_said_to(run):
    code, out, _ = run("quantizer=leech", "samples=1000")
    assert code == 0
    assert "is an estimate, ± 0.000074" in " ".join(out.split())
    code, out, _ = run("quantizer=e8", "samples=1000")
    assert "estimate" not in out
    # At high rate the gap is that of the better estimate, less than the literature's.
    literature = 0.5 * math.log2(2 * math.pi * math.e * Leech.second_moment)
    assert literature - 3e-4 < Leech().high_rate_gap < literature


def test_version(run):
    assert run("--version") == (0, f"ltc-lattice {ltc.__version__}\n", "")
