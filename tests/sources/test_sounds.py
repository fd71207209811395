"""Whole sounds as a source: the split, rates, channels, and what is refused."""

import logging

import numpy as np
import pytest
import soundfile
import torch

from ltc.errors import InputError
from ltc.media.sounds import FULL_SCALE
from ltc.sources import Sounds, sounds


def save(path, level=0.1, rate=8000, shape=(1000,), subtype=None):
    noise = np.random.default_rng(0).normal(size=shape) * level
    path.parent.mkdir(exist_ok=True)
    soundfile.write(path, noise, rate, subtype)


def test_the_split_is_by_file_and_digits_have_their_own(tmp_path):
    for number in range(12):
        save(tmp_path / "all" / f"{number:02}.wav", shape=(100 + number,))
    source = Sounds(tmp_path / "all")
    assert [len(one.samples) for one in source.test] == [100, 110]
    assert len(source.train) == 10
    for index in (0, 4, 5, 49):
        save(tmp_path / "digits" / f"3_theo_{index}.wav", shape=(100 + index,))
    source = Sounds(tmp_path / "digits")
    assert sorted(len(one.samples) for one in source.test) == [100, 104]


def test_its_numbers_are_those_of_all_samples(tmp_path):
    save(tmp_path / "0.wav", level=0.05, shape=(900, 2))
    save(tmp_path / "1.wav", level=0.1, shape=(700, 8))
    source = Sounds(tmp_path)
    assert source.gain == pytest.approx(0.1 * FULL_SCALE, rel=0.05)
    held_out = source.held_out(0, torch.Generator())
    assert held_out.shape == (1800, 1)
    assert source.variance == pytest.approx(float(held_out.double().var(correction=0)), rel=1e-5)
    assert source.variance == pytest.approx(0.25, rel=0.1)
    (payload,) = source.payloads()
    assert payload.arrays["audio"].shape == (900, 2)
    source.rescale(0.0, 2 * source.gain)
    assert source.variance == pytest.approx(0.0625, rel=0.1)


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg"])
def test_other_rates_are_resampled_with_a_note(tmp_path, caplog, ending):
    at = np.arange(16_000) / 16_000
    for number in range(3):
        soundfile.write(tmp_path / f"{number}.wav", 0.5 * np.sin(2000 * at[::2]), 8000)
    soundfile.write(tmp_path / f"00.{ending}", 0.5 * np.sin(2000 * at), 16_000)
    with caplog.at_level(logging.WARNING):
        source = Sounds(tmp_path)
    assert "resampled 1 of 4 recordings to 8000 samples per second" in caplog.text
    assert source.sample_rate == 8000
    found, expected = source.test[0].samples[:, 0], 0.5 * np.sin(2000 * at[::2])
    assert len(found) == 8000
    assert np.abs(found - expected)[100:-100].max() < (0.05 if ending == "ogg" else 2e-3)
    if ending != "ogg":  # samples stay what a file of their type holds
        assert np.array_equal(found * 2**15, np.rint(found * 2**15))
    assert Sounds(tmp_path, rate=16_000).train[0].samples.shape == (16_000, 1)


def test_broken_recordings_are_named_and_left_out_before_the_split(tmp_path, caplog):
    for name in ("a", "b"):
        save(tmp_path / f"{name}.wav")
    (tmp_path / "0.wav").write_bytes(b"not a sound")
    soundfile.write(tmp_path / "00.wav", np.zeros(0), 8000)
    soundfile.write(tmp_path / "c.wav", np.full(100, np.nan), 8000, subtype="FLOAT")
    soundfile.write(tmp_path / "d.wav", np.full(100, 3e4), 8000, subtype="FLOAT")
    with caplog.at_level(logging.WARNING):
        source = Sounds(tmp_path)
    assert len(source.test) == len(source.train) == 1
    for name in ("0.wav", "00.wav", "c.wav", "d.wav"):
        assert name in caplog.text


def test_what_cannot_be_learned_from_is_refused(tmp_path):
    save(tmp_path / "0.wav")
    with pytest.raises(InputError, match="0 recordings to train on and 1 held out"):
        Sounds(tmp_path)
    soundfile.write(tmp_path / "1.wav", np.zeros(100), 8000)
    with pytest.raises(InputError, match="all training samples are 0: they need no coder"):
        Sounds(tmp_path)
    (tmp_path / "1.wav").rename(tmp_path / "0.wav")
    save(tmp_path / "1.wav")
    with pytest.raises(InputError, match="1 held-out recordings do not differ"):
        Sounds(tmp_path)


def test_of_very_many_as_many_are_kept_as_fit_in_memory(tmp_path, monkeypatch, caplog):
    for number in range(30):
        save(tmp_path / f"{number:02}.wav", shape=(1000 + number,))
    monkeypatch.setattr(sounds, "MOST_TEST", 2100)
    monkeypatch.setattr(sounds, "MOST_TRAIN", 8000)
    monkeypatch.setattr(sounds, "MOST_OF_ONE", 900)
    with caplog.at_level(logging.WARNING):
        source = Sounds(tmp_path)
    assert "measured on 2 of 3 held-out recordings" in caplog.text
    assert {one.samples.shape for one in source.train} == {(900, 1)}
    assert len(source.train) == 7


def test_what_a_filter_overshoots_is_cut_off(tmp_path):
    for number in range(2):
        square = 4.0 * np.sign(np.sin(np.arange(8000) / 50))
        soundfile.write(tmp_path / f"{number}.wav", square, 16_000, subtype="FLOAT")
    source = Sounds(tmp_path, rate=8000)
    assert np.abs(source.test[0].samples).max() == 4.0


def test_a_recording_that_would_not_fit_once_resampled_is_named_and_left_out(tmp_path, caplog):
    for number in range(4):
        save(tmp_path / f"{number}.wav")
    save(tmp_path / "slow.wav", rate=1, shape=(20_000,))
    with caplog.at_level(logging.WARNING):
        source = Sounds(tmp_path)
    assert "slow.wav" in caplog.text
    assert len(source.test) + len(source.train) == 4
