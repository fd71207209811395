"""The `.ltc` file."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltc.codec import Container
from ltc.errors import InputError

CHUNKS = [(10, b"first stream"), (0, b""), (1 << 20, bytes(range(200)))]
FILE = Container(bytes(range(16)), {"kind": "array", "shape": [3, 4]}, CHUNKS)


def test_round_trip():
    assert Container.unpack(FILE.pack()) == FILE


@given(
    position=st.integers(0, len(FILE.pack()) - 1), flip=st.integers(1, 255), salvage=st.booleans()
)
def test_every_flipped_byte_is_found(position, flip, salvage):
    data = bytearray(FILE.pack())
    data[position] ^= flip
    try:
        found = Container.unpack(bytes(data), salvage)
    except InputError:
        return
    if 5 <= position < 8:
        pytest.fail("the header's checksum covers its padding")
    assert salvage
    assert sum(stream is None for _, stream in found.chunks) == 1
    for (_, stream), (_, original) in zip(found.chunks, CHUNKS, strict=True):
        assert stream in (None, original)


@given(length=st.integers(0, len(FILE.pack()) - 1))
def test_every_cut_is_found(length):
    with pytest.raises(InputError):
        Container.unpack(FILE.pack()[:length])


@given(data=st.binary(max_size=300))
def test_noise_is_refused(data):
    for candidate in (data, FILE.pack()[:32] + data, FILE.pack() + b"x" + data):
        with pytest.raises(InputError):
            Container.unpack(candidate)


def test_damaged_chunks_are_named():
    data = bytearray(FILE.pack())
    data[-1] ^= 1
    with pytest.raises(InputError, match="chunk 2 of 3"):
        Container.unpack(bytes(data))
    assert [stream for _, stream in Container.unpack(bytes(data), True).chunks][:2] == [
        b"first stream",
        b"",
    ]
