"""An entropy model of one's own whose table depends on a neighbour."""

import json
import math
import sys

import numpy as np
import pytest
import torch

from ltc.cli import compress, train
from ltc.codec import LatticeCode
from ltc.coder import LatticeTransformCoder
from ltc.entropy import Exact
from ltc.errors import InputError
from ltc.lattices import A2, Zn
from ltc.quantizers import LatticeQuantizer, Layout
from ltc.transforms import Identity

MODULE = '''
import torch

from ltc.entropy import Exact


class AfterItsNeighbour(Exact):
    """Two tables for each channel: after a long lattice vector in the row before, and another."""

    context = True

    def __init__(self, lattice, channel, least=8.0):
        super().__init__(lattice, channel, classes=2)
        self.least = least

    def table(self, points, channel):
        length = points.square().sum(-1, keepdim=True)
        before = torch.cat([torch.zeros_like(length[..., :1, :]), length[..., :-1, :]], -2)
        return channel[:, :1] + self.channels * (before > self.least)
'''
NAMESPACE: dict = {}
exec(MODULE, NAMESPACE)
AfterItsNeighbour = NAMESPACE["AfterItsNeighbour"]


def in_common(count, block, seed=0):
    """Return blocks of pairs that are large or small together, shape (count, block, 2)."""
    generator = torch.Generator().manual_seed(seed)
    scale = torch.where(torch.rand(count, 1, 1, generator=generator) < 0.5, 0.2, 1.4)
    return scale * torch.randn(count, block, 2, generator=generator)


def coder(lattice, rdo=False):
    layout = Layout(lattice.dimension, 2, lattice.dimension)
    model = LatticeTransformCoder(
        Identity(2), LatticeQuantizer(lattice, rdo=rdo), layout,
        AfterItsNeighbour(lattice, layout.channel, least=1.0), lmbda=8,
    )  # fmt: skip
    x = in_common(4000, layout.block)
    model.initialise(x)
    return model, x


def test_probabilities_sum_to_one():
    torch.manual_seed(0)
    channel = torch.tensor([[0], [1]])
    model = AfterItsNeighbour(Zn(), channel, least=1.0).double()
    with torch.no_grad():
        model.density.mean.normal_()
    line = torch.arange(-20.0, 21.0, dtype=torch.float64)
    points = torch.cartesian_prod(line, line)[:, :, None]
    table = model.table(points, channel)
    assert set(table.unique().tolist()) == {0, 1, 3}  # of row 0 nothing is known
    total = torch.exp2(-model.bits(points, table).sum(-1)).sum()
    assert float(total.detach()) == pytest.approx(1, abs=1e-9)


@torch.no_grad()
def test_a_dither_that_all_share_is_no_other_model():
    model, x = coder(A2())
    points = model.encode(x[:50])
    table = model.table(points)
    assert len(table.unique()) > 2
    dither = 0.2 * torch.randn(1, *points.shape[1:])
    shared = model.entropy.log_partition(table, dither)
    each = model.entropy.log_partition(table, dither.expand_as(points))
    assert torch.allclose(shared, each, atol=1e-5)


@pytest.mark.parametrize("rdo", [False, True])
def test_the_bitstream_has_the_length_that_the_model_says(rdo):
    model, x = coder(A2(), rdo)
    with torch.no_grad():
        points = model.encode(x)
        model.entropy.fit(points.detach(), model.table(points))
        points = model.encode(x)
        bits = float(model.bits(points).double().sum())
        alone = Exact(A2(), model.layout.channel)
        alone.initialise(model.vectors(x), model.layout.channel)
        with torch.enable_grad():
            alone.fit(points, model.layout.channel)
        without = float(alone.bits(points, model.layout.channel).double().sum())
    assert bits < without - 0.05 * x.numel()
    code = LatticeCode.of(model.entropy, model.layout.channel)
    points = points.flatten(0, 1)
    chunks = code.encode_chunks(points, target=500)
    assert len(chunks) > 2
    written = 8 * sum(len(stream) for _, stream in chunks)
    assert written == pytest.approx(bits, abs=16 * len(chunks) + 1e-3 * bits)
    assert torch.equal(torch.cat(code.decode_chunks(chunks)).float(), points)


def test_the_same_context_for_all_is_no_context():
    model, x = coder(A2())
    model.entropy.least = math.inf
    points = model.encode(x)
    channel = model.layout.channel
    same = model.entropy.bits(points, channel)
    assert torch.allclose(model.entropy.bits(points, model.table(points)), same, atol=1e-4)


def test_tables_that_are_none_are_refused():
    model, x = coder(A2())
    code = LatticeCode.of(model.entropy, model.layout.channel)
    code.context = lambda points: torch.full((len(points), 2, 1), 9)
    with pytest.raises(InputError, match="chose table 9 to 9; it has tables 0 to 3"):
        code.encode(model.encode(x).flatten(0, 1))


def test_it_goes_through_every_command(monkeypatch, tmp_path, capsys):
    x = in_common(600, 8).flatten(0, 1).numpy().astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    (tmp_path / "mine/entropy").mkdir(parents=True)
    text = "_target_: my_contexts.AfterItsNeighbour\nleast: 8.0\n"
    (tmp_path / "mine/entropy/mine.yaml").write_text(text)
    (tmp_path / "mine/my_contexts.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LTC_CONFIG_DIR", str(tmp_path / "mine"))
    monkeypatch.setattr(sys, "path", list(sys.path))

    def run(main, *arguments):
        monkeypatch.setattr(sys, "argv", ["ltc", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code
        assert not code, capsys.readouterr()

    rates = {}
    for entropy in ("exact", "mine"):
        run(
            train.main, "source=array", "source.path=x.npy", "source.block=8", "source.split=place",
            "transform=identity", "quantizer=e8", f"entropy={entropy}", "steps=100", "bound=none",
            "trainer=cpu", f"hydra.run.dir={entropy}",
        )  # fmt: skip
        rates[entropy] = json.loads((tmp_path / entropy / "metrics.json").read_text())
    cost = {name: m["rate"] + m["lmbda"] * m["distortion"] for name, m in rates.items()}
    assert cost["mine"] < cost["exact"] - 0.04
    # 480 vectors are a small file: 90 bytes of header.
    assert 0 < rates["mine"]["bitstream_rate"] - rates["mine"]["rate"] < 8 * 150 / 960
    run(compress.compress, "x.npy", "x.ltc", "ckpt=mine")
    run(compress.decompress, "x.ltc", "y.npy", "ckpt=mine")
    error = np.square(np.load("y.npy") - x).mean() / x.var()
    assert error == pytest.approx(rates["mine"]["distortion"], rel=0.3)
