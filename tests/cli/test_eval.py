"""`ltc-eval`: a finished run again."""

import json
import math

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir

from ltc.cli import eval as command
from ltc.codec import Payload
from ltc.files import config_directory
from ltc.runs.checkpoint import load_coder
from ltc.runs.train import train

QUICK = ["steps=30", "refine.samples=20000", "evaluate.samples=20000", "trainer=cpu", "logger=csv"]
QUICK += ["name.source=s", "name.transform=t", "name.quantizer=q", "name.entropy=exact"]
QUICK += ["name.distortion_measure=squared"]
KINDS = {
    "lattice": ["quantizer=a2", "quantizer.rdo=true"],
    "nested": ["quantizer=nested", "quantizer.fine=d4_dual"],
    "ecvq": ["quantizer=ecvq", "lmbda=2"],
}
# What a machine does differently each time, or was not done again.
ASIDE = ("seconds_train", "seconds_total", "peak_memory", "ckpt")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return a function that trains once, and returns the folder of the run."""
    folders = {}

    def run(*overrides):
        if overrides not in folders:
            with initialize_config_dir(str(config_directory()), version_base="1.3"):
                config = compose("train", [*QUICK, *overrides])
            folders[overrides] = tmp_path_factory.mktemp("run")
            train(config, folders[overrides])
        return folders[overrides]

    return run


@pytest.fixture
def evaluated(call, tmp_path):
    """Return a function that evaluates a run again, and returns its metrics and what is said."""

    def run(folder, *arguments):
        before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        code, out, err = call(command.main, f"ckpt={folder}", *arguments, "--out", "again")
        assert code == 0, err
        assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        return json.loads((tmp_path / "again" / "metrics.json").read_text()), out

    return run


def metrics_of(folder):
    return json.loads((folder / "metrics.json").read_text())


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_samples_give_the_same_numbers(trained, evaluated, kind):
    folder = trained(*KINDS[kind])
    again, said = evaluated(folder)
    was = metrics_of(folder)
    assert {key: value for key, value in again.items() if key not in ASIDE} == {
        key: value for key, value in was.items() if key not in ASIDE
    }
    assert again["ckpt"] == str(folder)
    assert "as the run" in said
    assert "gap to R(D)" in said


def test_another_seed_gives_other_samples_of_the_same_source(trained, evaluated):
    folder = trained(*KINDS["lattice"])
    again, said = evaluated(folder, "seed=5", "evaluate.samples=1e5", "evaluate.bitstream=false")
    was = metrics_of(folder)
    assert again["samples"] == 100_000
    assert again["bitstream_rate"] is None
    for key in ("rate", "distortion"):
        error = math.hypot(again[f"{key}_stderr"], was[f"{key}_stderr"])
        assert 0 < abs(again[key] - was[key]) < 4 * error
    assert "seed=5 evaluate.samples=1e5" in " ".join(said.split())


def test_another_source_has_its_own_bound(trained, evaluated):
    again, _ = evaluated(trained(*KINDS["lattice"]), "source=iid_uniform", "bound=blahut_arimoto")
    assert again["source"] == "iid_uniform"
    assert again["dimension"] == 2
    assert again["bound"] != "reverse water-filling"
    assert again["gap_bits"] > 0


def test_other_data_is_coded_as_a_file_of_it_would_be(evaluated, trained, call, tmp_path):
    rows, other = torch.randn(4000, 4).double().numpy(), 3 + 2 * torch.randn(500, 4).numpy()
    np.save(tmp_path / "rows.npy", 10 * rows)
    np.save(tmp_path / "other.npy", 10 * other)
    data = ["source=array", f"source.path={tmp_path / 'rows.npy'}", "bound=none"]
    folder = trained(*data, "quantizer=d4_dual")
    code, _, err = call(command.main, f"ckpt={folder}", "source.held_out=0.5")
    assert code == 2
    assert "rows that the run was trained on" in err
    (tmp_path / "link.npy").symlink_to(tmp_path / "rows.npy")
    np.save(tmp_path / "copy.npy", 10 * rows)
    for name in ("rows.npy", "link.npy", "copy.npy"):
        again = f"source.path={tmp_path / name}", "source.split=place"
        code, _, err = call(command.main, f"ckpt={folder}", *again)
        assert code == 2
        assert "rows that the run was trained on" in err
    np.save(tmp_path / "more.npy", np.concatenate([10 * rows, other[:1]]))  # another content
    for again in (f"source.test_path={tmp_path / 'copy.npy'}", f"source.path={tmp_path}/more.npy"):
        code, _, err = call(command.main, f"ckpt={folder}", again, "source.held_out=0.5")
        assert code == 2, err
        assert "rows that the run was trained on" in err
    assert not list(tmp_path.glob("outputs/*"))  # refused, it leaves no folder
    (tmp_path / "rows.npy").unlink()  # it is not needed any more
    where = [f"source.path={tmp_path / 'other.npy'}", "source.held_out=0.5"]
    again, _ = evaluated(folder, *where)
    coder = load_coder(folder)
    gain = coder.facts["gain"]
    held_out = np.sort(np.random.default_rng(0).permutation(500)[:250])
    np.save(tmp_path / "held_out.npy", 10 * other[held_out])
    payload = Payload.read((tmp_path / "held_out.npy").read_bytes(), ".npy")
    decoded, _ = coder.decompress(coder.compress(payload))
    assert again["samples"] == 1000
    assert again["distortion"] == pytest.approx(payload.squared_error(decoded) / gain**2, rel=1e-3)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["quantizer=e8"], "quantizer=e8 would be another coder"),
        (["transform=mlp"], "transform=mlp would be another coder"),
        (["quantizer.rdo=false"], "would be another coder"),
        (["lmbda=2"], "lmbda=2 would be another coder"),
        (["source.block=4"], "would be another coder"),
        (["~source"], "would be another coder"),
        (["source=iid_gausian"], "did you mean iid_gaussian"),
        (["source.dimensoin=2"], "there is no key source.dimensoin; there are block, dimension"),
        (["source.dimension=4"], "has the dimension 4, and the coder was trained on 2"),
        (["seed=1,2"], "several values"),
        (["seed=-1"], "seed=-1; expected an integer"),
        (["ckpt=other"], "expected one ckpt=RUN"),
        (["+evaluate.x=1"], "there is no key evaluate.x; there are bitstream, samples"),
        (["trainer.accelerator=abacus"], "trainer: "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_refused(trained, call, tmp_path, arguments, expected):
    code, _, err = call(command.main, f"ckpt={trained(*KINDS['lattice'])}", *arguments)
    assert code == 2
    assert expected in err
    assert "Traceback" not in err
    assert not list(tmp_path.rglob("metrics.json"))


def test_without_arguments_it_asks_for_a_run(call):
    code, _, err = call(command.main)
    assert (code, "expected one ckpt=RUN, the folder of a run; got none" in err) == (2, True), err


def test_no_run_is_replaced(trained, call):
    folder = trained(*KINDS["lattice"])
    before = (folder / "metrics.json").read_bytes()
    code, _, err = call(command.main, f"ckpt={folder}", "--out", folder)
    assert code == 2
    assert "holds a run" in err
    assert (folder / "metrics.json").read_bytes() == before
