"""Trellises that repeat without end: one path for each channel, in bits, streams and files."""

import math

import numpy as np
import pytest
import torch

from ltc.codec import Container, FileCoder, LatticeCode, Payload, code_for
from ltc.coder import LatticeTransformCoder, sequence
from ltc.entropy import Exact
from ltc.errors import InputError
from ltc.lattices import Convolutional
from ltc.quantizers import LatticeQuantizer, Layout
from ltc.runs.evaluate import measure
from ltc.transforms import Identity


def coder(states=8, channels=2, length=64, rdo=False, lmbda=8.0):
    """Return a coder fitted to Gaussian blocks."""
    torch.manual_seed(0)
    lattice = Convolutional(states, length)
    layout = Layout(length, channels, length)
    quantizer = LatticeQuantizer(lattice, rdo=rdo)
    entropy = Exact(lattice, layout.channel)
    model = LatticeTransformCoder(Identity(channels), quantizer, layout, entropy, lmbda)
    blocks = torch.randn(400, length, channels) * torch.linspace(1, 0.5, channels)
    model.initialise(blocks)
    entropy.fit(model.encode(blocks), layout.channel)
    return model


def gaussian(model, count, seed=1):
    generator = torch.Generator().manual_seed(seed)
    channels = model.transform.dimension
    return torch.randn(count, channels, generator=generator) * torch.linspace(1, 0.5, channels)


def test_probabilities_of_all_paths_sum_to_one():
    model = coder(states=4, channels=1)
    line = torch.arange(-11.0, 12.0) / 2
    paths = torch.cartesian_prod(line, line, line)
    # A path of the trellis is one where a closest point is the point itself.
    lattice = model.quantizer.lattice.of_length(3)
    paths = paths[(lattice.closest_point(paths) == paths).all(-1)][:, None]
    with model.of_length(3):
        bits = model.entropy.bits_along(paths, model.layout.channel, lattice.section)
    # Of later coordinates nothing is needed: they sum to one themselves.
    assert float(torch.exp2(-bits.sum((-1, -2))).sum()) == pytest.approx(1, abs=1e-3)


def test_in_the_long_run_it_is_the_model_of_blocks():
    """Of a long block the two differ by what its ends cost, and by nothing each coordinate."""
    model, excess = coder(channels=1), []
    for length in (500, 4000):
        with model.of_length(length), torch.no_grad():
            points = model.encode(gaussian(model, length)[None])
            blocks = float(model.bits(points).double())
            section = model.quantizer.lattice.section
            along = model.entropy.bits_along(points, model.table(points), section)
        excess.append(blocks - float(along.sum()))
    assert abs(excess[0] - excess[1]) < 4
    assert abs(excess[1]) < 8


@pytest.mark.parametrize(("states", "channels"), [(4, 1), (8, 3), (256, 2)])
@pytest.mark.parametrize("rdo", [False, True])
def test_stream_is_as_long_as_the_model_says(states, channels, rdo):
    model = coder(states, channels, rdo=rdo)
    code = code_for(model)
    x = gaussian(model, 2011)  # no multiple of anything
    points = sequence.encode(model, x)
    assert points.shape == (2011, *code.shape) == (2011, channels, 1)
    bits = float(sequence.vector_bits(model, points).sum())
    stream = code.encode(points)
    assert -8 - 1e-3 * bits <= 8 * len(stream) - bits <= 16 + 1e-3 * bits
    decoded = code.decode(stream, len(points))
    assert torch.equal(decoded.float(), points)
    assert torch.equal(sequence.decode(model, points), sequence.decode(model, decoded.float()))
    error = sequence.decode(model, points) - x
    assert float(error.square().mean()) < 0.2 * float(x.square().mean())


def test_chunks_stand_alone_and_cost_little():
    model = coder(states=256, channels=4)
    code = code_for(model)
    points = sequence.encode(model, gaussian(model, 4000))
    chunks = code.encode_chunks(points)
    assert len(chunks) > 2
    states = 4 * 8  # bits
    assert all(8 * len(stream) * 0.005 >= states for _, stream in chunks[:-1])
    start = 0
    for count, stream in chunks:
        alone = code.decode(stream, count)
        assert torch.equal(alone.float(), points[start : start + count])
        start += count
    written = 8 * sum(len(stream) for _, stream in chunks)
    assert written - 8 * len(code.encode(points)) <= len(chunks) * (states + 12)


