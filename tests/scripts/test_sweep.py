"""What the scripts have in common."""

import argparse
import importlib.util
from pathlib import Path

SPEC = importlib.util.spec_from_file_location(
    "sweep", Path(__file__).parents[2] / "scripts/sweep.py"
)
sweep = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(sweep)


def test_overrides_may_stand_behind_a_list_of_choices():
    parser = argparse.ArgumentParser()
    parser.add_argument("--recipes", nargs="+", choices=["speech", "physics"])
    arguments = ["--recipes", "speech", "physics", "source.root=DIR", "lmbda=1,2"]
    options, overrides = sweep.parsed(parser, arguments)
    assert options.recipes == ["speech", "physics"]
    assert overrides == ["source.root=DIR", "lmbda=1,2"]
