"""What a run trains, keeps and tells."""

import json
import math

import lightning
import numpy as np
import pytest
import torch

import ltc
from ltc.bounds import ReverseWaterFilling
from ltc.coder import LatticeTransformCoder
from ltc.entropy.mixture import by_table
from ltc.errors import InputError
from ltc.measurement import Measurement, summarise
from ltc.quantizers import Layout
from ltc.runs import minimise
from ltc.runs import train as runs_train
from ltc.runs.build import build
from ltc.runs.evaluate import compare
from ltc.runs.run import generator
from ltc.training import CoderTraining, refine

QUICK = ["evaluate.samples=20000", "refine.samples=20000", "logger=csv"]


def configuration(*overrides):
    return ltc.configuration(*QUICK, *overrides)


def run(folder, *overrides):
    return runs_train.train(configuration(*overrides), folder)


def test_the_last_steps_are_kept(tmp_path):
    run(tmp_path, "quantizer=scalar", "steps=70", "trainer.val_check_interval=50", "bound=none")
    last = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["global_step"] == 70


def test_a_run_is_never_replaced(tmp_path):
    (tmp_path / "metrics.json").write_text("{}")
    with pytest.raises(InputError, match="holds a run"):
        run(tmp_path, "quantizer=scalar")
    assert (tmp_path / "metrics.json").read_text() == "{}"


def test_lossless_runs_have_metrics(tmp_path):
    fixed = ["quantizer=scalar", "quantizer.scale=1", "transform=identity", "steps=60"]
    _, metrics = run(tmp_path, "source=iid_bernoulli", "trainer.val_check_interval=60", *fixed)
    assert metrics["distortion"] == 0
    assert metrics["snr_db"] is None
    assert metrics["bound_rate_lower"] == pytest.approx(1.0)
    assert metrics["gap_bits"] == pytest.approx(metrics["rate"] - 1.0)
    assert json.loads((tmp_path / "metrics.json").read_text()) == metrics


def test_at_no_distortion_the_limit_is_the_entropy():
    class Bound:
        name = "none that is asked at 0"

        def bracket(self, distortion):
            raise AssertionError

    found = compare(Measurement(1.2, 0.0, 0.0, 0.0), Bound(), 1.0, entropy=1.0)
    assert found["gap_bits"] == pytest.approx(0.2)
    assert found["snr_db"] is found["gap_db"] is None
    assert compare(Measurement(1.2, 0.0, 0.0, 0.0), Bound(), 1.0)["gap_bits"] is None


@pytest.mark.parametrize("shared", [-0.5, 0.0, 0.5])
def test_the_standard_error_of_the_gap_is_how_far_it_scatters(shared):
    """Whether blocks that cost more are nearer, or further."""
    bound, rng = ReverseWaterFilling([[1.0]]), torch.Generator().manual_seed(0)
    found = []
    for _ in range(400):
        draws = torch.randn(2, 200, generator=rng, dtype=torch.float64)
        bits = 1.8 + 0.4 * draws[0]
        errors = 0.1 + 0.02 * (shared * draws[0] + math.sqrt(1 - shared**2) * draws[1])
        found.append(compare(summarise(bits, errors), bound, 1.0))
    told = np.mean([metrics["gap_stderr"] for metrics in found])
    assert told == pytest.approx(np.std([metrics["gap_bits"] for metrics in found]), rel=0.12)


def test_metrics_tell_runs_apart(tmp_path):
    trellis = ["quantizer=trellis", "quantizer.length=16", "steps=2", "bound=none"]
    _, metrics = run(tmp_path / "a", *trellis, "quantizer.states=16", "quantizer.rdo=true")
    assert metrics["quantizer.lattice.states"] == 16
    assert metrics["quantizer.rdo"] is True
    assert metrics["quantizer"] == "trellis-16"
    assert metrics["peak_memory"] > 1 << 26


def test_many_channels_are_learned_in_short_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(minimise, "MOST", 64)
    shapes = []
    take = CoderTraining.training_step
    monkeypatch.setattr(
        CoderTraining,
        "training_step",
        lambda self, x, i: (shapes.append(x.shape[1:]), take(self, x, i))[1],
    )
    trellis = ["quantizer=trellis", "quantizer.length=32", "steps=2", "bound=none", "batch=3"]
    for dimension, positions in ((2, 32), (4, 16)):
        folder = tmp_path / str(dimension)
        trained, metrics = run(folder, *trellis, f"source.dimension={dimension}")
        assert shapes[-1] == (positions, dimension)
        assert trained.coder.layout.block == 32  # as it was asked for
        assert metrics["rate"] <= metrics["bitstream_rate"] < metrics["rate"] + 0.05


