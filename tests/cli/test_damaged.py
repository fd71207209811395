"""Damaged, forged and hostile files end in one error, or lose what is damaged."""

import importlib.util
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ltc.codec import Container, Payload
from ltc.errors import InputError
from ltc.runs.checkpoint import load_coder


def test_a_file_of_another_model_is_refused(trained):
    data = load_coder(trained("array")).compress(Payload("array", {"array": np.zeros(8)}, ".npy"))
    with pytest.raises(InputError, match="was written by model"):
        load_coder(trained("image")).decompress(data)


def test_salvage_returns_every_undamaged_chunk(trained):
    coder = load_coder(trained("array"))
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


def test_a_file_of_which_nothing_is_left_is_no_success(trained):
    coder = load_coder(trained("array"))
    data = bytearray(coder.compress(Payload("array", {"array": np.ones(80)}, ".npy")))
    data[-1] ^= 1
    with pytest.raises(InputError, match="all 1 chunks are damaged"):
        coder.decompress(bytes(data), salvage=True)


def test_a_flipped_byte_costs_a_few_rows_of_a_small_picture(trained):
    coder = load_coder(trained("image"))
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
def compressed(trained):
    """Return a coder and a file of each kind."""
    array = np.random.default_rng(0).normal(size=(100, 50))
    payloads = {run: Payload("array", {"array": array}, ".npy") for run in ("array", "trellis")}
    payloads["fixed"] = Payload("array", {"a": array, "b": np.arange(7, dtype=np.int16)}, ".npz")
    payloads["image"] = Payload.read(hostile.inputs()[".png"], ".png")
    payloads["audio"] = Payload.read(hostile.inputs()[".wav"], ".wav")
    coders = {run: load_coder(trained(run)) for run in payloads}
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


FORGED_CHECKPOINTS = {
    "rows": "does not fit",
    "target": "it asks for os.mkdir",
    "interpolation": "new_folder",
    "facts": "gain=0",
    "empty": "its configuration has no name",
    "partial": "it asks for _partial_",
    "group": "ltc.sources.IIDGaussian is no Transform",
}


@pytest.mark.parametrize("change", FORGED_CHECKPOINTS)
def test_forged_checkpoints_are_refused(trained, tmp_path, change):
    state = torch.load(trained("image") / "checkpoints/best.ckpt", weights_only=True)
    if change == "rows":
        for key in ("branch_at", "coset_at"):
            state["code"][key] = state["code"][key][:1].clone()
    elif change == "facts":
        state["source"]["gain"] = 0.0
    elif change == "empty":
        state["config"] = {}
    elif change == "partial":
        state["config"]["transform"]["_partial_"] = True
    elif change == "group":
        state["config"]["transform"] = {"_target_": "ltc.sources.IIDGaussian"}
    elif change == "interpolation":
        state["config"]["lmbda"] = f"${{new_folder:{tmp_path},made}}"
    else:
        lattice = {"_target_": "os.mkdir", "path": str(tmp_path / "made")}
        state["config"]["quantizer"]["lattice"] = lattice
    torch.save(state, tmp_path / "forged.ckpt")
    with pytest.raises(InputError) as error:
        load_coder(tmp_path / "forged.ckpt")
    assert FORGED_CHECKPOINTS[change] in str(error.value)
    assert "forged.ckpt" in str(error.value)
    assert not (tmp_path / "made").exists()
