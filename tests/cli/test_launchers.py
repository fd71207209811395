"""Sweeps in processes beside each other."""

import json
import textwrap

import pytest

from hydra_plugins.ltc_launchers import RayLauncher, SubmititLauncher, _engine
from ltc.cli.train import main, objective
from ltc.errors import InputError

QUICK = ["steps=5", "evaluate.samples=2000", "bound=none", "logger=csv", "trainer=cpu"]
ASIDE = ("seconds_train", "seconds_total", "peak_memory", "threads")


def metrics(folder):
    found = [json.loads(path.read_text()) for path in folder.rglob("metrics.json")]
    return {m["lmbda"]: {k: v for k, v in m.items() if k not in ASIDE} for m in found}


def test_a_killed_process_costs_its_own_run_only(call, tmp_path):
    pytest.importorskip("joblib", reason="joblib is an extra")
    (tmp_path / "own" / "source").mkdir(parents=True)
    (tmp_path / "own" / "deadly.py").write_text(
        textwrap.dedent(
            """
            import os, signal
            from pathlib import Path

            from ltc.sources import IIDGaussian

            class Deadly(IIDGaussian):
                def __init__(self, lmbda, once, dimension=1, **facts):
                    super().__init__(dimension, **facts)
                    if lmbda == 2 and not Path(once).exists():
                        Path(once).touch()
                        os.kill(os.getpid(), signal.SIGKILL)
            """
        )
    )
    (tmp_path / "own" / "source" / "deadly.yaml").write_text(
        "_target_: deadly.Deadly\ndimension: 1\nlmbda: ${lmbda}\nonce: killed\n"
    )
    sweep = ["--config-dir", "own", "-m", "source=deadly", "lmbda=2,1", "quantizer=ecvq", *QUICK]
    beside = [*sweep, "launcher=joblib", "hydra.launcher.jobs=1", "hydra.sweep.dir=beside"]
    code, out, err = call(main, *beside)
    assert code == 1
    assert "failed: launcher=joblib" not in out
    assert err.count("its process ended") == 2  # where it happened, and at the end
    assert "hydra.sweep.dir=" in err
    assert metrics(tmp_path / "beside").keys() == {1}
    assert out.count("unfinished") == 1


def test_a_search_minimises_and_goes_on(call, tmp_path):
    pytest.importorskip("optuna", reason="hydra-optuna-sweeper is an extra")
    search = ["-m", "experiment=tune", "hydra.sweeper.n_trials=3", "quantizer=ecvq", *QUICK]
    search += ["lmbda=interval(1.0, 4.0)", "hydra.sweep.dir=search"]
    code, out, err = call(main, *search)
    assert code == 0, err
    assert "SNR (dB)" in out
    found = metrics(tmp_path / "search")
    lagrangians = {lmbda: m["rate"] + lmbda * m["distortion"] for lmbda, m in found.items()}
    (result,) = (tmp_path / "search").glob("optimization_results.yaml")
    assert f"best_value: {min(lagrangians.values())}" in result.read_text()
    code, out, _ = call(main, *search)
    assert out.count("was finished before") == len(found) == 3
    code, _, err = call(main, *search, "objective=gap")
    assert code == 2
    assert "objective=gap needs a bound" in err


def test_objectives():
    run = {"rate": 2.0, "lmbda": 8, "distortion": 0.1, "gap_bits": 0.15}
    assert objective(run, "lagrangian") == pytest.approx(2.8)
    assert objective(run, "gap") == 0.15
    with pytest.raises(InputError, match="no lower limit"):
        objective(run | {"gap_bits": None}, "gap")


def test_what_is_missing_or_cannot_be():
    with pytest.raises(InputError, match=r'launcher=ray is an extra: pip install ".\[launchers\]"'):
        _engine("ray", "ltc.no_such_module")
    with pytest.raises(InputError, match=r"hydra.launcher.threads=0; expected a positive integer"):
        RayLauncher(threads=0)
    with pytest.raises(InputError, match=r"hydra.launcher.jobs=0; expected a positive integer"):
        SubmititLauncher("local", "folder", jobs=0)
