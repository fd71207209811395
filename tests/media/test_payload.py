"""Pictures, sounds and arrays: as they came in, or one message."""

import io
import struct
import zipfile
import zlib

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageOps

from ltc.errors import InputError
from ltc.media import Payload, read_sound

RNG = np.random.default_rng(0)


def picture(array, form="PNG", **options):
    """Return the bytes of a picture file."""
    stream = io.BytesIO()
    image = array if isinstance(array, Image.Image) else Image.fromarray(array)
    image.save(stream, form, **options)
    return stream.getvalue()


def sound(samples, subtype="PCM_16", form="WAV", rate=8000):
    """Return the bytes of a sound file."""
    stream = io.BytesIO()
    soundfile.write(stream, samples, rate, subtype, format=form)
    return stream.getvalue()


def archive(entries):
    """Return the bytes of a zip file."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name, content in entries:
            file.writestr(name, content)
    return stream.getvalue()


def array_file(array):
    """Return the bytes of a `.npy` file."""
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def deep_png(channels, kind):
    """Return 16-bit pixels and a PNG of them, filtered by nothing, as other programs write it."""
    pixels = RNG.integers(0, 65536, (5, 7, channels), dtype=np.uint16)
    if channels == 4:
        pixels[..., 3] = 65535
    lines = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    data = b"\x89PNG\r\n\x1a\n"
    header = struct.pack(">IIBBBBB", 7, 5, 16, kind, 0, 0, 0)
    for name, body in ((b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b"")):
        data += struct.pack(">I", len(body)) + name + body
        data += struct.pack(">I", zlib.crc32(name + body))
    return pixels, data


GREY = RNG.integers(0, 256, (9, 12), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (9, 12, 3), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (9, 12), dtype=np.uint16)
OPAQUE = np.full((9, 12), 255, np.uint8)


def palette(array):
    """Return a picture with a palette of few colours, and its pixels."""
    image = Image.fromarray(array).quantize(8)
    return image, np.asarray(image.convert("RGB"))


PICTURES = {
    "grey": (picture(GREY), GREY),
    "colour": (picture(COLOUR), COLOUR),
    "one pixel": (picture(GREY[:1, :1]), GREY[:1, :1]),
    "one row": (picture(np.tile(GREY[:1], (1, 900))), np.tile(GREY[:1], (1, 900))),
    "two levels": (picture(GREY > 99), 255 * (GREY > 99).astype(np.uint8)),
    "16 bits": (picture(DEEP), DEEP),
    "16 bits, TIFF": (picture(DEEP, "TIFF"), DEEP),
    "16 bits, colour": deep_png(3, 2)[::-1],
    "16 bits, colour, opaque": (lambda p, data: (data, p[..., :3]))(*deep_png(4, 6)),
    "opaque": (picture(np.dstack([COLOUR, OPAQUE])), COLOUR),
    "opaque grey": (picture(Image.merge("LA", [*map(Image.fromarray, (GREY, OPAQUE))])), GREY),
    "palette": (picture(palette(COLOUR)[0]), palette(COLOUR)[1]),
    "grey palette": (picture(palette(GREY)[0]), palette(GREY)[1][..., 0]),
    "grey GIF": (picture(GREY, "GIF"), GREY),
    "colour GIF": (picture(palette(COLOUR)[0], "GIF"), palette(COLOUR)[1]),
    "BMP": (picture(COLOUR, "BMP"), COLOUR),
    "16 bits in 32": (picture(Image.fromarray(DEEP.astype(np.int32)), "TIFF"), DEEP),
}


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_come_back_as_they_are(name):
    data, expected = PICTURES[name]
    payload = Payload.read(data, ".PNG")
    pixels = payload.arrays["image"]
    assert pixels.dtype == expected.dtype
    assert np.array_equal(pixels, expected)
    assert payload.peak == np.iinfo(expected.dtype).max
    again = Payload.read(payload.write(), payload.suffix)
    assert np.array_equal(again.arrays["image"], expected)


def test_pictures_are_jpeg_if_asked():
    payload = Payload.read(picture(np.full((8, 8), 99, np.uint8)), ".png")
    written = payload.write(".JPG")
    assert Image.open(io.BytesIO(written)).format == "JPEG"
    assert (Payload.read(written, ".jpeg").arrays["image"] == 99).all()
    assert Image.open(io.BytesIO(payload.write(".PNG"))).format == "PNG"
    with pytest.raises(InputError, match=r"has 16; use \.png"):
        Payload.read(picture(DEEP), ".png").write(".jpg")


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_stand_upright(form, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = picture(COLOUR, form, exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    assert np.array_equal(Payload.read(data, ".jpg").arrays["image"], expected)
    assert expected.shape[:2] == ((9, 12) if orientation < 5 else (12, 9))


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def narrow_grey(bits, key):
    """Return a grey PNG of 8 pixels of so few bits, 0 to 3 and again, one value transparent."""
    values = np.arange(8) % 4
    row = bytes(np.packbits((values[:, None] >> np.arange(bits)[::-1] & 1).astype(np.uint8)))
    header = struct.pack(">IIBBBBB", 8, 1, bits, 0, 0, 0, 0)
    parts = [(b"IHDR", header), (b"tRNS", struct.pack(">H", key))]
    parts += [(b"IDAT", zlib.compress(b"\0" + row)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


@pytest.mark.parametrize("bits", [2, 4])
def test_transparency_of_few_bits(bits):
    with pytest.raises(InputError, match="transparent in parts"):
        Payload.read(narrow_grey(bits, 3), ".png")
    if bits == 4:  # a value that no pixel has
        pixels = Payload.read(narrow_grey(4, 9), ".png").arrays["image"]
        assert pixels.tolist() == [[0, 17, 34, 51] * 2]


TRANSPARENT = np.dstack([COLOUR, GREY])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (picture(TRANSPARENT), "transparent in parts"),
        (picture(Image.merge("LA", [Image.fromarray(GREY)] * 2)), "transparent in parts"),
        (picture(palette(COLOUR)[0], transparency=3), "transparent in parts"),
        (picture(GREY, transparency=int(GREY[0, 0])), "transparent in parts"),
        (picture(DEEP, transparency=int(DEEP[0, 0])), "transparent in parts"),
        (deep_png(2, 4)[1], "16 bits for each colour, stored as LA;16B"),
        (picture(Image.new("CMYK", (9, 9)), "JPEG"), "mode CMYK; expected grey or RGB"),
        (picture(Image.new("LAB", (9, 9)), "TIFF"), "mode LAB"),
        (picture(np.full((9, 9), 1 << 20, np.int32), "TIFF"), "32 bits"),
        (picture(np.ones((9, 9), np.float32), "TIFF"), "mode F"),
        (
            picture(GREY, "GIF", save_all=True, append_images=[Image.fromarray(GREY.T.copy())]),
            "has 2 frames",
        ),
        (picture(GREY)[:80], "no valid .png file"),
        (b"", "no valid .png file: its first bytes are those of no picture"),
    ],
)
def test_pictures_that_would_not_come_back_are_refused(data, message):
    with pytest.raises(InputError, match=message):
        Payload.read(data, ".png")


SOUNDS = [
    ("WAV", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"]),
    ("FLAC", ["PCM_S8", "PCM_16", "PCM_24"]),
]


@pytest.mark.parametrize(("form", "subtype"), [(f, s) for f, types in SOUNDS for s in types])
@pytest.mark.parametrize("samples", [1, 1000])
def test_sounds_come_back_sample_by_sample(form, subtype, samples):
    values = np.random.default_rng(1).integers(-(2**31), 2**31, samples).astype(np.int32)
    values[:2] = [2**31 - 1, -(2**31)][:samples]
    data = sound(values if subtype.startswith("PCM") else 3 * values / 2.0**31, subtype, form)
    payload = Payload.read(data, f".{form}")
    assert payload.subtype == subtype
    written = payload.write()
    info = soundfile.info(io.BytesIO(written))
    assert (info.format, info.subtype, info.samplerate) == (form, subtype, 8000)
    before, after = (soundfile.read(io.BytesIO(d), dtype="float64")[0] for d in (data, written))
    assert np.array_equal(before, after)


@pytest.mark.parametrize("channels", [2, 8])
@pytest.mark.parametrize("form", ["WAV", "FLAC"])
def test_sounds_of_several_channels_come_back(form, channels):
    values = RNG.integers(-(2**15), 2**15, (50, channels)) / 2**15
    payload = Payload.read(sound(values, "PCM_16", form), f".{form}")
    assert np.array_equal(payload.arrays["audio"], values)
    assert np.array_equal(soundfile.read(io.BytesIO(payload.write()))[0], values)
    with pytest.raises(InputError, match="has 2 channels; expected mono"):
        read_sound(io.BytesIO(sound(np.zeros((9, 2)))))


def test_more_channels_than_flac_has_are_refused_before_they_are_written():
    payload = Payload.read(sound(np.zeros((5, 9))), ".wav")
    payload.check_suffix(".wav")
    with pytest.raises(InputError, match=r"\.flac holds 8 channels at most, not 9; use \.wav"):
        payload.check_suffix(".flac")


def test_sounds_that_would_not_come_back_are_refused():
    with pytest.raises(InputError, match="samples of type ULAW"):
        Payload.read(sound(np.zeros(9), "ULAW"), ".wav")
    with pytest.raises(InputError, match="samples of type GSM610; expected PCM or float"):
        Payload.read(sound(np.zeros(9), "GSM610"), ".wav")
    whole = sound(np.zeros(3000))
    with pytest.raises(InputError, match="truncated: 4999 of 6000 bytes of samples are there"):
        Payload.read(whole[:-1001], ".wav")
    noise = sound(RNG.normal(0, 0.1, 3000))
    for recorded in (noise, whole):  # and cut off before its header was completed
        with pytest.raises(InputError, match="says that it has no samples, and something follows"):
            Payload.read(recorded.replace((6000).to_bytes(4, "little"), bytes(4)), ".wav")
    of_a_pipe = whole.replace((6000).to_bytes(4, "little"), b"\xff" * 4)
    assert of_a_pipe != whole
    assert Payload.read(of_a_pipe, ".wav").scalars == 3000
    with pytest.raises(InputError, match=r"no valid \.wav file"):
        Payload.read(b"RIFF", ".wav")
    with pytest.raises(InputError, match=r"\.flac holds no samples of type FLOAT"):
        Payload.read(sound(np.zeros(9), "FLOAT"), ".wav").write(".flac")
    with pytest.raises(InputError, match=r"\.flac holds no samples of type FLOAT"):
        Payload.read(sound(np.zeros(9), "FLOAT"), ".flac")  # libsndfile looks at no name
    # A WAV may be empty, a FLAC of libsndfile not.
    nothing = Payload.read(sound(np.zeros(0)), ".wav")
    assert Payload.read(nothing.write(), ".wav").scalars == 0
    with pytest.raises(InputError, match="no sound without samples"):
        nothing.write(".flac")
    # Of 8 bits each format has a kind of its own.
    eight = Payload.read(sound(np.zeros(9), "PCM_S8", "FLAC"), ".flac")
    assert soundfile.info(io.BytesIO(eight.write(".wav"))).subtype == "PCM_U8"


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_an_ogg_is_read_whole_or_not_at_all(subtype, place, bit):
    samples = 0.1 * np.random.default_rng(0).standard_normal(9000)
    whole, other = (sound(samples, subtype, "OGG", 48000) for _ in range(2))  # serial numbers
    assert Payload.read(whole, ".ogg").arrays["audio"].shape == (9000,)
    at = int(place * len(whole))
    flipped = whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :]
    for damaged in (whole[:at], flipped, whole + other):
        with pytest.raises(InputError, match=r"no valid .ogg file"):
            Payload.read(damaged, ".ogg")


@settings(max_examples=60, deadline=None)
@given(
    arrays=st.dictionaries(
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=9)
        | st.sampled_from(["file", "allow_pickle", "arr_0", "a/b", "..", "self"]),
        hnp.arrays(
            st.sampled_from(["f2", "f4", ">f8", "i1", "<u2", ">i8", "u8", "?"]),
            hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
        ),
        max_size=3,
    ),
    by_columns=st.booleans(),
)
def test_arrays_come_back(arrays, by_columns):
    if by_columns:
        arrays = {name: np.asfortranarray(array) for name, array in arrays.items()}
    payload = Payload("array", arrays, ".npz")
    data = payload.write()
    restored = Payload.read(data, ".npz").arrays
    assert list(restored) == list(arrays)
    with np.load(io.BytesIO(data)) as loaded:
        for name, array in arrays.items():
            for found in (restored[name], loaded[name]):
                assert (found.dtype, found.shape) == (array.dtype, array.shape)
                np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize(
    ("suffix", "data", "message"),
    [
        (".npz", archive([("a.npy", array_file(GREY)), ("b.txt", "text")]), "b.txt is no array"),
        (".npz", archive([("a.npy", array_file(GREY)), ("a", array_file(GREY))]), "two arrays"),
        (".npz", array_file(GREY), "no valid .npz file"),
        (".npy", archive([]), "no array of numpy"),
        (".npy", array_file(GREY)[:-1], "cut short"),
        (".npy", array_file(GREY) * 2, "more than one array"),
        (".npy", array_file(np.array(["a"])), "type <U1; expected real numbers"),
        (".npy", array_file(np.array([None])), "type object"),
        (".npy", array_file(np.zeros(2, complex)), "type complex128"),
        (".npy", array_file(np.zeros(2, np.longdouble)), "at most 64 bits"),
        (".npy", array_file(np.zeros((2**50, 0))), "claims shape"),
        (".npy", b"\x93NUMPY", "no valid .npy file"),
        (".txt", b"", "cannot compress .txt"),
        ("", b"", "a file without an ending"),
    ],
)
def test_arrays_that_are_none_are_refused(suffix, data, message):
    with pytest.raises(InputError, match=message):
        Payload.read(data, suffix)


def test_what_is_too_large_is_refused_before_it_is_read():
    zeros = np.zeros(1000)
    cases = [
        (".npy", array_file(zeros)),
        (".npz", archive([("a.npy", array_file(zeros))])),
        (".wav", sound(np.zeros(2000))),
        (".png", picture(np.zeros((80, 100), np.uint8))),
    ]
    for suffix, data in cases:
        assert Payload.read(data, suffix, largest=9000).scalars in (1000, 2000, 8000)
        with pytest.raises(InputError, match=r"take .* bytes, more than the 7,999 .*--largest"):
            Payload.read(data, suffix, largest=7999)
    # The header is believed before there is anything else.
    bomb = bytearray(picture(np.zeros((80, 100), np.uint8)))
    bomb[16:24] = struct.pack(">II", 40_000, 40_000)
    bomb[29:33] = struct.pack(">I", zlib.crc32(bomb[12:29]))
    with pytest.raises(InputError, match="1,600,000,000 bytes, more than the 1,073,741,824"):
        Payload.read(bytes(bomb), ".png")
    claims = array_file(zeros).replace(b"(1000,), }   ", b"(1000000000,), }")
    with pytest.raises(InputError, match="8,000,000,000 bytes"):
        Payload.read(claims[:10] + claims[10:128] + claims[-8000:], ".npy")


@settings(max_examples=30, deadline=None)
@given(
    a=hnp.arrays(
        st.sampled_from(["u1", ">f8", "u8"]),
        (3, 4),
        elements={"min_value": 0, "max_value": 100},
    ),
    by_columns=st.booleans(),
)
def test_distortion_and_variance(a, by_columns):
    b = np.asfortranarray(np.roll(a, 1)) if by_columns else np.roll(a, 1)
    before, after = Payload("array", {"x": a}, ".npy"), Payload("array", {"x": b}, ".npy")
    squares = np.square(a.astype(float) - b.astype(float))
    assert before.squared_error(after) == pytest.approx(squares.mean())
    assert before.variance() == pytest.approx(a.astype(float).var())


def test_nothing_has_no_distortion():
    nothing = Payload("array", {}, ".npz")
    assert (nothing.scalars, nothing.variance(), nothing.squared_error(nothing)) == (0, 0, 0)


def test_a_flac_that_is_read_as_empty_is_refused(monkeypatch):
    # Of some broken files libsndfile reads nothing; no FLAC could be written of that.
    empty = np.zeros(0, np.float32), 8000, "PCM_16"
    monkeypatch.setattr("ltc.media.payload.read_sound", lambda *_, **__: empty)
    with pytest.raises(InputError, match="no samples"):
        Payload.read(b"", ".flac")
    assert Payload.read(b"", ".wav").scalars == 0
