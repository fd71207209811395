"""The `.ltc` file."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltc.codec import Container
from ltc.codec.container import Parts
from ltc.errors import InputError

CHUNKS = [(10, b"first stream"), (1, b""), (1 << 20, bytes(range(200)))]
FILE = Container(bytes(range(8)), {"kind": "array", "shape": [3, 4]}, CHUNKS)


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
    for candidate in (data, FILE.pack()[:19] + data, FILE.pack() + b"x" + data):
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


@given(
    chunks=st.lists(st.tuples(st.integers(1, 1 << 20), st.binary(max_size=40)), max_size=30),
    size=st.integers(0, 70_000),
)
def test_any_chunks_come_back(chunks, size):
    container = Container(bytes(8), {}, [*chunks, (7, bytes(size))])
    assert Container.unpack(container.pack()) == container


def test_entries_of_like_chunks_have_five_bytes():
    def size(count):
        return len(
            Container(
                bytes(8), {}, [(500 + i % 50, bytes(1000 + i % 9)) for i in range(count)]
            ).pack()
        )

    streams = sum(1000 + i % 9 for i in range(100, 200))
    assert size(200) - size(100) - streams <= 5 * 100 + 10


@pytest.mark.parametrize("vectors", [-1, 0, (1 << 20) + 1, 1 << 40, 1 << 90])
def test_absurd_numbers_of_vectors_are_refused(vectors):
    with pytest.raises(InputError, match="chunk"):
        Container.unpack(Container(bytes(8), {}, [(5, b"x"), (vectors, b"y")]).pack())


def test_damage_that_the_small_checksums_miss_is_found():
    """CRC-16 has collisions; the CRC-32 of all chunks has others."""
    data = bytearray(FILE.pack())
    polynomial = 0x11021
    stream = int.from_bytes(data[-200:], "big") ^ polynomial << 80
    data[-200:] = stream.to_bytes(200, "big")
    for salvage in (False, True):
        with pytest.raises(InputError, match="nothing tells where"):
            Container.unpack(bytes(data), salvage)


def test_a_small_array_has_a_small_header():
    metadata = {"kind": "array", "suffix": ".npy", "arrays": [["array", [300, 4], "<f4"]]}
    assert len(Container(bytes(8), metadata, [(300, bytes(300))]).pack()) <= 300 + 42


@pytest.mark.parametrize("metadata", [b"", b"\xff" * 20, b"[]", b"{", b"\xff\xfe"])
def test_metadata_of_another_kind_are_refused(metadata):
    with pytest.raises(InputError, match="metadata"):
        Container.unpack(Parts(bytes(8), metadata, b"", b"").pack())


def test_metadata_that_inflate_without_end_take_no_memory():
    with pytest.raises(InputError, match="too large"):
        Container.unpack(Parts(bytes(8), b" " * (1 << 25), b"", b"").pack())
