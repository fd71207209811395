"""Whole sounds: sources, files, what is refused, and a run."""

import io
import itertools
import json
import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ltc.codec import Aim, Container, Payload
from ltc.codec import sound_files as files_of_sounds
from ltc.codec.sound_files import SoundFileCoder
from ltc.coder.grid import FINEST, GridCoder
from ltc.coder.levels import branches_of
from ltc.entropy import Context
from ltc.errors import InputError
from ltc.lattices import Convolutional, Zn
from ltc.media.sounds import FULL_SCALE
from ltc.transforms import MDCT

RATE = 8000
LATTICES = {"scalar": Zn(), "trellis-8": Convolutional(8)}
FSDD = Path(os.environ.get("LTC_FSDD", Path(__file__).parents[3] / "shared/data/fsdd"))


def sing(samples, channels=1, seed=0):
    """Return decaying tones in noise, from -1 to 1, shape (samples, channels)."""
    rng = np.random.default_rng(seed)
    at = np.arange(samples) / RATE
    found = np.zeros((samples, channels))
    for start, pitch in zip(np.arange(0, max(at, default=0) + 1, 0.2), itertools.count(3)):
        tone = np.sin(2 * np.pi * 55 * pitch * at) + 0.5 * np.sin(2 * np.pi * 110 * pitch * at)
        envelope = np.where(at >= start, np.exp(-8 * np.maximum(at - start, 0)), 0)
        found += 0.2 * (tone * envelope)[:, None] * rng.uniform(0.5, 1, channels)
    return found + 0.001 * rng.normal(size=found.shape)


def payload_of(samples, subtype="PCM_16", rate=RATE):
    stream = io.BytesIO()
    soundfile.write(stream, samples, rate, subtype, format="WAV")
    return Payload.read(stream.getvalue(), ".wav")


@pytest.fixture(scope="module", params=LATTICES)
def files(request):
    lattice = LATTICES[request.param]
    transform = MDCT(1, RATE)
    context = Context(transform.frequencies, branches_of(lattice).numbers)
    model = GridCoder(transform, lattice, context, lmbda=60, gain=80.0)
    sounds = [FULL_SCALE * sing(8000, seed=seed)[:, 0].astype(np.float32) for seed in range(3)]
    model.fit(sounds, steps=[2.0, 10.0, 50.0])
    return SoundFileCoder(model, {"sample_rate": RATE, "gain": 80.0, "offset": 0.0})


def ratio(payload, other):
    return 10 * math.log10(payload.variance() / payload.squared_error(other))


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("shape", [(1, 1), (191, 1), (5000, 1), (3000, 2), (900, 8)])
def test_sounds_of_any_kind_come_back_in_their_type(files, shape, subtype):
    payload = payload_of(sing(*shape), subtype)
    decoded, damaged = files.decompress(files.compress(payload, aim=Aim("lmbda", 1e5)))
    before, after = payload.arrays["audio"], decoded.arrays["audio"]
    assert not damaged
    assert (decoded.rate, decoded.subtype, after.dtype) == (RATE, subtype, before.dtype)
    assert after.shape == before.shape
    again, _ = soundfile.read(io.BytesIO(decoded.write(".wav")), always_2d=True)
    assert again.shape == shape
    assert np.allclose(again.reshape(after.shape), after, atol=1e-7)
    step = files.model.step(1e5) / FINEST / FULL_SCALE
    rounding = 1 / 128 if subtype == "PCM_U8" else 0
    assert np.square(before - after).mean() < step**2 + rounding**2 / 12 + 1e-9


def test_an_error_of_the_latent_is_one_of_the_sound_and_bytes_are_what_tables_say(files):
    payload = payload_of(sing(20_000, seed=9), "FLOAT")
    written = files.encode(payload, aim=Aim("lmbda", 1000))
    step = files.model.step(1000)
    (values,) = files.values(payload.arrays["audio"])
    encoded = files.model.encode(files.model.planes(values), step)
    error = payload.squared_error(files.decompress(written.data)[0]) * FULL_SCALE**2
    assert error == pytest.approx(encoded.error, rel=0.02)
    assert encoded.bits == written.bits
    assert 32 * len(written.streams[0]) == pytest.approx(written.bits, abs=64)
    assert 8 * len(written.data) - written.bits < 8 * 80


def test_what_is_asked_for_is_reached(files):
    payload = payload_of(sing(30_000, seed=5))
    for wanted in (0.5, 1.5):
        size = len(files.compress(payload, aim=Aim("bps", wanted)))
        assert 8 * size / 30_000 == pytest.approx(wanted, rel=0.01)
    for wanted in (12.0, 25.0):
        decoded, _ = files.decompress(files.compress(payload, aim=Aim("snr", wanted)))
        assert ratio(payload, decoded) == pytest.approx(wanted, abs=0.05)
    with pytest.raises(InputError, match="cannot be reached for this sound; the nearest is"):
        files.compress(payload, aim=Aim("bps", 1e-4))
    with pytest.raises(InputError, match="bpp= is not asked of a sound; expected one of bps, snr"):
        files.compress(payload, aim=Aim("bpp", 1))