def test_the_coder_is_back_on_its_device_before_it_is_refined(tmp_path, monkeypatch):
    events = []
    to, cpu = LatticeTransformCoder.to, lightning.LightningModule.cpu
    monkeypatch.setattr(
        LatticeTransformCoder, "to", lambda self, d: (events.append("to"), to(self, d))[1]
    )
    monkeypatch.setattr(
        lightning.LightningModule, "cpu", lambda self: (events.append("cpu"), cpu(self))[1]
    )

    def spy(*arguments, **named):
        events.append("refine")
        return refine(*arguments, **named)

    monkeypatch.setattr(runs_train, "refine", spy)
    run(tmp_path, "quantizer=scalar", "steps=2", "bound=none")
    assert "cpu" in events  # where Lightning leaves a module that it has trained
    end = events.index("refine")
    assert events[:end][::-1].index("to") < events[:end][::-1].index("cpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("rdo", ["false", "true"])
def test_a_run_on_a_gpu(tmp_path, rdo):
    trained, metrics = run(tmp_path, "trainer=gpu", "steps=60", f"quantizer.rdo={rdo}")
    assert next(trained.coder.parameters()).device.type == "cuda"
    assert metrics["device"].startswith("cuda")
    assert metrics["rate"] <= metrics["bitstream_rate"] < metrics["rate"] + 0.05


@pytest.mark.parametrize(("dimension", "quantizer"), [(33, "d4_dual"), (16, "e8")])
def test_latents_shorter_than_the_source(tmp_path, dimension, quantizer):
    # Four numbers say all of it, and the lattice runs along them, or across eight vectors.
    axes = np.linalg.qr(np.random.default_rng(0).normal(size=(dimension, 4)))[0]
    np.save(tmp_path / "covariance.npy", dimension / 4 * axes @ axes.T)
    given = ["source=correlated_vector", f"source.covariance={tmp_path / 'covariance.npy'}"]
    latent = ["transform.latent_dimension=4", f"lmbda={64 / dimension}", "steps=300"]
    latent += [f"quantizer={quantizer}", "evaluate.samples=200000"]
    trained, metrics = run(tmp_path / "run", *given, *latent)
    assert trained.coder.layout.block == {"d4_dual": 1, "e8": 8}[quantizer]
    # The gap of each latent is the lattice's, and so is the best that an error of four can do.
    per_latent = dimension / 4 * metrics["gap_bits"]
    assert per_latent == pytest.approx(trained.high_rate_gap, abs=0.03)
    assert metrics["distortion"] == pytest.approx(4 / (8 * math.log(2) * 16), rel=0.2)


def test_encoding_does_not_depend_on_how_blocks_are_cut():
    overrides = ["source=banana", "transform=mlp", "quantizer=e8", "quantizer.rdo=true"]
    parts = build(configuration(*overrides, "bound=none"))
    coder = parts.coder
    with torch.no_grad():  # bend it
        for parameter in coder.transform.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    x = parts.source.blocks(4000, 8, generator(0, "figures"))
    coder.initialise(x)
    coder.double()  # products of matrices of other sizes round otherwise in float32
    whole = coder.encode(x.double())
    assert torch.equal(whole, torch.cat([coder.encode(part) for part in x.double().split(333)]))


@pytest.mark.parametrize(("n", "channels", "block"), [(8, 16, 1), (8, 2, 16), (64, 3, 64)])
def test_the_density_starts_from_all_coordinates(n, channels, block):
    channel = Layout(n, channels, block).channel
    vectors = torch.arange(5.0)[:, None, None] + torch.randn(5, len(channel), n)
    values = by_table(vectors, channel, channels)
    channel = channel.expand(-1, n)
    for k in range(channels):
        own = vectors[:, channel == k].flatten()
        assert torch.equal(values[:, k].sort().values, own.sort().values)
    few = by_table(vectors, channel, channels, most=7)
    assert 4 <= len(few) <= 7
