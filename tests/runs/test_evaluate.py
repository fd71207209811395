"""The numbers that runs report."""

import math

import pytest
import torch

from ltc.codec import LatticeCode
from ltc.coder import LatticeTransformCoder
from ltc.entropy import Exact
from ltc.lattices import E8, GeneratorLattice, Leech
from ltc.quantizers import LatticeQuantizer, Layout
from ltc.runs.evaluate import measure
from ltc.transforms import Identity


@pytest.mark.parametrize(
    "lattice", [E8(), Leech(), GeneratorLattice(E8().generator_matrix)], ids=lambda x: x.name
)
def test_bytes_are_read_back_and_as_many_as_the_rate_says(lattice):
    torch.manual_seed(0)
    n = lattice.dimension
    layout = Layout(n, n)
    entropy = Exact(lattice, layout.channel)
    model = LatticeTransformCoder(Identity(n), LatticeQuantizer(lattice), layout, entropy, lmbda=8)
    x = torch.randn(4000, 1, n)
    model.initialise(x)
    code = LatticeCode.of(entropy, layout.channel)
    measured, written = measure(model, x, code)
    assert measured.rate < written < measured.rate + 0.01 + 8 * 200 / x.numel()
    assert math.isfinite(written)
