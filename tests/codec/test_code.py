"""Coding of lattice points."""

import contextlib
import functools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ltc.codec import LatticeCode
from ltc.codec.range_coder import TOTAL
from ltc.entropy import Exact
from ltc.errors import InputError
from ltc.lattices import (
    A2,
    AE9,
    BW16,
    D6D6,
    E6,
    E6E6,
    E7,
    E8,
    K12,
    A11Coxeter,
    An,
    AnDual,
    Convolutional,
    D10Plus,
    Dn,
    DnDual,
    E6Dual,
    E7Dual,
    Glued13,
    Glued14,
    LaminatedDual,
    Leech,
    Zn,
)

GOSSET = E8()
LATTICES = [Zn(), Zn(3), A2(), Dn(5), DnDual(4), GOSSET, Convolutional(16, 40)]
REST = [An(5), AnDual(5), E6(), E6Dual(), E7(), E7Dual(), K12(), BW16(), Leech()]
REST += [AE9(), D10Plus(), A11Coxeter(), D6D6(), E6E6(), Glued13(), Glued14()]
REST += [LaminatedDual(17), LaminatedDual(23)]


def name(lattice):
    return f"{lattice.name}{lattice.dimension}"


def channel_of(points):
    """The channel of each coordinate of points, shape (count, rows, n)."""
    return torch.arange(points[0].numel()).reshape(points.shape[1:])


@functools.cache  # no test changes what it returns
def trained(lattice, scale=1.0, rows=1, seed=0, corrected=False):
    """Return a model fitted to Gaussian vectors, its code, and points."""
    torch.manual_seed(seed)
    n = lattice.dimension
    channel = torch.arange(rows * n).reshape(rows, n)
    model = Exact(lattice, channel)
    vectors = scale * torch.randn(4000, rows, n) * torch.linspace(0.5, 2, rows)[:, None]
    model.initialise(vectors, channel)
    if corrected:
        model.free_points()
        model.correction.value.uniform_(-2, 2)
    return model, LatticeCode.of(model, channel), lattice.closest_point(vectors)


@pytest.mark.parametrize("lattice", LATTICES, ids=name)
@pytest.mark.parametrize("scale", [0.2, 1.0, 20.0])
@pytest.mark.parametrize("corrected", [False, True])
def test_stream_is_as_long_as_the_model_says(lattice, scale, corrected):
    model, code, points = trained(lattice, scale, rows=2, corrected=corrected)
    with torch.no_grad():
        bits = float(model.bits(points, channel_of(points)).double().sum())
    stream = code.encode(points)
    # 24 bits of precision, and the coder ends on a byte.
    excess = 8 * len(stream) - bits
    assert -8 - 1e-3 * bits <= excess <= 16 + 1e-3 * bits
    decoded = code.decode(stream, len(points))
    assert torch.allclose(decoded.float(), points, atol=1e-4)
    # What was decoded encodes to the same bytes: both are the same path and the same integers.
    assert code.encode(decoded) == stream


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("lattice", [*LATTICES, *REST], ids=name)
def test_decoded_points_are_the_quantizers_to_the_last_bit(lattice, dtype):
    _, code, _ = trained(lattice)
    x = 3 * torch.randn(500, 1, lattice.dimension, dtype=dtype)
    x[:10] *= 1e4  # outliers
    points = lattice.closest_point(x)
    assert torch.equal(code.decode(code.encode(points), len(points)).to(dtype), points)


@pytest.mark.parametrize("lattice", LATTICES, ids=name)
def test_tables_are_probabilities(lattice):
    _, code, _ = trained(lattice)
    graph, tables = code.graph, code.tables
    branch = tables["branch_left"].astype(np.int64)
    assert (branch[..., 1] > 0).all()
    for kind, at in zip(graph.kind, tables["branch_at"][0], strict=True):
        ranges = graph.ranges(kind)
        sums = np.add.reduceat(branch[at : at + ranges[-1], 1], ranges[:-1])
        assert (sums == TOTAL).all()
    for start, end in zip(tables["start"][:-1], tables["start"][1:], strict=True):
        left = tables["left"][start:end].astype(np.int64)
        assert left[0] == 0
        assert left[-1] == TOTAL
        assert (np.diff(left) > 0).all()


def test_sections_that_have_converged_share_tables():
    length = 400
    lattice = Convolutional(16, length)
    channel = torch.tensor([[0]])
    model = Exact(lattice, channel)
    vectors = torch.randn(1000, 1, length, generator=torch.Generator().manual_seed(0))
    model.initialise(vectors, channel)
    tables = LatticeCode.of(model, channel).tables
    assert len(tables["branch_left"]) < 50 * 2 * 16


@pytest.mark.parametrize("key", ["branch_at", "branch_left", "coset_at", "start", "left", "first"])
@pytest.mark.parametrize(
    "forge",
    [
        lambda table: table.flatten()[:-1],
        lambda table: table[:0],
        lambda table: table.bool(),
        lambda table: table.float() * math.nan,
        lambda table: table[None],
        lambda table: torch.stack([table, table], -1),
        lambda table: [1],
        lambda table: table.to("meta"),
        lambda table: table.to_sparse(),
        lambda table: table[:1].expand(1 << 40, *table.shape[1:]),
    ],
)
def test_tables_of_another_kind_are_refused(key, forge):
    model, code, points = trained(GOSSET, rows=2)
    state = code.state()
    state[key] = forge(state[key])
    with pytest.raises(InputError, match="frozen code"):
        LatticeCode.of(model, channel_of(points), state=state)


