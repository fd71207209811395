"""`ltc-compress` and `ltc-decompress` on real files."""

import errno
import importlib.util
import io
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from ltc import __version__
from ltc.cli import compress as cli
from ltc.cli.train import main as train
from ltc.codec import Container, Payload
from ltc.errors import InputError
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
    # The points that were decoded have the same streams again, chunk by chunk.
    chunks = Container.unpack(data).chunks
    assert bool(chunks) == bool(array.size)
    if chunks:
        points = torch.cat(coder.code.decode_chunks(chunks))
        assert coder.code.encode_chunks(points) == chunks
    # And a coder remembers nothing of what it coded.
    assert coder.compress(payload) == data
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


SLOW = {
    "lightning", "matplotlib", "pooch", "scipy.optimize", "scipy.stats", "skimage",
    "tensorboard", "zuko",
}  # fmt: skip


def test_another_process_with_other_threads_decodes_the_same(runs, tmp_path):
    coder = load_coder(runs / "array")
    array = np.random.default_rng(0).normal(size=80_000).astype(np.float32)
    data = coder.compress(Payload("array", {"array": array}, ".npy"))
    decoded = coder.decompress(data)[0].arrays["array"]
    ckpt = f"ckpt={runs / 'array'}"
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


def test_only_regular_files_are_overwritten(runs, tmp_path, monkeypatch, capsys):
    path, ckpt = tmp_path / "x.npy", f"ckpt={runs / 'array'}"
    np.save(path, np.zeros(8))
    pipe, link, target = (tmp_path / name for name in ("pipe", "link", "target"))
    os.mkfifo(pipe)
    target.write_bytes(b"old")
    link.symlink_to(target)
    for output, expected in [(pipe, "use -"), ("/dev/null", "use -"), (tmp_path, "is a folder")]:
        for command, source in (("compress", path), ("decompress", path)):
            arguments = (source, output, ckpt, "--force")
            code, printed = call(monkeypatch, capsys, command, *arguments)
            assert code == 2
            assert expected in printed
    assert pipe.is_fifo()
    assert Path("/dev/null").is_char_device()
    assert call(monkeypatch, capsys, "compress", path, link, ckpt)[0] == 2
    assert call(monkeypatch, capsys, "compress", path, link, ckpt, "--force")[0] == 0
    assert link.is_symlink()
    assert target.read_bytes().startswith(b"LTC")


def test_the_files_of_its_own_output_are_not_replaced(tmp_path, monkeypatch):
    """`ltc-compress x.npy /dev/stdout ckpt=... > file` would write the file that is open."""
    with open(tmp_path / "out", "wb") as file, monkeypatch.context() as patch:
        patch.setattr(os, "fstat", lambda number, real=os.fstat: real(file.fileno()))
        with pytest.raises(InputError, match="use -"):
            cli._check_output(str(tmp_path / "out"), True)


@pytest.mark.parametrize("full", [True, False])
def test_a_full_or_closed_output_is_one_line(runs, tmp_path, monkeypatch, capsys, full):
    path = tmp_path / "x.npy"
    np.save(path, np.zeros(8))
    if full:
        descriptor = os.open("/dev/full", os.O_WRONLY)
    else:
        reading, descriptor = os.pipe()
        os.close(reading)
    with os.fdopen(descriptor, "w") as output:
        monkeypatch.setattr(sys, "stdout", output)
        code, printed = call(monkeypatch, capsys, "compress", path, "-", f"ckpt={runs / 'array'}")
    assert code == 2
    reason = "No space left on device" if full else "Broken pipe"
    assert printed == f"error: cannot write standard output: {reason}\n"


