"""A lattice, sources and a transform of one's own, from any folder."""

import json
import math
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ltc.cli import compress, lattice, train

MODULE = '''
import numpy as np
import scipy.stats
import torch
from torch import nn

from ltc.lattices import TrellisLattice
from ltc.sources import PictureSource
from ltc.sources.iid import IIDSource
from ltc.transforms import Transform


class Laminated5(TrellisLattice):
    name = "laminated5"

    def __init__(self):
        super().__init__([[2, 0, 0, 0, 0], [1, 1, 0, 0, 0], [0, 1, 1, 0, 0],
                          [0, 0, 1, 1, 0], [0, 0, 0, 1, 1]])


class Triangular(IIDSource):
    """The sum of two uniform numbers, of unit variance."""

    name = "triangular"
    density = scipy.stats.triang(0.5, loc=-(6**0.5), scale=2 * 6**0.5)

    def sample(self, count, generator):
        u = torch.rand(2, count, self.dimension, generator=generator, device=generator.device)
        return (u.sum(0) - 1) * 6**0.5


class Fields(PictureSource):
    """Patches of smooth random pictures."""

    name = "fields"

    def __init__(self, patch=4, stride=2, count=10):
        rng = np.random.default_rng(0)
        super().__init__(((self.draw(rng), i == 0) for i in range(count)), count, patch, stride)

    def draw(self, rng):
        x, y = rng.normal(size=(2, 48)).cumsum(1)
        return np.clip(128 + 12 * np.add.outer(x, y), 0, 255).astype(np.uint8)


class Gains(Transform):
    """A factor for each coordinate."""

    def __init__(self, dimension):
        super().__init__(dimension)
        self.gain = nn.Parameter(torch.ones(dimension))

    def analysis(self, x):
        return x * self.gain

    def synthesis(self, y):
        return y / self.gain
'''
YAML = {
    "quantizer": "defaults: [lattice_base]\nlattice:\n  _target_: plugins_of_mine.Laminated5\n",
    "source": "_target_: plugins_of_mine.Triangular\ndimension: null\n",
    "transform": "_target_: plugins_of_mine.Gains\n",
}


@pytest.fixture
def plugins(tmp_path):
    """Return a folder with a module and a YAML file for each."""
    folder = tmp_path / "plugins"
    for group, text in YAML.items():
        (folder / group).mkdir(parents=True)
        (folder / group / "mine.yaml").write_text(text)
    (folder / "source" / "fields.yaml").write_text("_target_: plugins_of_mine.Fields\npatch: 4\n")
    (folder / "plugins_of_mine.py").write_text(MODULE)
    return folder


@pytest.fixture
def call(call, monkeypatch):
    """Run a command; return its exit code and what it printed."""

    def run_command(main, *arguments, environment=""):
        monkeypatch.setenv("LTC_CONFIG_DIR", environment)
        monkeypatch.setattr(sys, "path", list(sys.path))
        monkeypatch.delitem(sys.modules, "plugins_of_mine", raising=False)
        code, out, err = call(main, *arguments)
        return code, out + err

    return run_command


def test_every_command_takes_them(call, plugins, tmp_path):
    mine = ["source=mine", "quantizer=mine", "transform=mine"]
    quick = [
        "steps=20",
        "refine.samples=20000",
        "trainer=cpu",
        "bound=none",
        "evaluate.samples=20000",
    ]
    folder = tmp_path / "run"
    code, output = call(
        train.main,
        *("--config-dir", "plugins", *mine, *quick, f"hydra.run.dir={folder}"),
    )
    assert code == 0, output
    metrics = json.loads((folder / "metrics.json").read_text())
    assert (metrics["source"], metrics["dimension"]) == ("mine", 5)
    assert metrics["bitstream_rate"] >= 0.99 * metrics["rate"]

    x = np.random.default_rng(0).triangular(-math.sqrt(6), 0, math.sqrt(6), (400, 5))
    np.save(tmp_path / "x.npy", x.astype(np.float32))
    files = tmp_path / "x.npy", tmp_path / "x.ltc"
    code, output = call(compress.compress, *files, f"ckpt={folder}")
    assert code == 2
    assert "plugins_of_mine" in output
    assert "--config-dir" in output
    code, output = call(compress.compress, *files, f"ckpt={folder}", "--config-dir", plugins)
    assert code == 0, output
    decoded = tmp_path / "y.npy"
    code, output = call(
        compress.decompress, files[1], decoded, f"ckpt={folder}", environment=str(plugins)
    )
    assert code == 0, output
    error = np.square(np.load(decoded) - x).mean()
    assert error == pytest.approx(metrics["distortion"], rel=0.1)

    code, output = call(
        lattice.main, f"--config-dir={plugins}", "quantizer=mine", "samples=10000", "--json"
    )
    assert code == 0, output
    assert json.loads(output)["kissing_number"] is None
    assert json.loads(output)["states"] == 2


