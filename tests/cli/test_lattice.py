"""`ltc-lattice`."""

import json
import sys

import pytest

import ltc
from ltc.cli.command import console
from ltc.cli.lattice import main


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "")

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["ltc-lattice", *arguments])
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


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


def test_bad_input(run):
    for arguments, expected in (
        (["quantizer=e9"], "did you mean e8"),
        (["samples=0"], "samples=0"),
    ):
        code, _, err = run(*arguments)
        assert code == 2
        assert expected in err
        assert "ecvq" not in err


def test_the_table_is_whole_at_80_columns(run, monkeypatch):
    monkeypatch.setattr(console, "width", 80)
    code, out, _ = run("samples=100")
    assert code == 0
    assert "trellis_4096" in out
    assert "…" not in out
    (scalar,) = [line for line in out.splitlines() if "scalar " in line and "1 " in line]
    assert "0.0" in scalar  # near 1/12
    assert max(map(len, out.splitlines())) <= 80


def test_version(run):
    assert run("--version") == (0, f"ltc-lattice {ltc.__version__}\n", "")


def test_leech_says_why_it_differs_from_the_literature(run):
    code, out, _ = run("quantizer=leech", "samples=1000")
    assert code == 0
    assert "0.000074" in out
    assert "upper bound" in " ".join(out.split())
