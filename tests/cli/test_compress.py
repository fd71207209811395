"""`ltc-compress` and `ltc-decompress` on real files."""

import io
import itertools
import os
import random
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from ltc.cli import compress as cli
from ltc.cli.train import main as train
from ltc.codec import Container, LatticeCode, Payload
from ltc.errors import InputError
from ltc.lattices import E8
from ltc.runs.checkpoint import load_coder

QUICK = ["steps=20", "evaluate.samples=2000", "bound=none", "logger=csv", "trainer=cpu"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Train a coder for each kind of payload; return their folders."""
    folder = tmp_path_factory.mktemp("runs")
    rng = np.random.default_rng(0)
    os.makedirs(folder / "sounds")
    for i in range(3):
        soundfile.write(folder / f"sounds/{i}.wav", rng.normal(0, 0.1, 4000), 8000)
    sources = {
        "array": ["source=iid_gaussian", "quantizer=e8", "lmbda=8"],
        "image": ["source=image_patches", "quantizer=e8", "lmbda=50"],
        "audio": ["source=audio", f"source.root={folder / 'sounds'}", "quantizer=d4_dual"],
        "block": ["source=banana", "quantizer=e8"],
        "trellis": ["source=iid_gaussian", "quantizer=trellis", "quantizer.length=16"],
        "fixed": ["source=iid_gaussian", "quantizer=nested", "quantizer.search=4"],
    }
    arguments, patch = sys.argv, pytest.MonkeyPatch()
    patch.chdir(folder)
    for kind, overrides in sources.items():
        sys.argv = ["ltc-train", *overrides, *QUICK, f"hydra.run.dir={folder / kind}"]
        train()
    sys.argv = arguments
    patch.undo()
    return folder


def call(monkeypatch, capsys, command, *arguments):
    """Run a command; return its exit code and what it printed to standard error."""
    monkeypatch.setattr(sys, "argv", ["ltc", *map(str, arguments)])
    code = 0
    try:
        getattr(cli, command)()
    except SystemExit as stop:
        code = stop.code
    return code, capsys.readouterr().err


ARRAYS = [
    np.random.default_rng(0).normal(size=(37, 5)).astype(np.float32),
    np.random.default_rng(1).normal(size=1000),
    np.zeros((0, 3)),
    np.arange(-5, 6, dtype=np.int16),
    np.float64(0.5) * np.ones(()),
]


@pytest.mark.parametrize("run", ["array", "block", "fixed", "trellis"])
@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}{array.shape}")
def test_arrays(runs, run, array):
    coder = load_coder(runs / run)
    payload = Payload("array", {"array": array}, ".npy")
    data = coder.compress(payload)
    decoded, damaged = coder.decompress(data)
    restored = decoded.arrays["array"]
    assert restored.shape == array.shape
    assert restored.dtype == array.dtype
    assert damaged == []
    # Decoding is a function of the bytes, and coding what was decoded changes nothing further.
    assert np.array_equal(coder.decompress(data)[0].arrays["array"], restored)
    if array.size > 100:
        assert payload.distortion(decoded) < 0.2


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_array_files(runs, tmp_path, monkeypatch, capsys, suffix):
    array = np.random.default_rng(0).normal(size=(100, 8))
    path = tmp_path / f"x{suffix}"
    np.save(path, array) if suffix == ".npy" else np.savez(path, a=array, b=array[:3])
    code, printed = call(monkeypatch, capsys, "compress", path, f"ckpt={runs / 'array'}")
    assert code == 0, printed
    assert "bits per sample" in printed
    packed = tmp_path / f"x{suffix}.ltc"
    out = tmp_path / f"y{suffix}"
    assert call(monkeypatch, capsys, "decompress", packed, out, f"ckpt={runs / 'array'}")[0] == 0
    loaded = np.load(out)
    if suffix == ".npz":
        assert loaded["b"].shape == (3, 8)
        loaded = loaded["a"]
    assert np.square(loaded - array).mean() < 0.2


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("size", [(1, 1), (61, 50), (128, 96)])
def test_pictures_come_back_with_the_psnr_printed(
    runs, tmp_path, monkeypatch, capsys, colour, size
):
    high, wide = size
    x, y = np.meshgrid(np.linspace(0, 3, wide), np.linspace(0, 5, high))
    plane = 120 + 80 * np.sin(x + y)
    pixels = np.stack([plane, plane[::-1], plane / 2], -1) if colour else plane
    path = tmp_path / "picture.png"
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    code, printed = call(monkeypatch, capsys, "compress", path, f"ckpt={runs / 'image'}")
    assert code == 0, printed
    out = tmp_path / "back.png"
    packed = tmp_path / "picture.png.ltc"
    assert call(monkeypatch, capsys, "decompress", packed, out, f"ckpt={runs / 'image'}")[0] == 0
    before = np.asarray(Image.open(path), dtype=float)
    after = np.asarray(Image.open(out), dtype=float)
    assert before.shape == after.shape
    error = np.square(before - after).mean()
    if error > 0:
        psnr = 10 * np.log10(255**2 / error)
        assert f"PSNR {psnr:.3f} dB" in printed
        assert psnr > 20


def test_sounds(runs, tmp_path, monkeypatch, capsys):
    path = tmp_path / "sound.wav"
    sound = np.random.default_rng(5).normal(0, 0.1, 3001)
    soundfile.write(path, sound, 8000)
    assert call(monkeypatch, capsys, "compress", path, f"ckpt={runs / 'audio'}")[0] == 0
    out = tmp_path / "back.wav"
    packed = tmp_path / "sound.wav.ltc"
    assert call(monkeypatch, capsys, "decompress", packed, out, f"ckpt={runs / 'audio'}")[0] == 0
    decoded, rate = soundfile.read(out)
    assert rate == 8000
    assert decoded.shape == sound.shape
    assert np.square(decoded - sound).mean() < 0.5 * sound.var()
    soundfile.write(path, sound, 16000)
    code, printed = call(monkeypatch, capsys, "compress", path, f"ckpt={runs / 'audio'}", "--force")
    assert code == 2
    assert "16000 samples per second" in printed


def test_nothing_has_no_samples(runs, tmp_path, monkeypatch, capsys):
    np.savez(tmp_path / "none.npz")
    np.save(tmp_path / "empty.npy", np.zeros((0, 3)))
    for name in ("none.npz", "empty.npy"):
        code, printed = call(
            monkeypatch, capsys, "compress", tmp_path / name, f"ckpt={runs / 'array'}"
        )
        assert code == 0, printed
        assert printed.startswith("0 samples to ")
        assert len(printed.splitlines()) == 1


def test_the_limit_can_be_raised(runs, tmp_path, monkeypatch, capsys):
    np.save(tmp_path / "x.npy", np.zeros(1000))
    files = [tmp_path / name for name in ("x.npy", "x.npy.ltc", "y.npy")]
    for command, names in (("compress", files[:2]), ("decompress", files[1:])):
        arguments = (*names, f"ckpt={runs / 'array'}")
        code, printed = call(monkeypatch, capsys, command, *arguments, "--largest", 7999)
        assert code == 2
        assert "raise the limit with --largest" in printed
        code, printed = call(monkeypatch, capsys, command, *arguments, "--largest", 8000)
        assert code == 0, printed


def test_another_process_with_other_threads_decodes_the_same(runs, tmp_path):
    coder = load_coder(runs / "array")
    array = np.random.default_rng(0).normal(size=80_000).astype(np.float32)
    data = coder.compress(Payload("array", {"array": array}, ".npy"))
    decoded = coder.decompress(data)[0].arrays["array"]
    ckpt = f"ckpt={runs / 'array'}"
    for threads in ("1", "2"):
        script = (
            "import sys; from ltc.cli.compress import decompress; "
            f"sys.argv = ['ltc-decompress', '-', '-', {ckpt!r}]; decompress()"
        )
        result = subprocess.run(
            [sys.executable, "-c", script],
            input=data,
            capture_output=True,
            env={**os.environ, "OMP_NUM_THREADS": threads},
            check=True,
        )
        assert np.array_equal(np.load(io.BytesIO(result.stdout)), decoded)


def test_outputs_are_not_overwritten(runs, tmp_path, monkeypatch, capsys):
    path, out = tmp_path / "x.npy", tmp_path / "out.ltc"
    np.save(path, np.zeros(8))
    out.write_bytes(b"precious")
    code, printed = call(monkeypatch, capsys, "compress", path, out, f"ckpt={runs / 'array'}")
    assert code == 2
    assert "--force" in printed
    assert out.read_bytes() == b"precious"
    arguments = (path, out, f"ckpt={runs / 'array'}", "--force")
    assert call(monkeypatch, capsys, "compress", *arguments)[0] == 0
    assert out.read_bytes() != b"precious"


def test_bad_input(runs, tmp_path, monkeypatch, capsys):
    ckpt = f"ckpt={runs / 'array'}"
    np.save(tmp_path / "nan.npy", np.array([1.0, np.nan]))
    np.save(tmp_path / "text.npy", np.array(["a"]))
    np.save(tmp_path / "x.npy", np.zeros(8))
    (tmp_path / "broken.npy").write_bytes(b"\x93NUMPY")
    (tmp_path / "x.txt").write_text("hello")
    Image.new("L", (4, 4)).save(tmp_path / "x.png")
    cases = [
        ("compress", (tmp_path / "missing.npy", ckpt), "cannot read"),
        ("compress", (tmp_path / "nan.npy", ckpt), "NaN"),
        ("compress", (tmp_path / "text.npy", ckpt), "real numbers"),
        ("compress", (tmp_path / "broken.npy", ckpt), "no valid .npy file"),
        ("compress", (tmp_path / "x.txt", ckpt), "cannot compress .txt"),
        ("compress", (tmp_path / "x.png", ckpt), "cannot compress image"),
        ("compress", (tmp_path / "x.npy", f"ckpt={tmp_path / 'none'}"), "there is no file"),
        ("compress", (tmp_path / "x.npy", "run"), "expected ckpt=RUN"),
        ("compress", (tmp_path / "x.npy", f"ckpt={tmp_path / 'x.npy'}"), "not a checkpoint"),
        ("decompress", (tmp_path / "x.npy", ckpt), "no .ltc file"),
        ("compress", ("-", ckpt), "--type"),
    ]
    for command, arguments, expected in cases:
        code, printed = call(monkeypatch, capsys, command, *arguments)
        assert code == 2, printed
        assert expected in printed
        assert "Traceback" not in printed


def test_a_file_of_another_model_is_refused(runs):
    data = load_coder(runs / "array").compress(Payload("array", {"array": np.zeros(8)}, ".npy"))
    with pytest.raises(InputError, match="was written by model"):
        load_coder(runs / "image").decompress(data)


def test_salvage_returns_every_undamaged_chunk(runs):
    coder = load_coder(runs / "array")
    array = np.random.default_rng(0).normal(size=800_000).astype(np.float32)
    data = bytearray(coder.compress(Payload("array", {"array": array}, ".npy")))
    whole = coder.decompress(bytes(data))[0].arrays["array"]
    counts = [count for count, _ in Container.unpack(bytes(data)).chunks]
    assert len(counts) >= 3
    data[-1] ^= 1
    with pytest.raises(InputError, match=f"chunk {len(counts) - 1} of {len(counts)}"):
        coder.decompress(bytes(data))
    payload, damaged = coder.decompress(bytes(data), salvage=True)
    assert damaged == [len(counts) - 1]
    kept = 8 * sum(counts[:-1])
    assert np.array_equal(payload.arrays["array"][:kept], whole[:kept])
    assert not np.array_equal(payload.arrays["array"][kept:], whole[kept:])


@pytest.mark.parametrize("run", ["array", "image", "audio", "trellis"])
def test_hostile_files_end_in_one_error(runs, run):
    coder = load_coder(runs / run)
    arrays = {
        "array": Payload("array", {"array": np.ones(100)}, ".npy"),
        "trellis": Payload("array", {"array": np.ones(100)}, ".npy"),
        "image": Payload("image", {"image": np.zeros((9, 9), np.uint8)}, ".png"),
        "audio": Payload("audio", {"audio": np.zeros(99, np.float32)}, ".wav", 8000),
    }
    data = coder.compress(arrays[run])
    container = Container.unpack(data)
    chance = random.Random(0)
    for _ in range(500):
        mutated = bytearray(data)
        for _ in range(chance.randint(1, 4)):
            mutated[chance.randrange(len(mutated))] = chance.randrange(256)
        cut = mutated[: chance.randrange(len(mutated))]
        for candidate, salvage in itertools.product((mutated, cut), (False, True)):
            if bytes(candidate) == data:
                continue
            try:
                coder.decompress(bytes(candidate), salvage)
            except InputError:
                continue
            assert salvage
    # With a valid checksum: absurd sizes, wrong types, streams of noise.
    shapes = [[2**39], [-1], ["a"], [2**40], "x", None, [10**30], [2**20, 2**19]]
    entries = [[["a", shape, "<f4"]] for shape in shapes]
    entries += [[["a", [8], kind]] for kind in ("O", "<U5", "<f16", "M8", 3, "nonsense")]
    for arrays_entry in [*entries, None, 7, [[]], [["a"]]]:
        metadata = {**container.metadata, "arrays": arrays_entry}
        forged = Container(container.fingerprint, metadata, container.chunks).pack()
        with pytest.raises(InputError):
            coder.decompress(forged)
    for count in (0, 1, 13, 2**20, 2**32 - 1):
        chunks = [(count, stream) for _, stream in container.chunks]
        if chunks == container.chunks:
            continue
        with pytest.raises(InputError):
            coder.decompress(Container(container.fingerprint, container.metadata, chunks).pack())
    for _ in range(200):
        noise = chance.randbytes(4 * chance.randint(0, 20))
        chunks = [(count, noise) for count, _ in container.chunks]
        forged = Container(container.fingerprint, container.metadata, chunks).pack()
        try:
            payload, _ = coder.decompress(forged)
        except InputError:
            continue
        assert all(np.isfinite(array).all() for array in payload.arrays.values())


def test_checkpoints_hold_the_code(runs):
    state = torch.load(runs / "image/checkpoints/best.ckpt", weights_only=True)
    assert state["source"]["patch"] == 4
    assert LatticeCode.from_state(E8().trellis, state["code"]).rows == 2


@pytest.mark.parametrize("change", ["rows", "target"])
def test_forged_checkpoints_are_refused(runs, tmp_path, change):
    state = torch.load(runs / "image/checkpoints/best.ckpt", weights_only=True)
    if change == "rows":
        for key in ("branch_at", "coset_at"):
            state["code"][key] = state["code"][key][:1].clone()
    else:
        lattice = {"_target_": "os.mkdir", "path": str(tmp_path / "made")}
        state["config"]["quantizer"]["lattice"] = lattice
    torch.save(state, tmp_path / "forged.ckpt")
    with pytest.raises(InputError, match=r"does not fit|os\.mkdir"):
        load_coder(tmp_path / "forged.ckpt")
    assert not (tmp_path / "made").exists()