def test_a_source_of_pictures(call, plugins, tmp_path):
    folder = tmp_path / "run"
    quick = [
        "steps=20",
        "refine.samples=20000",
        "trainer=cpu",
        "quantizer=scalar",
        f"hydra.run.dir={folder}",
    ]
    code, output = call(train.main, "--config-dir", plugins, "source=fields", *quick)
    assert code == 0, output
    metrics = json.loads((folder / "metrics.json").read_text())
    assert (metrics["source"], metrics["dimension"]) == ("fields", 16)
    assert metrics["rate"] < metrics["bound_rate_upper"] + 0.3
    gradient = np.add.outer(np.arange(50), np.arange(0, 123, 3)).astype(np.uint8)
    Image.fromarray(gradient).save(tmp_path / "x.png")
    for command, files in (
        (compress.compress, (tmp_path / "x.png", tmp_path / "x.ltc")),
        (compress.decompress, (tmp_path / "x.ltc", tmp_path / "y.png")),
    ):
        code, output = call(command, *files, f"ckpt={folder}", "--config-dir", plugins)
        assert code == 0, output
    decoded = np.asarray(Image.open(tmp_path / "y.png"))
    assert np.square(decoded - gradient.astype(float)).mean() < 200


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--config-dir", "missing"], "--config-dir missing: there is no such folder"),
        (["quantizer=no_module"], "there is no module no_such_module; put no_such_module.py into"),
        (["quantizer=no_class"], "the module plugins_of_mine has no Laminated6"),
        (["quantizer=broken"], "cannot import broken_module: ZeroDivisionError"),
        (["source=no_module"], "there is no module no_such_module; put no_such_module.py into"),
        (["source=no_class"], "the module plugins_of_mine has no Laminated6"),
        (["source=broken"], "cannot import broken_module: ZeroDivisionError"),
    ],
)
def test_what_is_missing_is_said(call, plugins, arguments, expected):
    for name, target in (
        ("no_module", "no_such_module.Lattice"),
        ("no_class", "plugins_of_mine.Laminated6"),
        ("broken", "broken_module.Lattice"),
    ):
        text = f"defaults: [lattice_base, _self_]\nlattice:\n  _target_: {target}\n"
        (plugins / "quantizer" / f"{name}.yaml").write_text(text)
        (plugins / "source" / f"{name}.yaml").write_text(f"_target_: {target}\n")
    (plugins / "broken_module.py").write_text("1 / 0\n")
    code, output = call(train.main, *arguments, environment=str(plugins))
    assert code == 2
    assert expected in output
    assert "Traceback" not in output


