"""Recordings: the split, folders that are not as they should be, and the data set's download."""

import io
import logging
import os
import tarfile
from pathlib import Path

import numpy as np
import pooch
import pytest
import requests
import scipy.signal
import soundfile
import torch

from ltc.errors import InputError
from ltc.sources import Audio, SpeechSTFT
from ltc.sources.audio import COMMIT, CONTENT, content_sum, free_spoken_digits

FSDD = Path(os.environ.get("LTC_FSDD", Path(__file__).parents[3] / "shared/data/fsdd"))
needs_fsdd = pytest.mark.skipif(
    not (FSDD / "recordings").is_dir(), reason=f"no Free Spoken Digit Dataset in {FSDD}"
)


def save(path, level=0.1, rate=8000, samples=1000, channels=1):
    shape = (samples, channels) if channels > 1 else samples
    noise = np.random.default_rng(0).uniform(-0.01, 0.01, shape)
    path.parent.mkdir(exist_ok=True)
    soundfile.write(path, level + noise, rate)


def levels(source, rows):
    return set((source.gain * rows.mean(1) + source.offset).mul(20).round().int().tolist())


@pytest.mark.parametrize("ending", ["wav", "flac"])
def test_split_by_file(tmp_path, ending):
    for i in range(12):
        save(tmp_path / "folder" / f"{i:02}.{ending}", level=0.05 * i)
    source = Audio(frame=16, root=tmp_path)
    assert levels(source, source.test) == {0, 10}
    assert levels(source, source.train) == set(range(12)) - {0, 10}
    assert source.train.shape == (10 * (1000 // 16), 16)
    assert source.sample_rate == 8000


def test_published_split(tmp_path):
    for index in (0, 4, 5, 49):
        save(tmp_path / f"3_theo_{index}.wav", level=index / 50)
    source = Audio(frame=10, root=tmp_path)
    assert len(source.train) == len(source.test) == 200
    assert (source.gain * source.test + source.offset).max() < 0.1
    # Were all in one set, every tenth file is held out instead.
    (tmp_path / "3_theo_0.wav").unlink()
    (tmp_path / "3_theo_4.wav").unlink()
    assert len(Audio(frame=10, root=tmp_path).test) == 100


def test_broken_sounds_are_named(tmp_path, caplog):
    for name in ("a", "b", "c"):
        save(tmp_path / f"{name}.wav")
    (tmp_path / "0.wav").write_bytes(b"not a sound")
    save(tmp_path / "short.wav", samples=3)
    soundfile.write(tmp_path / "nan.wav", np.full(100, np.nan), 8000, subtype="FLOAT")
    with caplog.at_level(logging.WARNING, "ltc"):
        source = Audio(frame=16, root=tmp_path)
    assert len(source.test) == 1000 // 16
    assert "skipped 3 of 6 files" in caplog.text
    for name in ("0.wav", "short.wav", "nan.wav"):
        assert name in caplog.text


def test_all_broken(tmp_path):
    (tmp_path / "0.wav").write_bytes(b"not a sound")
    with pytest.raises(InputError, match=r"none of 1 files.*0\.wav"):
        Audio(root=tmp_path)
    save(tmp_path / "1.wav")
    with pytest.raises(InputError, match="0 files to train on and 1 held out"):
        Audio(root=tmp_path)


def test_silence(tmp_path):
    for name in ("a", "b"):
        soundfile.write(tmp_path / f"{name}.wav", np.full(100, 0.1, np.float32), 8000, "FLOAT")
    with pytest.raises(InputError, match=r"all training values are 0\.1"):
        Audio(root=tmp_path)
    save(tmp_path / "b.wav")
    with pytest.raises(InputError, match=r"6 held-out vectors do not differ.*add files"):
        Audio(root=tmp_path)


@pytest.mark.parametrize("subtype", ["PCM_24", "PCM_32", "DOUBLE", "ULAW"])
def test_sample_types_are_mixed(tmp_path, subtype):
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, 1600)
    soundfile.write(tmp_path / "a.wav", sound, 8000, subtype)
    soundfile.write(tmp_path / "b.wav", sound, 8000)
    source = Audio(root=tmp_path)
    found = (source.gain * source.test + source.offset).flatten().numpy()
    assert found == pytest.approx(sound, abs=0.03 if subtype == "ULAW" else 1e-4)


def test_one_rate(tmp_path):
    save(tmp_path / "a.wav")
    save(tmp_path / "b.wav", rate=16000)
    with pytest.raises(InputError, match=r"a\.wav has 8000 .* b\.wav 16000|a\.wav.*b\.wav 16000"):
        Audio(root=tmp_path)


def test_mono(tmp_path):
    save(tmp_path / "a.wav", channels=2)
    with pytest.raises(InputError, match=r"a\.wav has 2 channels; expected mono"):
        Audio(root=tmp_path)


@needs_fsdd
def test_fsdd():
    source = Audio(frame=16, root=FSDD / "recordings")
    assert source.sample_rate == 8000
    assert 0.08 < len(source.test) / (len(source.train) + len(source.test)) < 0.12


def spectra(path):
    """Return the logarithms of the spectrum of a recording, by SciPy, shape (frames, 33)."""
    samples, _ = soundfile.read(path)
    window = scipy.signal.windows.hann(63, sym=True)
    transform = scipy.signal.ShortTimeFFT(window, hop=1, fs=1, mfft=64, fft_mode="onesided")
    first = transform.m_num_mid  # of the slices that begin inside
    slices = transform.stft(samples, first, first + len(samples) - 62)
    return np.log(np.abs(slices.T) + 2.0**-52)


def test_speech_stft(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("3_theo_0", "3_theo_5", "4_theo_49", "3_other_7"):
        soundfile.write(tmp_path / f"{name}.wav", rng.normal(0, 0.1, 500), 8000)
    source = SpeechSTFT(root=tmp_path)
    names = "3_theo_5", "4_theo_49"
    train = np.concatenate([spectra(tmp_path / f"{name}.wav") for name in names])
    test = spectra(tmp_path / "3_theo_0.wav")
    assert source.train.shape == (2 * 438, 33)
    assert source.offset == pytest.approx(train.mean(0), abs=1e-4)
    assert source.train.numpy() == pytest.approx(train - train.mean(0), abs=2e-3)
    assert source.test.numpy() == pytest.approx(test - train.mean(0), abs=2e-3)
    assert len(SpeechSTFT(root=tmp_path, step=2).test) == 219
    assert len(SpeechSTFT(root=tmp_path, speaker=None).train) == 3 * 438
    # Other recordings are brought to the means that a coder was trained with.
    other, wanted = SpeechSTFT(root=tmp_path, speaker=None), source.test.clone()
    assert not other.test.allclose(wanted, atol=1e-3)
    other.rescale(source.offset, source.gain)
    assert other.test.allclose(wanted, atol=1e-5)
    with pytest.raises(InputError, match=r"no recording of source\.speaker=nobody"):
        SpeechSTFT(root=tmp_path, speaker="nobody")
    (tmp_path / "3_theo_0.wav").unlink()
    (tmp_path / "3_theo_5.wav").unlink()
    with pytest.raises(InputError, match="0 recordings to train on and 1 held out"):
        SpeechSTFT(root=tmp_path)


@needs_fsdd
def test_published_speech():
    source = SpeechSTFT(root=FSDD / "recordings", step=16)
    assert source.train.mean(0) == pytest.approx(torch.zeros(33), abs=1e-4)
    held_out = (FSDD / "recordings").glob("?_theo_[0-4].wav")
    frames = [-(-(soundfile.info(path).frames - 62) // 16) for path in held_out]
    assert len(source.test) == sum(frames)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LTC_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def downloads(monkeypatch, files):
    """Let pooch download an archive with these files, as GitHub packs it."""
    calls = []

    def download(self, url, output_file, *_, **__):
        calls.append(url)
        with tarfile.open(output_file, "w:gz") as tar:
            for name, content in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))

    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", download)
    return calls


def test_offline(cache, monkeypatch):
    def fail(*_, **__):
        raise requests.exceptions.ConnectionError("no network")

    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", fail)
    with pytest.raises(InputError, match=r"cannot be fetched.*source\.root=DIR"):
        Audio()
    assert not any((cache / "fsdd").iterdir())


def test_cache_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LTC_CACHE", str(tmp_path / "file"))
    with pytest.raises(InputError, match=r"source\.root=DIR"):
        Audio()


def test_other_content(cache, monkeypatch):
    downloads(monkeypatch, {"fsdd/recordings/0_a_0.wav": b"something else"})
    with pytest.raises(InputError, match="holds other recordings"):
        free_spoken_digits()
    assert not any((cache / "fsdd").iterdir())


def test_fetched_once(cache, monkeypatch):
    names = ("fsdd/recordings/0_a_0.wav", "fsdd/recordings/0_a_5.wav", "../../outside.wav")
    files = {name: name.encode() for name in names}
    calls = downloads(monkeypatch, {**files, "fsdd/README.md": b"text"})
    expected = cache.parent / "expected"
    expected.mkdir()
    for name, content in files.items():
        (expected / Path(name).name).write_bytes(content)
    monkeypatch.setattr("ltc.sources.audio.CONTENT", content_sum(expected))
    folder = free_spoken_digits()
    assert folder == cache / "fsdd" / COMMIT
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        path.name for path in expected.iterdir()
    )
    assert free_spoken_digits() == folder
    assert len(calls) == 1


@needs_fsdd
def test_sum_of_the_published_content(cache, monkeypatch):
    assert content_sum(FSDD / "recordings") == CONTENT
