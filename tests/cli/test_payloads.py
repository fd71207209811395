"""Arrays, pictures and sounds come back from `.ltc` files."""

import io
import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from ltc.cli import compress as cli
from ltc.codec import Container, Payload
from ltc.runs.checkpoint import load_coder

ARRAYS = [
    np.random.default_rng(0).normal(size=(37, 5)).astype(np.float32),
    np.random.default_rng(1).normal(size=1000),
    np.zeros((0, 3)),
    np.arange(-5, 6, dtype=np.int16),
    np.float64(0.5) * np.ones(()),
]


@pytest.mark.parametrize("run", ["array", "block", "fixed", "trellis"])
@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}{array.shape}")
def test_arrays(trained, run, array):
    coder = load_coder(trained(run))
    payload = Payload("array", {"array": array}, ".npy")
    data = coder.compress(payload)
    decoded, damaged = coder.decompress(data)
    restored = decoded.arrays["array"]
    assert restored.shape == array.shape
    assert restored.dtype == array.dtype
    assert damaged == []
    # The points that were decoded have the same streams again, chunk by chunk.
    chunks = Container.unpack(data).chunks
    assert bool(chunks) == bool(array.size)
    if chunks:
        points = torch.cat(coder.code.decode_chunks(chunks))
        assert coder.code.encode_chunks(points) == chunks
    # And a coder remembers nothing of what it coded.
    assert coder.compress(payload) == data
    if array.size > 100:
        assert payload.squared_error(decoded) < 0.2


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_array_files(trained, call, tmp_path, suffix):
    array = np.random.default_rng(0).normal(size=(100, 8))
    path = tmp_path / f"x{suffix}"
    np.save(path, array) if suffix == ".npy" else np.savez(path, a=array, b=array[:3])
    code, _, printed = call(cli.compress, path, f"ckpt={trained('array')}")
    assert code == 0, printed
    assert "bits per sample" in printed
    packed = tmp_path / f"x{suffix}.ltc"
    out = tmp_path / f"y{suffix}"
    assert call(cli.decompress, packed, out, f"ckpt={trained('array')}")[0] == 0
    loaded = np.load(out)
    if suffix == ".npz":
        assert loaded["b"].shape == (3, 8)
        loaded = loaded["a"]
    assert np.square(loaded - array).mean() < 0.2


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("size", [(1, 1), (61, 50), (128, 96)])
def test_pictures_come_back_with_the_psnr_printed(trained, call, tmp_path, colour, size):
    high, wide = size
    x, y = np.meshgrid(np.linspace(0, 3, wide), np.linspace(0, 5, high))
    plane = 120 + 80 * np.sin(x + y)
    pixels = np.stack([plane, plane[::-1], plane / 2], -1) if colour else plane
    path = tmp_path / "picture.png"
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    code, _, printed = call(cli.compress, path, f"ckpt={trained('image')}")
    assert code == 0, printed
    out = tmp_path / "back.png"
    packed = tmp_path / "picture.png.ltc"
    assert call(cli.decompress, packed, out, f"ckpt={trained('image')}")[0] == 0
    before = np.asarray(Image.open(path), dtype=float)
    after = np.asarray(Image.open(out), dtype=float)
    assert before.shape == after.shape
    error = np.square(before - after).mean()
    if error > 0:
        psnr = 10 * np.log10(255**2 / error)
        assert f"PSNR {psnr:.3f} dB" in printed
        assert psnr > 20


def test_sounds(trained, call, tmp_path):
    path = tmp_path / "sound.wav"
    sound = np.random.default_rng(5).normal(0, 0.1, 3001)
    soundfile.write(path, sound, 8000)
    assert call(cli.compress, path, f"ckpt={trained('audio')}")[0] == 0
    out = tmp_path / "back.wav"
    packed = tmp_path / "sound.wav.ltc"
    assert call(cli.decompress, packed, out, f"ckpt={trained('audio')}")[0] == 0
    decoded, rate = soundfile.read(out)
    assert rate == 8000
    assert decoded.shape == sound.shape
    assert np.square(decoded - sound).mean() < 0.5 * sound.var()
    soundfile.write(path, sound, 16000)
    code, _, printed = call(cli.compress, path, f"ckpt={trained('audio')}", "--force")
    assert code == 2
    assert "16000 samples per second" in printed


def test_nothing_has_no_samples(trained, call, tmp_path):
    np.savez(tmp_path / "none.npz")
    np.save(tmp_path / "empty.npy", np.zeros((0, 3)))
    for name in ("none.npz", "empty.npy"):
        code, _, printed = call(cli.compress, tmp_path / name, f"ckpt={trained('array')}")
        assert code == 0, printed
        assert printed.startswith("0 samples to ")
        assert len(printed.splitlines()) == 1


SLOW = {
    "lightning", "matplotlib", "pooch", "scipy.optimize", "scipy.stats", "skimage",
    "tensorboard", "zuko",
}  # fmt: skip


def test_another_process_with_other_threads_decodes_the_same(trained):
    coder = load_coder(trained("array"))
    array = np.random.default_rng(0).normal(size=80_000).astype(np.float32)
    data = coder.compress(Payload("array", {"array": array}, ".npy"))
    decoded = coder.decompress(data)[0].arrays["array"]
    ckpt = f"ckpt={trained('array')}"
    for threads in ("1", "2"):
        script = (
            "import sys; from ltc.cli.compress import decompress; "
            f"sys.argv = ['ltc-decompress', '-', '-', {ckpt!r}]; decompress(); "
            f"print(*({SLOW!r} & {{*sys.modules}}), 'loaded', file=sys.stderr)"
        )
        result = subprocess.run(
            [sys.executable, "-c", script],
            input=data,
            capture_output=True,
            env={**os.environ, "OMP_NUM_THREADS": threads},
            check=True,
        )
        assert np.array_equal(np.load(io.BytesIO(result.stdout)), decoded)
        # Starting takes long enough with what is needed.
        assert result.stderr.endswith(b"second\nloaded\n")


def test_checkpoints_hold_the_code(trained):
    state = torch.load(trained("image") / "checkpoints/best.ckpt", weights_only=True)
    assert state["source"]["patch"] == 4
    assert len(state["code"]["branch_at"]) == 2