SAMPLES = """
import numpy as np
import scipy.stats
import torch
from ltc.sources import IIDBernoulli
from plugins_of_mine import Triangular

class Wide(Triangular):
    def sample(self, count, generator):
        return super().sample(count, generator).double()

class Flat(Triangular):
    def sample(self, count, generator):
        return super().sample(count, generator)[:, 0]

class Fails(Triangular):
    def sample(self, count, generator):
        raise RuntimeError("by mistake")

class Broken(Triangular):
    def sample(self, count, generator):
        return super().sample(count, generator) * float("nan")

class Still(Triangular):
    covariance = torch.zeros(8, 8)

class Small(Triangular):
    density, covariance = None, 1e-60 * torch.eye(8).double()

    def sample(self, count, generator):
        return super().sample(count, generator) * 1e-30

class Alike(Triangular):
    def sample(self, count, generator):
        return super().sample(count, generator)[:, :1].repeat(1, self.dimension)

class Coin(IIDBernoulli):
    def sample(self, count, generator):
        return (super().sample(count, generator) + super().sample(count, generator)).clamp(max=1)

class Dice(IIDBernoulli):
    def sample(self, count, generator):
        return super().sample(count, generator) + super().sample(count, generator)

class Double(Triangular):
    density = None

    def sample(self, count, generator):
        return super().sample(count, generator) * 2

class Wider(Triangular):
    density = scipy.stats.norm(scale=2)

class Normal(Triangular):
    density = scipy.stats.norm()

class Elsewhere(Triangular):
    def sample(self, count, generator):
        return super().sample(count, torch.Generator().manual_seed(torch.seed() % 2**32))

class Faces(Triangular):
    density, alphabet = None, torch.zeros(3)

class Marginals(Triangular):
    density = None

    def log_density(self, x):
        left, right = (scipy.stats.norm.logpdf(x, mean, 0.436) for mean in (-0.9, 0.9))
        return (np.logaddexp(left, right) - np.log(2)).sum(-1)

    def support(self):
        return [[-4.5, 4.5]] * 2

class Torch(Marginals):
    def log_density(self, x):
        return torch.distributions.Normal(0.0, 1.0).log_prob(x)

class Vectors(Triangular):
    density = None

    def log_density(self, x):
        return scipy.stats.norm.logpdf(x, scale=2).sum(-1)

    def support(self):
        return [[-14, 14], [-14, 14]]
"""
TRANSFORMS = """
import torch

from ltc.transforms import Transform

class Short(Transform):
    def analysis(self, x):
        return x

    def synthesis(self, y):
        return y[..., :1]  # which would be stretched, and train

class Narrow(Short):
    def analysis(self, x):
        return x[..., :1]

class InPlace(Short):
    def analysis(self, x):
        if not torch.is_grad_enabled():
            x *= 2
        return x
"""
DISTORTIONS = """
from ltc.distortion import Distortion

class Gain(Distortion):
    name, power = "gain", 2.0

    def cost(self, error):
        return -error.square()

class Constant(Gain):
    def cost(self, error):
        return error.detach().square()

class Total(Gain):
    def cost(self, error):
        return error.square().sum()
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "_target_: samples_of_mine.Wide\n",
            "Wide draws blocks of shape (3, 2, 8), torch.float64",
        ),
        ("_target_: samples_of_mine.Flat\n", "samples_of_mine.Flat draws blocks of shape (3, 2)"),
        ("_target_: samples_of_mine.Fails\n", "samples_of_mine.Fails cannot be sampled: Runtime"),
        ("_target_: samples_of_mine.Broken\n", "samples_of_mine.Broken draws NaN or infinity"),
        ("_target_: samples_of_mine.Still\n", "has NaN or infinity, or no variance"),
        ("_target_: samples_of_mine.Small\n", "the samples are all alike, or nearly"),
        ("_target_: samples_of_mine.Double\n", ", its covariance says 1, on which"),
        ("_target_: samples_of_mine.Alike\n", "samples have covariance 0, 1 "),
        (
            "_target_: samples_of_mine.Coin\n",
            "are [0.0], of which its alphabet has 50.0%",
        ),
        ("_target_: samples_of_mine.Dice\n", "Dice draws [2.0], not of its alphabet"),
        (
            "_target_: samples_of_mine.Wider\n",
            "density has 78.6%; they need to be of one distribution",
        ),
        ("_target_: samples_of_mine.Normal\n", "they need to be of one distribution"),
        ("_target_: samples_of_mine.Vectors\n", "its log_density has the covariance [[4.0, "),
        ("_target_: samples_of_mine.Marginals\n", "of its samples have a coordinate 0 below "),
        ("_target_: samples_of_mine.Torch\n", "log_density or support fails: ValueError("),
        ("_target_: samples_of_mine.Elsewhere\n", "draws other samples from an equal generator"),
        ("_target_: samples_of_mine.Faces\n", "its alphabet is a Tensor; expected ltc.sources.Al"),
        ("", "source: _target_ is None; expected the name of a Source"),
        ("_target_: 3\n", "source: _target_ is 3; expected the name of a Source"),
        ("_target_: os.system\n", "_target_: os.system: it could run anything; name a class"),
        ("_target_: ltc.lattices.E8\n", "source: _target_: ltc.lattices.E8 is no Source"),
        ("_target_: [\nb: {\n", "a configuration file is no YAML"),
    ],
)
def test_a_source_that_is_none_is_refused(call, plugins, text, expected):
    (plugins / "samples_of_mine.py").write_text(SAMPLES)
    number = 2 if re.search("Vectors|Marginals|Torch", text) else "null"
    dimension = f"dimension: {number}\n" if "samples_of_mine" in text else ""
    (plugins / "source" / "no_source.yaml").write_text(text + dimension)
    code, output = call(train.main, "source=no_source", environment=str(plugins))
    assert code == 2
    assert expected in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("group", "name", "expected"),
    [
        ("transform", "Short", "Short: synthesis maps (2, 1, 8) to (2, 1, 1); expected (2, 1, 8)"),
        ("transform", "Narrow", "Narrow: analysis maps (2, 1, 8) to (2, 1, 1)"),
        ("transform", "InPlace", "InPlace: analysis changes its argument"),
        ("distortion", "Constant", "Constant: cost(error) has no gradient"),
        ("distortion", "Gain", "expected positive numbers of the same shape"),
        ("distortion", "Total", "expected positive numbers of the same shape"),
    ],
)
def test_a_transform_or_distortion_that_is_none_is_refused(call, plugins, group, name, expected):
    (plugins / f"{group}s_of_mine.py").write_text({"t": TRANSFORMS, "d": DISTORTIONS}[group[0]])
    (plugins / group).mkdir(exist_ok=True)
    (plugins / group / "none_such.yaml").write_text(f"_target_: {group}s_of_mine.{name}\n")
    code, output = call(train.main, f"{group}=none_such", "bound=none", environment=str(plugins))
    assert code == 2
    assert expected in output
    assert "Traceback" not in output


def test_a_rate_that_no_code_reaches_is_said(call, plugins):
    (plugins / "models_of_mine.py").write_text(
        "from ltc.entropy import Exact\n\nclass Half(Exact):\n"
        "    def bits(self, *args):\n        return super().bits(*args) / 2\n"
    )
    (plugins / "entropy").mkdir()
    (plugins / "entropy" / "half.yaml").write_text("_target_: models_of_mine.Half\ncomponents: 5\n")
    quick = ["steps=5", "refine.samples=20000", "evaluate.samples=20000", "logger=csv"]
    code, output = call(train.main, "--config-dir", plugins, "entropy=half", *quick)
    assert code == 0, output
    assert "bits below R(D), which no code reaches" in " ".join(output.split())


def test_a_folder_of_the_environment_is_named_so(call):
    code, output = call(train.main, environment="nowhere")
    assert (code, "LTC_CONFIG_DIR=nowhere: there is no such folder" in output) == (2, True)


def test_a_name_that_ltc_has_is_refused(call, plugins):
    (plugins / "quantizer" / "e8.yaml").write_text(YAML["quantizer"])
    code, output = call(train.main, "--config-dir", plugins, "quantizer=e8")
    assert code == 2
    assert "quantizer=e8 is a name that ltc has" in output


def test_a_transform_that_overlaps_and_a_distortion(call, tmp_path):
    rng = np.random.default_rng(0)
    x = np.zeros((4000, 1), np.float32)
    for i in range(1, len(x)):
        x[i] = 0.95 * x[i - 1] + rng.normal()
    np.save(tmp_path / "x.npy", x)
    mine = ["--config-dir", Path(__file__).parents[1] / "plugins"]
    folder = tmp_path / "run"
    code, output = call(
        train.main,
        *(
            *mine,
            "transform=modulated",
            "transform.stride=2",
            "distortion=fourth_power",
            "quantizer=e8",
            "steps=20",
        ),
        *("source=array", f"source.path={tmp_path / 'x.npy'}", "source.split=place"),
        *(
            "source.held_out=0.5",
            "source.block=32",
            "quantizer.rdo=true",
            "quantizer.scale=0.5",
            "lmbda=20",
        ),
        *("trainer=cpu", "bound=none", f"hydra.run.dir={folder}"),
    )
    assert code == 0, output
    metrics = json.loads((folder / "metrics.json").read_text())
    assert (metrics["transform"], metrics["distortion_measure"]) == ("modulated", "fourth_power")
    assert metrics["snr_db"] is None
    assert metrics["bitstream_rate"] > metrics["rate"]

    files = tmp_path / "x.npy", tmp_path / "x.ltc", tmp_path / "y.npy"
    code, output = call(compress.compress, *files[:2], f"ckpt={folder}", *mine)
    assert code == 0, output
    code, output = call(compress.decompress, *files[1:], f"ckpt={folder}", *mine)
    assert code == 0, output
    error = (np.load(files[2]) - x)[-2000:] / x[:-2000].std()  # what gave the scale, not held out
    assert (error**4).mean() == pytest.approx(metrics["distortion"], rel=0.1)