@pytest.mark.parametrize("key", ["branch_at", "branch_left", "coset_at", "start", "left"])
@pytest.mark.parametrize("forge", [lambda table: -table - 1, lambda table: table + (1 << 62)])
def test_tables_out_of_range_are_refused(key, forge):
    model, code, points = trained(GOSSET, rows=2)
    state = code.state()
    state[key] = forge(state[key])
    with pytest.raises(InputError, match="frozen code"):
        LatticeCode.of(model, channel_of(points), state=state)


def test_places_that_overflow_are_refused():
    """Steps from one place to the next that wrap around 2^64 look positive."""
    model, code, points = trained(GOSSET)
    state = code.state()
    state["start"][1], state["start"][2], state["start"][3] = (1 << 63) - 1, -(1 << 63) + 5, -1
    with pytest.raises(InputError, match="frozen code"):
        LatticeCode.of(model, channel_of(points), state=state)


def test_points_of_another_shape_are_refused():
    _, code, points = trained(GOSSET)
    with pytest.raises(InputError, match="shape"):
        code.encode(points.expand(-1, 64, -1))


@pytest.mark.parametrize("key", ["branch_at", "branch_left", "coset_at", "start", "left", "first"])
@given(data=st.data())
@settings(max_examples=20, deadline=None)
def test_forged_tables_are_refused_or_decode_in_bounds(key, data):
    lattice = GOSSET
    model, code, points = trained(lattice)
    stream = code.encode(points[:20])
    state = {name: value.clone() for name, value in code.state().items()}
    flat = state[key].reshape(-1)
    place = data.draw(st.integers(0, len(flat) - 1))
    flat[place] = data.draw(st.integers(-(2**63), 2**63 - 1))
    with contextlib.suppress(InputError):
        forged = LatticeCode.of(model, channel_of(points), state=state)
        assert forged.decode(stream, 20).shape == (20, 1, 8)


@settings(deadline=None, max_examples=60)
@given(
    which=st.integers(0, len(LATTICES) - 1),
    count=st.integers(0, 40),
    scale=st.sampled_from([0.0, 1e-3, 1.0, 1e3, 1e6, 1e9]),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_point_can_be_coded(which, count, scale, seed):
    lattice = LATTICES[which]
    _, code, _ = trained(lattice)
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(count, 1, lattice.dimension, generator=generator, dtype=torch.float64)
    outliers = torch.rand(vectors.shape, generator=generator) < 0.1
    points = lattice.closest_point(torch.where(outliers, vectors * scale, vectors))
    decoded = code.decode(code.encode(points), count)
    assert torch.allclose(decoded, points, rtol=1e-12, atol=1e-9)


def test_chunks_do_not_depend_on_threads():
    _, code, points = trained(GOSSET, 5.0)
    threads = torch.get_num_threads()
    streams = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            streams.append(code.encode_chunks(points, target=1000))
    finally:
        torch.set_num_threads(threads)
    assert streams[0] == streams[1]
    assert len(streams[0]) > 2
    sizes = [len(stream) for _, stream in streams[0]]
    assert all(1000 <= size <= 1000 + 4 * 8 for size in sizes[:-1])
    decoded = torch.cat(code.decode_chunks(streams[0]))
    assert torch.allclose(decoded.float(), points, atol=1e-4)


def test_state_restores_the_code():
    model, code, points = trained(GOSSET)
    restored = LatticeCode.of(model, channel_of(points), state=code.state())
    assert restored.fingerprint == code.fingerprint
    assert restored.encode(points) == code.encode(points)
    with pytest.raises(InputError, match="does not fit"):
        LatticeCode.of(trained(A2())[0], channel_of(points), state=code.state())


def test_bad_input():
    _, code, _ = trained(GOSSET)
    with pytest.raises(InputError, match="no point of the lattice"):
        code.encode(torch.full((1, 1, 8), 0.3))
    with pytest.raises(InputError, match="damaged"):
        code.decode(b"", 10_000)
    with pytest.raises(InputError, match="larger than any"):
        code.decode(b"", 1 << 30)


def test_the_vector_that_is_no_point_is_named():
    _, code, points = trained(GOSSET, 5.0)
    points = points.clone()
    points[1234, 0, 3] += 0.3
    with pytest.raises(InputError, match="vector 1234 is no point"):
        code.encode_chunks(points, target=100)


@pytest.mark.parametrize("lattice", [LATTICES[1], GOSSET, LATTICES[-1]], ids=name)
def test_chunks_cost_a_byte_each_beyond_one_stream(lattice):
    _, code, points = trained(lattice)
    chunks = code.encode_chunks(points, target=100)
    whole = len(code.encode(points))
    assert len(chunks) > 10
    assert sum(len(stream) for _, stream in chunks) - whole <= 1.5 * len(chunks)
