"""Fixed-rate streams: decode undoes encode, the length is fixed, damage is refused."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ltc.codec import FixedRateCode
from ltc.errors import InputError
from ltc.lattices import A2, E8, DnDual, Zn
from ltc.quantizers import NestedQuantizer

CODES = {
    (lattice.name, ratio): FixedRateCode(NestedQuantizer(lattice, ratio), rows=2)
    for lattice in (Zn(1), A2(), DnDual(4), E8())
    for ratio in (2, 3, 4, 100, 65536)
}


def codewords(code, count, seed=0):
    quantizer = code.quantizer
    shape = (count, 2, quantizer.lattice.dimension)
    rng = torch.Generator().manual_seed(seed)
    return quantizer.point(torch.randint(quantizer.ratio, shape, generator=rng))


@pytest.mark.parametrize("code", CODES.values(), ids=map(str, CODES))
@pytest.mark.parametrize("count", [0, 1, 1000])
def test_decode_undoes_encode_at_a_fixed_length(code, count):
    points = codewords(code, count)
    stream = code.encode(points)
    assert torch.equal(code.decode(stream, count), points)
    bits = points.numel() * math.log2(code.quantizer.ratio)
    assert 8 * len(stream) <= bits * (1 + 1e-6) + 16
    assert count == 0 or 8 * len(stream) >= bits - 8  # zeros at the end are not written
    chunks = code.encode_chunks(points, target=1000)
    assert sum(vectors for vectors, _ in chunks) == count
    decoded = code.decode_chunks(chunks)
    assert torch.equal(torch.cat([points[:0], *decoded]), points)


def test_other_points_are_refused():
    code = CODES["e8", 4]
    points = codewords(code, 3)
    points[1, 0, 0] += 0.1
    with pytest.raises(InputError, match="vector 1 is no codeword"):
        code.encode(points)
    points = codewords(code, 3)
    points[2] += 4 * E8().closest_point(torch.full((8,), 3.0))
    with pytest.raises(InputError, match="vector 2 is no codeword"):
        code.encode(points)


@settings(deadline=None)
@given(
    stream=st.binary(max_size=200), count=st.integers(0, 100), ratio=st.sampled_from([2, 3, 100])
)
def test_hostile_streams_give_codewords_or_are_refused(stream, count, ratio):
    code = CODES["a2", ratio]
    try:
        points = code.decode(stream, count)
    except InputError:
        return
    assert points.shape == (count, 2, 2)
    assert torch.equal(code.quantizer.point(code.quantizer.index(points)), points)


def test_cut_and_enormous_streams_are_refused():
    code = CODES["e8", 4]
    stream = code.encode(codewords(code, 1000))
    with pytest.raises(InputError, match="damaged"):
        code.decode(stream[:400], 1000)
    with pytest.raises(InputError, match="larger"):
        code.decode(stream, 1 << 30)


def test_the_vector_that_is_no_codeword_is_named():
    code = CODES["e8", 4]
    points = codewords(code, 3000)
    points[2500, 1, 0] += 0.1
    with pytest.raises(InputError, match="vector 2500 is no codeword"):
        code.encode_chunks(points, target=100)


def test_chunks_do_not_depend_on_threads():
    code = CODES["e8", 3]
    points = codewords(code, 3000)
    threads = torch.get_num_threads()
    streams = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            streams.append(code.encode_chunks(points, target=100))
    finally:
        torch.set_num_threads(threads)
    assert streams[0] == streams[1]
    assert torch.equal(torch.cat(code.decode_chunks(streams[0])), points)


def test_fingerprints_differ():
    assert len({code.fingerprint for code in CODES.values()}) == len(CODES)