def test_a_full_disk_is_one_line_and_leaves_nothing(runs, tmp_path, monkeypatch, capsys):
    path = tmp_path / "x.npy"
    np.save(path, np.zeros(8))

    def full(path, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    code, printed = call(monkeypatch, capsys, "compress", path, f"ckpt={runs / 'array'}")
    assert code == 2
    assert printed == f"error: cannot write {path}.ltc: No space left on device\n"
    assert os.listdir(tmp_path) == ["x.npy"]


def test_inputs_without_an_end_are_refused(runs, monkeypatch, capsys):
    ckpt = f"ckpt={runs / 'array'}"
    for command, more in (("compress", ("--type", "npy")), ("decompress", ())):
        arguments = ("/dev/zero", "-", ckpt, "--largest", 1000, *more)
        code, printed = call(monkeypatch, capsys, command, *arguments)
        assert code == 2
        assert "/dev/zero has more than" in printed
    code, printed = call(monkeypatch, capsys, "compress", "x.npy", ckpt, "--largest", "-1")
    assert code == 2
    assert "expected a positive integer" in printed


@pytest.mark.parametrize("command", ["compress", "decompress"])
def test_version(monkeypatch, capsys, command):
    monkeypatch.setattr(sys, "argv", ["ltc", "--version"])
    with pytest.raises(SystemExit) as stop:
        getattr(cli, command)()
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"ltc-{command} {__version__}\n"


def test_the_share_that_is_done_is_reported(runs):
    coder = load_coder(runs / "array")
    payload = Payload("array", {"array": np.zeros(3_000_000, np.float32)}, ".npy")
    written, read = [], []
    data = coder.compress(payload, written.append)
    coder.decompress(data, progress=read.append)
    for shares in (written, read):
        assert len(shares) > 1
        assert shares == sorted(shares)
        assert shares[-1] == 1


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
    array = np.random.default_rng(0).normal(size=80_000).astype(np.float32)
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


def test_a_flipped_byte_costs_a_few_rows_of_a_small_picture(runs):
    coder = load_coder(runs / "image")
    x, y = np.meshgrid(np.linspace(0, 6, 301), np.linspace(0, 4, 200))
    noise = np.random.default_rng(0).normal(0, 20, (200, 301))
    pixels = (120 + 80 * np.sin(x + y) + noise).clip(0, 255).astype(np.uint8)
    data = coder.compress(Payload("image", {"image": pixels}, ".png"))
    whole = coder.decompress(data)[0].arrays["image"]
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 1
    payload, damaged = coder.decompress(bytes(flipped), salvage=True)
    assert len(damaged) == 1
    lost = (payload.arrays["image"] != whole).any(1).sum()
    assert 0 < lost <= 40
    # What this costs: the same points as one stream, with a table of one entry.
    container = Container.unpack(data)
    points = torch.cat(coder.code.decode_chunks(container.chunks))
    one = [(len(points), coder.code.encode(points))]
    least = len(Container(container.fingerprint, container.metadata, one).pack())
    assert len(data) <= 1.005 * least


def script(name):
    """Import a file of `scripts/`, which is no package."""
    path = Path(__file__).parents[2] / f"scripts/{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


hostile = script("check_hostile")
RANDOM = st.randoms(use_true_random=False, note_method_calls=False)


@pytest.fixture(scope="module")
def compressed(runs):
    """Return a coder and a file of each kind."""
    array = np.random.default_rng(0).normal(size=(100, 50))
    payloads = {run: Payload("array", {"array": array}, ".npy") for run in ("array", "trellis")}
    payloads["fixed"] = Payload("array", {"a": array, "b": np.arange(7, dtype=np.int16)}, ".npz")
    payloads["image"] = Payload.read(hostile.inputs()[".png"], ".png")
    payloads["audio"] = Payload.read(hostile.inputs()[".wav"], ".wav")
    coders = {run: load_coder(runs / run) for run in payloads}
    return {run: (coders[run], coders[run].compress(payload)) for run, payload in payloads.items()}


@pytest.mark.parametrize("run", ["array", "trellis", "fixed", "image", "audio"])
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(chance=RANDOM, salvage=st.booleans())
def test_hostile_files_end_in_one_error(compressed, run, chance, salvage):
    """With their checksums right or wrong; `scripts/check_hostile.py` tries more of the same."""
    coder, data = compressed[run]
    other = compressed["array" if run != "array" else "image"][1]
    mutated, whole = hostile.mutate(data, other, chance)
    hostile.decode(coder, mutated, whole or mutated == data, salvage)


@pytest.mark.parametrize("suffix", hostile.inputs())
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(chance=RANDOM)
def test_hostile_inputs_end_in_one_error(compressed, suffix, chance):
    kinds = {".png": "image", ".jpg": "image", ".wav": "audio", ".flac": "audio"}
    coder, _ = compressed[kinds.get(suffix, "array")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # decoders complain
        hostile.encode(
            coder, hostile.mutate_input(hostile.inputs()[suffix], suffix, chance), suffix
        )


FORGED = {
    "kind": [None, 7, [], {}, "images", "\ud800"],
    "suffix": [None, 7, [], ".exe", ".png", ".npz"],
    "rate": [None, True, "8000", 8000.0, 2**70, -1, 16000],
    "subtype": [None, 7, [], "VORBIS"],
    "arrays": [
        None, 7, [[]], [["audio"]], [], [["other", [99], "<f4"]],
        *([["audio", shape, "<f4"]] for shape in (
            [2**39], [-1], ["a"], [2**40], "x", None, [10**30], [2**20, 2**19], [99, 1], [True],
            [0, 2**39, 2**39], [1] * 70, [99.0], [float("nan")],
        )),
        *([["audio", [99], kind]] for kind in (
            "O", "<U5", "<f16", "M8", 3, "nonsense", "f4,f4", "(2,3)f4", "{'names':['a']}", "f4[",
            "<i2", ["<f4"], {"names": ["a"]},
        )),
        [["audio", [99], "<f4"], ["audio", [0], "<f4"]],
    ],
}  # fmt: skip


@pytest.mark.parametrize("key", FORGED)
def test_forged_headers_are_refused(compressed, key):
    coder, data = compressed["audio"]
    container = Container.unpack(data)
    for value in FORGED[key]:
        metadata = {**container.metadata, key: value}
        forged = Container(container.fingerprint, metadata, container.chunks).pack()
        with pytest.raises(InputError):
            coder.decompress(forged)


@pytest.mark.parametrize("run", ["array", "fixed", "trellis"])
@pytest.mark.parametrize("salvage", [False, True])
def test_sizes_that_nothing_backs_take_no_memory(compressed, run, salvage):
    """2^39 numbers, and chunks to match, in a file of some kilobytes with right checksums."""
    coder, data = compressed[run]
    container = Container.unpack(data)
    most = coder.code.most_vectors
    for vectors, count in ((1 << 20, 2000), (most, 2000), (most + 1, 1)):
        scalars = vectors * count * coder.model.layout.channel.numel()
        metadata = {"kind": "array", "suffix": ".npy", "arrays": [["array", [scalars], "<f8"]]}
        packed = Container(container.fingerprint, metadata, [(vectors, b"x")] * count).pack()
        cut = packed[:-count]  # all chunks are damaged
        with pytest.raises(InputError):
            coder.decompress(cut if salvage else packed, salvage)


def test_checkpoints_hold_the_code(runs):
    state = torch.load(runs / "image/checkpoints/best.ckpt", weights_only=True)
    assert state["source"]["patch"] == 4
    assert len(state["code"]["branch_at"]) == 2


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
