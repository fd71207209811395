"""The laboratory in Python, beside the command line."""

import io
import json
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.version import getbase
from omegaconf import OmegaConf
from rich.console import Console

import ltc
from ltc.cli.train import main
from ltc.errors import InputError
from ltc.sources.speech_stft import log_spectrum
from ltc.training import CoderTraining

QUICK = ["steps=20", "refine.samples=20000", "evaluate.samples=2000", "trainer=cpu"]
QUICK += ["logger=csv", "bound=none"]
TIMES = ("seconds_train", "seconds_total", "peak_memory")


def timeless(metrics):
    return {key: value for key, value in metrics.items() if key not in TIMES}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "mine"
    settings = {"source": "iid_gaussian", "source.dimension": 2, "bound": "auto"}
    return ltc.train(*QUICK[:-1], "quantizer=a2", lmbda=4, folder=folder, **settings)


def test_importing_is_light():
    script = "import ltc, sys; ltc.__version__; print(*{'torch', 'hydra'} & {*sys.modules})"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert found.stdout.strip() == b""


def test_it_is_what_the_command_does(run, tmp_path, monkeypatch, capsys):
    arguments = [*QUICK[:-1], "quantizer=a2", "source.dimension=2", "lmbda=4"]
    monkeypatch.setattr(sys, "argv", ["ltc-train", *arguments, f"hydra.run.dir={tmp_path / 'own'}"])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "")
    main()
    printed = capsys.readouterr().out
    assert timeless(json.loads((tmp_path / "own/metrics.json").read_text())) == timeless(
        run.metrics
    )
    configs = [OmegaConf.load(folder / "config.yaml") for folder in (tmp_path / "own", run.folder)]
    assert configs[0] == configs[1]
    shown = Console(file=io.StringIO(), width=120)
    shown.print(run)
    lines = [line for line in shown.file.getvalue().splitlines() if "training, total" not in line]
    assert "gap to R(D)" in "".join(lines)
    assert all(line.strip() in printed for line in lines)


def test_a_notebook_shows_it(run):
    assert f"{run.metrics['rate']:.4f}" in run._repr_html_()
    assert f"{run.metrics['rate']:.4f}" in repr(run)
    figure = run.figure()
    point, cells = figure.axes
    ((rate,), (snr,)) = point.lines[-1].get_data()
    assert (rate, snr) == (run.metrics["rate"], run.metrics["snr_db"])
    assert len(np.unique(cells.images[0].get_array())) > 10
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_a_finished_run_is_loaded(run, tmp_path):
    loaded = ltc.load(run.folder)
    assert loaded.metrics == run.metrics
    assert loaded.source.dimension == 2
    assert loaded.coder.quantizer.lattice.dimension == 2
    x = np.random.default_rng(0).normal(size=(20_000, 2)).astype(np.float32)
    data = run.compress(x)
    back = loaded.decompress(data)
    assert (back.shape, back.dtype) == (x.shape, x.dtype)
    assert np.square(back - x).mean() == pytest.approx(run.metrics["distortion"], rel=0.1)
    assert 8 * len(data) / x.size == pytest.approx(run.metrics["rate"], abs=0.1)
    (tmp_path / "checkpoints").mkdir()
    checkpoint = "checkpoints/best.ckpt"
    (tmp_path / checkpoint).write_bytes((run.folder / checkpoint).read_bytes())
    with pytest.raises(InputError, match="it has no metrics"):
        ltc.load(tmp_path)


def test_hydra_is_left_as_it_was(tmp_path):
    (tmp_path / "other.yaml").write_text("mine: 1\nlmbda: 3\n")
    holder, before = HydraConfig.instance(), HydraConfig.instance().cfg
    with initialize_config_dir(str(tmp_path), version_base="1.2"):
        base = getbase()
        nested = ["quantizer=nested", "quantizer.fine=a2", "quantizer.search=2"]
        config = ltc.configuration(*QUICK, *nested, source="banana")
        assert config.name.source == "banana"
        assert config.quantizer.lattice._target_.endswith("A2")  # found while another is at work
        assert getbase() == base
        assert holder.cfg is before
        assert compose("other").mine == 1
    assert not GlobalHydra.instance().is_initialized()