def test_what_channels_have_in_common_is_coded_once(files):
    one, other = sing(16_000, seed=3), sing(16_000, seed=4)
    mono = len(files.compress(payload_of(one, "FLOAT")))
    alike = payload_of(np.concatenate([one, one], 1), "FLOAT")
    data = files.compress(alike)
    # The sum of both is larger by 3 dB, and the difference costs nearly nothing.
    assert len(data) < mono * 1.25 + 60
    assert ratio(alike, files.decompress(data)[0]) > ratio(
        payload_of(one, "FLOAT"), files.decompress(files.compress(payload_of(one, "FLOAT")))[0]
    )
    apart = files.encode(payload_of(np.concatenate([one, other], 1)))
    assert "axes" not in apart.metadata or len(apart.metadata["axes"]) == 2


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("aim", [None, Aim("snr", 20.0)])
def test_silence_and_nothing_come_back(files, channels, aim):
    for samples in (0, 4000):
        payload = payload_of(np.zeros((samples, channels)))
        data = files.compress(payload, aim=aim)
        assert len(data) < 100
        decoded = files.decompress(data)[0].arrays["audio"]
        assert decoded.shape == payload.arrays["audio"].shape
        assert not decoded.any()


def test_a_damaged_piece_costs_itself_alone(files, monkeypatch):
    monkeypatch.setattr(files_of_sounds, "PIECE", 192 * 10)
    payload = payload_of(sing(192 * 47 + 5, channels=2, seed=6))
    data = bytearray(files.compress(payload))
    whole, _ = files.decompress(bytes(data))
    chunks = len(Container.unpack(bytes(data)).chunks)
    assert chunks == 2 * 5
    data[-1] ^= 1  # of the last piece of the last axis
    with pytest.raises(InputError, match="damaged: chunk 9 of 10"):
        files.decompress(bytes(data))
    found, damaged = files.decompress(bytes(data), salvage=True)
    assert damaged == [9]
    same = (found.arrays["audio"] == whole.arrays["audio"]).all(1)
    assert same[: 192 * 40 - 96].all()
    assert not same[192 * 40 :].all()


def test_pieces_are_coded_the_same_by_several_threads(files, monkeypatch):
    monkeypatch.setattr(files_of_sounds, "PIECE", 192 * 5)
    payload = payload_of(sing(192 * 33, seed=7))
    found = []
    before = torch.get_num_threads()
    for threads in (1, 3):
        torch.set_num_threads(threads)
        shares = []
        data = files.compress(payload, shares.append)
        decoded, _ = files.decompress(data, progress=shares.append)
        found.append((data, decoded.arrays["audio"].tobytes()))
        assert shares[-1] == pytest.approx(1)
        assert len(shares) == 2 * 7 * 8
    torch.set_num_threads(before)
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        (payload_of(sing(500), rate=16000), "16000 samples per second, the model's training had"),
        (payload_of(np.full((500, 1), np.nan), "FLOAT"), "holds NaN or infinity"),
        (payload_of(np.full((500, 1), np.inf), "DOUBLE"), "holds NaN or infinity"),
        (payload_of(np.full((500, 1), 32767.0), "FLOAT"), "full scale is 1: divide them first"),
        (Payload("audio", {"audio": np.zeros(9, int)}, ".wav", RATE), "is no sound"),
        (Payload("audio", {"audio": np.zeros((9, 2, 2))}, ".wav", RATE), "is no sound"),
        (Payload("image", {"image": np.zeros((9, 9), np.uint8)}, ".png"), "cannot compress image"),
    ],
)
def test_what_is_no_sound_of_the_model_is_refused(files, payload, told):
    with pytest.raises(InputError, match=told):
        files.compress(payload)


@pytest.mark.parametrize(
    "forged",
    [
        {"step": 0}, {"step": 1e3}, {"kind": "image"}, {"suffix": ".png"}, {"rate": 44100},
        {"subtype": "VORBIS"}, {"axes": None}, {"axes": [[4096, 0]]}, {"axes": [[1e3, 0], [0, 1]]},
        {"axes": [[1 << 40, 0], [0, 1]]}, {"arrays": [["audio", [10**11, 2], "<f4"]]},
        {"arrays": [["audio", [9, 0], "<f4"]]}, {"arrays": [["audio", [10**6, 2], "<f4"]]},
    ],
)  # fmt: skip
def test_forged_headers_are_refused(files, forged):
    container = Container.unpack(files.compress(payload_of(sing(800, 2))))
    container.metadata.update(forged)
    with pytest.raises(InputError):
        files.decompress(container.pack())


@settings(max_examples=50, deadline=None)
@given(data=st.binary(max_size=200))
def test_any_bytes_are_a_sound_or_are_refused(files, data):
    container = Container.unpack(files.compress(payload_of(sing(800))))
    container.chunks = [(container.chunks[0][0], data)]
    try:
        payload, _ = files.decompress(container.pack())
    except InputError:
        return
    assert payload.arrays["audio"].shape == (800,)


