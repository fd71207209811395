"""Runs with a dither, from the command line's configuration to their metrics."""

import numpy as np
import pytest

import ltc
from ltc.bounds import GaussianPerception
from ltc.errors import InputError

QUICK = [
    "refine.samples=4000",
    "logger=csv",
    "trainer=cpu",
    "evaluate.samples=100000",
    "entropy.components=2",
]


@pytest.mark.parametrize(
    ("settings", "common", "largest"),
    [
        (["quantizer.dither=shared", "realism=10", "steps=150"], float("inf"), 0.3),
        (
            ["quantizer.dither=shared", "quantizer.shared_bits=1", "realism=10", "steps=150"],
            1.0,
            0.3,
        ),
        (["quantizer.dither=private", "steps=100"], 0.0, 0.3),
    ],
)
def test_a_run_is_compared_with_the_function_of_its_randomness(tmp_path, settings, common, largest):
    found = ltc.train("quantizer=scalar", "lmbda=8", *QUICK, *settings, folder=tmp_path / "run")
    metrics = found.metrics
    assert 0 < metrics["perception"] < 0.01
    bound = GaussianPerception(1.0, metrics["perception"], common)
    lower, upper = bound.bracket(metrics["distortion"])
    assert [metrics[f"bound_rate_{end}"] for end in ("lower", "upper")] == [lower, upper]
    assert 0.1 < metrics["rate"] - upper < largest
    assert (metrics["bitstream_rate"] is None) == (common > 0)
    if common > 0:
        with pytest.raises(InputError, match="has no code"):
            found.code.state()
        with pytest.raises(InputError, match="dither=shared has no bitstream; use"):
            found.compress(np.zeros((4, 1), np.float32))
    else:
        numbers = np.linspace(-1, 1, 64, dtype=np.float32)[:, None]
        once, again = (found.decompress(found.compress(numbers)) for _ in range(2))
        assert np.array_equal(once, again)
    again = ltc.load(tmp_path / "run")
    assert again.run.measure(again.run.device).more["perception"] == metrics["perception"]


def test_arrays_of_images_are_coded_with_a_shared_dither(tmp_path):
    """Strokes on a dark ground, 8 x 8: as MNIST is."""
    rng = np.random.default_rng(0)
    rows = np.zeros((100, 8, 8), np.float32)
    for row, at, upright in zip(rows, rng.integers(1, 7, 100), rng.random(100) < 0.5, strict=True):
        row[at - 1 : at + 1, 1:7] = 1
        row[:] = row.T if upright else row
    np.save(tmp_path / "digits.npy", rows.reshape(100, -1))
    given = ["source=array", f"source.path={tmp_path / 'digits.npy'}", "quantizer=e8", "lmbda=4"]
    dithered = ["quantizer.dither=shared", "realism=20", "steps=10", "batch=5"]
    metrics = ltc.train(*given, *dithered, *QUICK, folder=tmp_path / "run").metrics
    # Vectors that belong together are no farther apart than their distributions are.
    assert 0 < metrics["perception"] < metrics["distortion"] < 1


@pytest.mark.parametrize("dither", ["none", "private"])
def test_realism_without_a_shared_dither_is_refused(tmp_path, dither):
    with pytest.raises(InputError, match=r"realism=1 needs quantizer\.dither=shared"):
        ltc.train(f"quantizer.dither={dither}", "realism=1", folder=tmp_path / "run")


def test_whole_pictures_have_no_dither(tmp_path):
    with pytest.raises(InputError, match="dither=private is of vectors"):
        ltc.train("source=images", "quantizer.dither=private", folder=tmp_path / "run")
