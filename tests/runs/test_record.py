"""What a run leaves in its log."""

import os

import numpy as np
import pytest
import soundfile
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata
from tensorboard.summary.writer import event_file_writer

import ltc
from ltc.report.runs import find_runs
from ltc.runs.build import build, plain
from ltc.runs.record import opened, record
from ltc.runs.run import generator
from ltc.runs.sweep import record_sweep
from ltc.training import CoderTraining

QUICK = ["evaluate.samples=2000", "trainer=cpu", "quantizer=a2", "evaluate.bitstream=false"]
PLANE = [*QUICK, "source.dimension=2", "steps=40", "trainer.val_check_interval=10"]
SIZES = dict.fromkeys(("images", "scalars", "audio", "tensors"), 0)  # all of them


def log(folder):
    """Return what TensorBoard finds in the folder of a run."""
    found = EventAccumulator(str(folder), size_guidance=SIZES)
    found.Reload()
    return found


def steps(events):
    return [event.step for event in events]


@pytest.fixture(scope="module")
def plane(tmp_path_factory):
    """A run in the plane that was ended at step 25 and went on from step 20."""
    folder = tmp_path_factory.mktemp("sweep") / "lmbda-4"
    with pytest.MonkeyPatch.context() as patch:
        take = CoderTraining.training_step

        def training_step(self, *arguments):
            if self.global_step == 25:
                raise ValueError("ended")
            take(self, *arguments)

        patch.setattr(CoderTraining, "training_step", training_step)
        with pytest.raises(ValueError, match="ended"):
            ltc.train(*PLANE, lmbda=4, folder=folder)
        patch.setattr(CoderTraining, "training_step", take)
        # TensorBoard reads logs in the order of their names: the 10th of a process before the 9th.
        patch.setattr(event_file_writer, "_global_uid", event_file_writer.AtomicCounter(0))
        return ltc.train(resume=folder)


def test_curves_have_each_step_once_and_end_in_what_was_measured(plane):
    found = log(plane.folder)
    assert not [tag for tag in found.Tags()["scalars"] if "epoch" in tag or "hp_metric" in tag]
    for key in ("rate", "distortion", "snr_db", "gap_bits"):
        curve = found.Scalars(f"evaluation/{key}")
        assert steps(curve) == [9, 19, 29, 39, 40]
        assert curve[-1].value == pytest.approx(plane.metrics[key], rel=1e-5)
        assert steps(found.Scalars(f"train/{key}")) == [0]
    first = {key: found.Scalars(f"train/{key}")[0].value for key in ("rate", "gap_bits", "snr_db")}
    limit = first["snr_db"] * np.log2(10) / 20  # of a Gaussian source
    assert first["gap_bits"] == pytest.approx(first["rate"] - limit, abs=1e-4)


def test_figures_show_the_cells_while_they_are_learned(plane):
    found = log(plane.folder)
    assert steps(found.Images("quantization regions")) == [9, 19, 39, 40]
    assert steps(found.Images("operating point")) == [40]
    assert steps(found.Images("latents")) == [40]


def test_one_card_has_all_metrics(plane):
    (card,) = log(plane.folder).Tensors("metrics/text_summary")
    text = card.tensor_proto.string_val[0].decode()
    assert f"| rate | {plane.metrics['rate']} |" in text
    assert text.count("\n") == len(plane.metrics) + 1


def test_runs_are_compared_by_their_choices(plane):
    tags = log(plane.folder).PluginTagToContent("hparams")
    assert list(tags) == [metadata.SESSION_START_INFO_TAG]  # and no list of what others have
    (content,) = tags.values()
    found = metadata.parse_session_start_info_plugin_data(content).hparams
    assert found["lmbda"].number_value == 4
    assert found["quantizer"].string_value == "a2"
    assert found["quantizer.rdo"].bool_value is False
    assert {"learning_rate", "transform.bias", "seed", "steps"} <= found.keys()


def test_the_curves_of_a_sweep_are_a_run_of_their_own(plane):
    sweep = plane.folder.parent
    for _ in range(2):  # the sweep was started again
        record_sweep(sweep, plane.config["logger"])
    assert steps(log(sweep / "curves").Images("rate-distortion")) == [0]
    finished, unfinished = find_runs([sweep])
    assert [run.folder for run in finished] == [plane.folder.resolve()]
    assert not unfinished


def test_pictures_and_sounds_stand_beside_what_becomes_of_them(tmp_path, plane):
    rng = np.random.default_rng(0)
    for i in range(2):
        pixels = rng.integers(0, 256, (10, 14), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
        soundfile.write(tmp_path / f"{i}.wav", rng.normal(0, 0.1, 4000), 8000)
    for source, folder in (("image_patches", "pictures"), ("audio", "sounds")):
        root = {"source.root": tmp_path}
        config = ltc.configuration("quantizer=e8", "bound=none", source=source, **root)
        run = build(config)  # which need not be trained
        run.coder.initialise(run.source.blocks(100, run.block, generator(0, "initialise")))
        with opened(plain(config.logger), tmp_path / folder) as logger:
            record(run, plane.metrics, logger)
    pictures = log(tmp_path / "pictures").Images("source and reconstruction")
    assert steps(pictures) == [config.steps]
    found = log(tmp_path / "sounds")
    sounds = {tag: found.Audio(f"sound/{tag}")[0] for tag in ("source", "reconstruction")}
    assert all(sound.sample_rate == 8000 for sound in sounds.values())
    assert all(sound.length_frames == 4000 for sound in sounds.values())
    assert sounds["source"].encoded_audio_string != sounds["reconstruction"].encoded_audio_string


@pytest.mark.parametrize("kind", ["wandb", "mlflow"])
def test_other_loggers(tmp_path, monkeypatch, kind):
    pytest.importorskip(kind, reason=f"{kind} is an extra: pip install '.[loggers]'")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    run = ltc.train(*PLANE, f"logger={kind}", folder=tmp_path / "run", lmbda=4)
    files = [os.path.relpath(path, tmp_path) for path in (tmp_path / "run").rglob("*")]
    if kind == "wandb":
        assert any(file.endswith(".wandb") for file in files)
        assert sum("quantization regions" in file for file in files) == 4
        assert any("metrics" in file and file.endswith(".json") for file in files)
    else:
        import mlflow

        client = mlflow.MlflowClient(f"file:{tmp_path / 'run/mlruns'}")
        (experiment,) = (e for e in client.search_experiments() if e.name == "ltc")
        (found,) = client.search_runs([experiment.experiment_id])
        assert found.info.run_name == "run"
        assert found.data.metrics["evaluation/rate"] == pytest.approx(run.metrics["rate"])
        assert found.data.params["quantizer.rdo"] == "False"
        paths = {file.path for file in client.list_artifacts(found.info.run_id)}
        assert {"metrics.md", "quantization regions, step 9.png", "latents, step 40.png"} <= paths


@pytest.mark.parametrize("kind", ["wandb", "mlflow"])
def test_a_missing_logger_is_named(tmp_path, monkeypatch, kind):
    module = f"lightning.pytorch.loggers.{kind}._{kind.upper()}_AVAILABLE"
    monkeypatch.setattr(module, False)
    with pytest.raises(ltc.errors.InputError, match=r'pip install "\.\[loggers\]"'):
        ltc.train(*PLANE, f"logger={kind}", folder=tmp_path / "run")
    assert not (tmp_path / "run" / "config.yaml").exists()
