"""Runs become curves."""

import math
import os

import pytest

from ltc.report import find_runs, settings


def found(tmp_path, rate="rate"):
    return settings(find_runs([tmp_path])[0], rate)


def labels(setting):
    return [curve.label for curve in setting.curves]


def test_runs_that_differ_in_lmbda_alone_are_one_curve(write_run, tmp_path):
    for i, lmbda in enumerate((8, 2, 32)):
        write_run(f"e8_{i}", lmbda=lmbda, gap=0.1)
        write_run(f"scalar_{i}", lmbda=lmbda, quantizer="scalar", gap=0.25)
    (setting,) = found(tmp_path)
    assert labels(setting) == ["scalar", "e8"]  # the farthest from the bound first
    for curve in setting.curves:
        rates = [point.rate.value for point in curve.points]
        assert [point.lmbda for point in curve.points] == [2, 8, 32]
        assert rates == sorted(rates)
    assert setting.title == setting.source == "iid_gaussian"
    assert setting.variance == pytest.approx(1)


def test_labels_are_the_choices_that_differ(write_run, tmp_path):
    write_run("a", quantizer="trellis", **{"quantizer.states": 8, "quantizer.rdo": False})
    write_run("b", quantizer="trellis", **{"quantizer.states": 8, "quantizer.rdo": True})
    write_run("c", quantizer="trellis", **{"quantizer.states": 16, "quantizer.rdo": True})
    write_run("d", quantizer="e8", **{"quantizer.rdo": True})
    (setting,) = found(tmp_path)
    assert sorted(labels(setting)) == [
        "e8",
        "trellis quantizer.rdo=false quantizer.states=8",
        "trellis quantizer.rdo=true quantizer.states=16",
        "trellis quantizer.rdo=true quantizer.states=8",
    ]


def test_labels_of_matrices_are_short_and_differ(write_run, tmp_path):
    for i in range(2):
        write_run(str(i), quantizer="generator", **{"quantizer.matrix": [[1, 0, 0]] * 20 + [[i]]})
    (setting,) = found(tmp_path)
    assert len(set(labels(setting))) == 2
    assert all(len(label) < 80 for label in labels(setting))


def test_names_of_other_groups_are_said_where_they_differ(write_run, tmp_path):
    write_run("a", transform="linear")
    write_run("b", transform="mlp", **{"transform.width": 64})
    (setting,) = found(tmp_path)
    assert sorted(labels(setting)) == ["linear · e8", "mlp · e8"]


def test_sources_and_distortions_are_not_mixed(write_run, tmp_path):
    write_run("a")
    write_run("b", source="banana")
    write_run("c", source="correlated", **{"source.dimension": 2})
    write_run("d", source="correlated", **{"source.dimension": 4})
    write_run("e", distortion_measure="absolute", snr_db=None)
    assert [setting.title for setting in found(tmp_path)] == [
        "banana · squared",
        "correlated · squared source.dimension=2",
        "correlated · squared source.dimension=4",
        "iid_gaussian · absolute",
        "iid_gaussian · squared",
    ]


def test_what_a_run_is_compared_with_splits_no_curve(write_run, tmp_path):
    write_run("a", lmbda=2, **{"bound.tolerance": 1e-3})
    write_run("b", lmbda=4, bound="samples", device="cuda:0", version="9")
    (setting,) = found(tmp_path)
    assert [len(curve.points) for curve in setting.curves] == [2]
    assert sorted(setting.bounds) == ["reverse water-filling", "samples"]


def test_seeds_become_mean_and_spread(write_run, tmp_path):
    for seed, gap in enumerate((0.1, 0.2, 0.6)):
        write_run(f"seed_{seed}", seed=seed, gap=gap)
    (setting,) = found(tmp_path)
    ((point,),) = (curve.points for curve in setting.curves)
    assert len(point.runs) == 3
    assert point.gap_bits.value == pytest.approx(0.3)
    assert point.gap_bits.spread == pytest.approx(math.sqrt((0.04 + 0.01 + 0.09) / 2))
    assert point.rate.spread == pytest.approx(point.gap_bits.spread)
    assert point.distortion.spread == 0


def test_seeds_at_a_rate_that_was_asked_for_have_each_their_lmbda(write_run, tmp_path):
    for seed, lmbda in enumerate((10.6, 10.8)):
        for rate in (1, 2):
            changes = {"quantizer.rate": rate, "rate": rate, "lmbda": lmbda**rate}
            write_run(f"{seed}_{rate}", seed=seed, **changes)
    write_run("any", lmbda=4)
    (setting,) = found(tmp_path)
    points = {curve.label: [len(point.runs) for point in curve.points] for curve in setting.curves}
    assert points == {"e8 quantizer.rate=…": [2, 2], "e8 quantizer.rate=null": [1]}


def test_what_was_measured_again_takes_the_place_of_no_run(write_run, tmp_path):
    write_run("run", gap=0.1)
    write_run("again", gap=0.2, ckpt="run")
    (setting,) = found(tmp_path)
    gaps = {curve.label: curve.points[0].gap_bits.value for curve in setting.curves}
    assert gaps == {"e8 ckpt=null": pytest.approx(0.1), "e8 ckpt=…": pytest.approx(0.2)}


@pytest.mark.parametrize("key", ["realism", "refine.samples"])
def test_what_a_coder_was_fitted_to_splits_curves(write_run, tmp_path, key):
    for value in (1, 20):
        write_run(f"{value}", **{key: value})
    (setting,) = found(tmp_path)
    assert [len(curve.points) for curve in setting.curves] == [1, 1]


def test_a_repeated_run_is_no_second_seed(write_run, tmp_path):
    old, new = write_run("a", gap=0.3), write_run("b", gap=0.2)
    os.utime(old / "metrics.json", (2e9, 2e9))  # the latest, though first in the alphabet
    os.utime(new / "metrics.json", (1e9, 1e9))
    (setting,) = found(tmp_path)
    (point,) = setting.curves[0].points
    assert point.gap_bits.value == pytest.approx(0.3)
    assert point.gap_bits.spread is None


def test_rates_of_bytes(write_run, tmp_path):
    write_run("a", gap=0.1)
    write_run("b", quantizer="ecvq", bitstream_rate=None)
    (setting,) = found(tmp_path, "bitstream_rate")
    assert labels(setting) == ["e8"]
    assert setting.curves[0].points[0].gap_bits.value == pytest.approx(0.11)


def test_bound_is_interpolated_within_its_range_only(write_run, tmp_path):
    write_run("a", lmbda=2)
    write_run("b", lmbda=8)
    (setting,) = found(tmp_path)
    assert setting.lower_bound(0.1) == pytest.approx(0.5 * math.log2(10))  # of a Gaussian source
    assert setting.lower_bound(0.5 / 8 * 0.99) is None
    assert setting.lower_bound(0.5 / 2 * 1.01) is None
    bound = setting.bounds["reverse water-filling"]
    assert [point.distortion for point in bound] == [0.25, 0.0625]