def test_one_table_for_each_state_and_channel():
    model = coder(states=8, channels=2, length=256)
    tables = code_for(model).tables
    assert len(tables["branch_left"]) == 2 * 2 * 8
    assert tables["branch_at"].shape == (2, 1)


def test_long_sequences_start_anew(monkeypatch):
    model = coder(channels=2)
    monkeypatch.setattr("ltc.coder.sequence.LONGEST", 500)
    monkeypatch.setattr("ltc.codec.base.LARGEST_CHUNK", 500)
    code = code_for(model)
    assert sequence.longest(model) == code.most_vectors == 250
    blocks = gaussian(model, 64 * 40).unflatten(0, (-1, 64))
    measured, written = measure(model, blocks, code)
    assert measured.rate < written < measured.rate + 0.2


def test_evaluation_sees_one_path_and_its_blocks():
    model = coder(states=64, channels=1, length=64)
    blocks = gaussian(model, 64 * 400).unflatten(0, (-1, 64))
    along, _ = measure(model, blocks)
    with torch.no_grad():
        points = model.encode(blocks)
        rate = float(model.bits(points).double().mean()) / 64
        distortion = float((model.decode(points) - blocks).square().mean())
    cost = rate + 0.5 * math.log2(distortion)  # of the same code in blocks, which lose at the start
    assert along.rate + 0.5 * math.log2(along.distortion) < cost - 0.01
    assert 0 < along.rate_stderr < 0.02


@pytest.mark.parametrize("shape", [(37, 3), (1, 3), (1000,), (0, 3)])
def test_files_have_no_padding(shape):
    model = coder(states=8, channels=3)
    files = FileCoder(model, code_for(model), {"dimension": 3})
    array = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    data = files.compress(Payload("array", {"array": array}, ".npy"))
    count = math.ceil(array.size / 3)
    assert sum(vectors for vectors, _ in Container.unpack(data).chunks) == count
    decoded, damaged = files.decompress(data)
    assert decoded.arrays["array"].shape == shape
    assert damaged == []
    assert array.size == 0 or np.square(decoded.arrays["array"] - array).mean() < 0.3


def test_what_is_damaged_costs_its_chunk():
    model = coder(states=8, channels=1)
    files = FileCoder(model, code_for(model), {"dimension": 1})
    array = gaussian(model, 30_000).numpy()
    data = bytearray(files.compress(Payload("array", {"array": array}, ".npy")))
    whole = files.decompress(bytes(data))[0].arrays["array"]
    sizes = [count for count, _ in Container.unpack(bytes(data)).chunks]
    data[len(data) // 2] ^= 1
    with pytest.raises(InputError, match="damaged"):
        files.decompress(bytes(data))
    decoded, (lost,) = files.decompress(bytes(data), salvage=True)
    begin = sum(sizes[:lost])
    same = decoded.arrays["array"][:, 0] == whole[:, 0]
    assert same[:begin].all()
    assert same[begin + sizes[lost] :].all()
    assert not same.all()


def test_forged_streams_decode_in_bounds():
    code = code_for(coder(states=8, channels=2))
    rng = np.random.default_rng(0)
    for _ in range(200):
        stream = rng.bytes(40)
        try:
            assert code.decode(stream, 50).shape == (50, 2, 1)
        except InputError:
            continue


def test_blocks_stay_where_a_path_runs_along_channels():
    layout = Layout(16, 32, 1)
    lattice = Convolutional(8, 16)
    entropy = Exact(lattice, layout.channel)
    model = LatticeTransformCoder(Identity(32), LatticeQuantizer(lattice), layout, entropy, 8)
    assert model.endless is None
    model.initialise(torch.randn(500, 1, 32))
    points = sequence.encode(model, torch.randn(50, 32))
    code = LatticeCode.of(entropy, layout.channel)
    assert torch.equal(code.decode(code.encode(points), 50).float(), points)


def test_states_of_many_rows():
    """Any state of any row can begin a chunk."""
    model = coder(states=16, channels=5)
    code = code_for(model)
    points = sequence.encode(model, gaussian(model, 300))
    chunks = code.encode_chunks(points, target=1)
    assert len(chunks) > 30
    assert torch.equal(torch.cat(code.decode_chunks(chunks)).float(), points)
