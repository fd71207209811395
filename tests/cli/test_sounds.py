"""Whole sounds through the commands."""

import numpy as np
import pytest
import soundfile

from ltc.cli.compress import compress, decompress


def waves(samples, channels=1, rate=8000):
    at = np.arange(samples)[:, None] / rate
    pitch = 200 * np.arange(1, channels + 1)
    noise = np.random.default_rng(0).normal(size=(samples, channels))
    return 0.3 * np.sin(2 * np.pi * pitch * at) * np.exp(-at) + 0.003 * noise


@pytest.fixture
def done(call):
    """Run a command that has to succeed; return what it printed."""

    def run(*arguments):
        code, out, err = call(*arguments)
        assert code == 0, out + err
        return out + err

    return run


@pytest.mark.parametrize("form", ["wav", "flac"])
@pytest.mark.parametrize(("channels", "subtype"), [(1, "PCM_16"), (2, "PCM_24"), (8, "PCM_16")])
def test_a_file_comes_back_as_what_it_was(done, trained, form, channels, subtype):
    run = f"ckpt={trained('sounds')}"
    soundfile.write(f"x.{form}", waves(9000, channels), 8000, subtype)
    told = done(compress, f"x.{form}", run, "snr=25")
    assert float(told.split("SNR ")[1].split(" dB")[0]) == pytest.approx(25, rel=0.01)
    done(decompress, f"x.{form}.ltc", f"y.{form}", run)
    before, after = (soundfile.info(f"{name}.{form}") for name in "xy")
    for fact in ("samplerate", "channels", "subtype", "format", "frames"):
        assert getattr(before, fact) == getattr(after, fact)
    for rate in (0.5, 1.5):
        told = done(compress, f"x.{form}", f"{rate}.ltc", run, f"bps={rate}")
        assert float(told.split(" bits per sample")[0].split()[-1]) == pytest.approx(rate, rel=0.02)


def test_what_ogg_holds_comes_back_as_floats(done, trained):
    run = f"ckpt={trained('sounds')}"
    soundfile.write("x.ogg", waves(9000, 2), 8000, "VORBIS")
    done(compress, "x.ogg", run, "snr=25")
    done(decompress, "x.ogg.ltc", "y.wav", run)
    assert soundfile.info("y.wav").subtype == "FLOAT"
    (before, _), (after, _) = soundfile.read("x.ogg"), soundfile.read("y.wav")
    ratio = np.square(before).mean() / np.square(before - after).mean()
    assert 10 * np.log10(ratio) == pytest.approx(25, abs=0.3)


@pytest.mark.parametrize(
    ("name", "content", "aims", "told"),
    [
        ("broken.wav", b"RIFF and no more", [], "is no valid .wav file"),
        ("rate.wav", (waves(900), 16000, "PCM_16"), [], "16000 samples per second"),
        ("law.wav", (waves(900), 8000, "ULAW"), [], "samples of type ULAW; expected PCM or float"),
        ("nan.wav", (np.full(9, np.nan), 8000, "FLOAT"), [], "holds NaN or infinity"),
        ("good.wav", (waves(900), 8000, "PCM_16"), ["bpp=1"], "bpp= is not asked of a sound"),
        ("good.wav", (waves(900), 8000, "PCM_16"), ["bps=1e-5"], "cannot be reached for this"),
        ("good.wav", (waves(900), 8000, "PCM_16"), ["bps=1", "snr=9"], "expected one of them"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_told_in_one_message(call, trained, name, content, aims, told):
    folder = trained("sounds")
    if isinstance(content, bytes):
        with open(name, "wb") as file:
            file.write(content)
    else:
        soundfile.write(name, content[0], content[1], content[2])
    code, out, err = call(compress, name, f"ckpt={folder}", *aims)
    assert code == 2
    assert told in (out + err)
    assert (out + err).count("error:") == 1
    assert "Traceback" not in out + err


def test_a_sound_without_samples_comes_back(done, trained):
    run = f"ckpt={trained('sounds')}"
    soundfile.write("nothing.wav", np.zeros(0), 8000, "PCM_U8")
    done(compress, "nothing.wav", run)
    done(decompress, "nothing.wav.ltc", "back.wav", run)
    info = soundfile.info("back.wav")
    assert (info.frames, info.subtype) == (0, "PCM_U8")


def test_frames_as_vectors_take_one_channel(call, trained):
    soundfile.write("x.wav", waves(900, 2), 8000)
    code, out, err = call(compress, "x.wav", f"ckpt={trained('audio')}")
    assert code == 2
    assert "this sound has 2 channels; expected mono" in out + err
