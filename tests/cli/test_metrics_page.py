"""The page of `metrics.json` describes what runs write."""

import json
import re
from pathlib import Path

import pytest

from ltc.cli import eval as evaluate
from ltc.cli import train
from ltc.runs.evaluate import SCHEMA

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"
OF_OTHERS = {"bits_per_pixel", "psnr_db", "recordings", "perception"}
QUICK = ["steps=5", "evaluate.samples=2000", "bound=none", "logger=csv", "trainer=cpu"]


@pytest.fixture(scope="module")
def described():
    """Return the keys in the first column of the page's table, `group.*` among them."""
    rows = re.findall(r"^\| (`.+?`) \|", PAGE.read_text(encoding="utf-8"), re.M)
    return {key for row in rows for key in re.findall(r"`(.+?)`", row)}


@pytest.mark.parametrize("quantizer", ["e8", "ecvq"])
def test_every_key_of_a_run_is_described_and_every_described_key_written(
    call, tmp_path, described, quantizer
):
    run, again = tmp_path / "run", tmp_path / "again"
    arguments = [f"quantizer={quantizer}", "lmbda=4", "batch=200", f"hydra.run.dir={run}"]
    assert call(train.main, *QUICK, *arguments)[0] == 0
    assert call(evaluate.main, f"ckpt={run}", f"--out={again}")[0] == 0
    found = [json.loads((folder / "metrics.json").read_text()) for folder in (run, again)]
    plain = {key for key in described if not key.endswith(".*")}
    groups = {key.removesuffix("*") for key in described - plain}
    for metrics, own in zip(found, ({"ckpt"}, set()), strict=True):
        assert {key for key in metrics if "." not in key} == plain - own - OF_OTHERS
        dotted = {key for key in metrics if "." in key}
        assert {key.partition(".")[0] + "." for key in dotted} <= groups
        # What applies to every run is never null.
        assert None not in [metrics[key] for key in ("rate", "distortion", "samples", "version")]
    assert found[0]["entropy"] == (None if quantizer == "ecvq" else "exact")


def test_the_page_names_the_version_of_the_schema():
    (version,) = re.findall(r"schema has version (\d+)", PAGE.read_text(encoding="utf-8"))
    assert int(version) == SCHEMA