def test_a_configuration_is_trained_and_goes_on(tmp_path, monkeypatch):
    config = ltc.configuration(*QUICK, "trainer.val_check_interval=10", quantizer="scalar")
    config.lmbda = 2
    kept = config.copy()
    with monkeypatch.context() as patch:
        take = CoderTraining.training_step

        def training_step(self, *arguments):
            if self.global_step == 15:
                raise KeyboardInterrupt
            take(self, *arguments)

        patch.setattr(CoderTraining, "training_step", training_step)
        with pytest.raises(KeyboardInterrupt, match="go on with"):
            ltc.train(config, folder=tmp_path / "ended")
    assert config == kept
    whole = ltc.train(config, folder=tmp_path / "whole")
    assert whole.metrics["lmbda"] == 2
    assert timeless(ltc.train(resume=tmp_path / "ended").metrics) == timeless(whole.metrics)
    assert ltc.train(resume=tmp_path / "ended").metrics["steps"] == 20  # it was finished
    with pytest.raises(InputError, match="would change lmbda"):
        ltc.train(resume=tmp_path / "ended", lmbda=3)
    with pytest.raises(InputError, match="holds a run"):
        ltc.train(config, folder=tmp_path / "whole")
    with pytest.raises(InputError, match="has no coder"):
        ltc.Result(object(), {}, tmp_path).coder  # noqa: B018


@pytest.mark.parametrize(
    ("overrides", "settings", "expected"),
    [
        (["source=iid_gausian"], {}, "did you mean iid_gaussian"),
        (["lmbd=2"], {}, "did you mean lmbda"),
        ([], {"quantizer": "e88"}, "did you mean e8"),
        ([], {"lmbda": -1}, "lmbda=-1; expected a positive number"),
        ([], {"lmbda": True}, "expected a positive number"),
        ([], {"quantizer.scale": "it's"}, "quantizer.scale=\"it's\"|quantizer.scale=it's"),
        (["quantizer=generator"], {}, "quantizer.matrix is not set"),
        (["++evaluate.nonsense=1"], {}, "nothing would read it"),
        (["hydra.run.dir=x"], {}, "give folder=DIR"),
        ([{"lmbda": 2}], {}, "the configuration lacks"),
        ([{"lmbd": 2}], {}, "there is no key lmbd"),
        ([{}], {"lmbda": 2}, "got both"),
        ([], {"resume": "nowhere"}, "there is no run in it"),
    ],
)
def test_bad_input_is_one_message(tmp_path, overrides, settings, expected):
    folder = None if "resume" in settings else tmp_path / "run"
    quick = [] if overrides and not isinstance(overrides[0], str) else QUICK
    with pytest.raises(InputError, match=expected):
        ltc.train(*quick, *overrides, folder=folder, **settings)
    assert not (tmp_path / "run" / "config.yaml").exists()


@pytest.mark.parametrize(("group", "value"), [("quantizer", None), ("source", "banana")])
def test_a_group_of_a_changed_configuration_stays_one(tmp_path, group, value):
    config = ltc.configuration()
    config[group] = value
    with pytest.raises(InputError, match=rf"{group}={value}; expected what ltc\.configuration"):
        ltc.train(config, folder=tmp_path / "run")


def test_an_offset_of_each_number_is_added_again(tmp_path):
    rng = np.random.default_rng(0)
    for index in (0, 5):
        soundfile.write(tmp_path / f"7_theo_{index}.wav", rng.normal(0, 0.1, 400), 8000)
    source = ["source=speech_stft", f"source.root={tmp_path}", "quantizer=d4_dual"]
    run = ltc.train(*QUICK, *source, "evaluate.bitstream=true", folder=tmp_path / "run")
    assert run.run.coder.layout.block == 4  # of which 33 is no multiple
    samples, _ = soundfile.read(tmp_path / "7_theo_0.wav")
    rows = log_spectrum(np.lib.stride_tricks.sliding_window_view(samples, 63))
    for coder in (run, ltc.load(run.folder)):
        error = coder.decompress(coder.compress(rows)) - rows
        assert np.square(error).mean() == pytest.approx(run.metrics["distortion"], rel=0.05)
    assert np.square(rows).mean() > 3 * run.run.source.variance  # what is added matters