def test_a_run_of_sounds(tmp_path):
    import ltc

    folder = tmp_path / "sounds"
    folder.mkdir()
    for number in range(4):
        soundfile.write(folder / f"{number}.wav", sing(6000, 1 + number % 2, seed=number), RATE)
    run = ltc.train(
        "source=sounds", f"source.root={folder}", "entropy.steps=[4,16]", "logger=csv",
        lmbda=60, folder=tmp_path / "run",
    )  # fmt: skip
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["source"] == "sounds"
    assert metrics["transform"] == "mdct"
    assert 10 < metrics["snr_db"] < 60
    # The numbers of the table again, by hand.
    (payload,) = run.source.payloads()
    written = run.run.files.encode(payload)
    assert metrics["rate"] == pytest.approx(written.bits / 6000)
    assert metrics["bitstream_rate"] == pytest.approx(8 * len(written.data) / 6000)
    assert metrics["snr_db"] == pytest.approx(
        ratio(payload, run.run.files.decompress(written.data)[0]), abs=0.01
    )
    sound = sing(3000, 2, seed=8).astype(np.float32)
    decoded = run.decompress(run.compress(sound))
    assert decoded.shape == sound.shape
    assert np.square(decoded - sound).mean() < 0.1 * sound.var()


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (
            ["transform=lapped"],
            "transform=lapped is one of pictures; whole sounds need transform=m",
        ),
        (["transform=linear"], "transform=linear is one of vectors; whole sounds need transform=m"),
        (["entropy=exact"], "whole sounds need entropy=context"),
        (["bound=auto"], r"nobody knows R\(D\) of sounds"),
        (["distortion=absolute"], "sounds are coded for squared error"),
        (["transform.bins=20"], "transform.bins=20; expected a multiple of 8"),
        (["source.rate=0"], "source.rate=0"),
        (["source.root=nowhere"], "source.root=nowhere does not exist"),
    ],
)
def test_choices_that_do_not_go_together_are_named(overrides, told, tmp_path):
    import ltc

    for number in range(2):
        soundfile.write(tmp_path / f"{number}.wav", sing(500, seed=number), RATE)
    with pytest.raises(InputError, match=told):
        ltc.train("source=sounds", f"source.root={tmp_path}", *overrides, folder=tmp_path / "run")


@pytest.mark.skipif(
    not (FSDD / "recordings").is_dir(), reason=f"no Free Spoken Digit Dataset in {FSDD}"
)
def test_speech_is_far_ahead_of_frames_as_vectors(tmp_path):
    """Of which `audio` with `scalar` has 17.8 dB at one bit; trained on fewer recordings."""
    import ltc

    folder = tmp_path / "few"
    folder.mkdir()
    for path in (FSDD / "recordings").glob("*.wav"):
        if int(path.stem.rsplit("_", 1)[1]) in (0, 10):
            (folder / path.name).symlink_to(path)
    run = ltc.train("source=sounds", f"source.root={folder}", "entropy.steps=[4,16]",
                    "logger=csv", lmbda=60, folder=tmp_path / "run")  # fmt: skip
    assert run.metrics["rate"] < 1
    assert run.metrics["snr_db"] > 17.8 + 2.5


@pytest.mark.parametrize("channels", [1, 8])
@pytest.mark.parametrize("rate", [RATE, 48_000])
def test_the_loudest_sounds_come_back_at_the_finest_step(channels, rate):
    transform = MDCT(1, rate)
    model = GridCoder(transform, Zn(), Context(transform.frequencies, [2]), 60.0, 80.0)
    files = SoundFileCoder(model, {"sample_rate": rate})
    square = 4.0 * np.sign(np.sin(np.arange(2500) / 40))[:, None] * np.ones(channels)
    payload = payload_of(square, "FLOAT", rate)
    found, _ = files.decompress(files.compress(payload, aim=Aim("lmbda", 1e30)))
    assert np.abs(found.arrays["audio"] - payload.arrays["audio"]).max() < 1e-4


@pytest.mark.parametrize("samples", [np.full(4000, 0.5), np.full(1, 0.3)])
def test_of_samples_that_are_all_alike_the_ratio_is_that_to_their_square(files, samples):
    payload = payload_of(samples)
    found, _ = files.decompress(files.compress(payload, aim=Aim("snr", 30)))
    error = payload.squared_error(found)
    power = np.square(payload.arrays["audio"]).mean()
    assert error <= power / 10**2.99


def test_more_channels_than_any_file_has_are_refused_and_none(files):
    with pytest.raises(InputError, match="0 channels; expected 1 to 1,024"):
        files.compress(replace(payload_of(sing(300)), arrays={"audio": np.zeros((5, 0))}))
    container = Container.unpack(files.compress(payload_of(sing(300))))
    for count in (1025, 80_000_000):
        container.metadata["arrays"][0][1] = [1, count]
        with pytest.raises(InputError, match="channels; expected 1 to 1,024"):
            files.decompress(container.pack())
