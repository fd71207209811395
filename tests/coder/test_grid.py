"""Whole pictures: contexts, the search along the trellis, streams and files."""

import itertools
import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ltc.codec import Aim, Container, Payload, grid_stream
from ltc.codec.files import silent
from ltc.codec.picture_files import PictureFileCoder, quality_step
from ltc.coder.grid import FINEST, GridCoder
from ltc.coder.levels import PLAIN, branches_of, candidate, kind_of, level_of, rank_of, signed
from ltc.entropy import Context
from ltc.entropy.neighbourhood import BORDER, class_of, features, known, place_of, with_border
from ltc.errors import InputError
from ltc.lattices import A2, BW16, E8, Convolutional, Dn, DnDual, GeneratorLattice, Leech, Zn
from ltc.transforms import Lapped

LATTICES = {
    "scalar": Zn(),
    "trellis-8": Convolutional(8),
    "trellis-16": Convolutional(16),
    "dn": Dn(4),
    "dn-dual": DnDual(4),
    "e8": E8(),
    "bw16": BW16(),
}
# Whose tables are fitted; dn and dn_dual are like E8, and BW16 takes three times as long.
FITTED = ["scalar", "trellis-8", "trellis-16", "e8"]
COSETS = range(6)


def smooth(height, width, colours=3, seed=0):
    """Return a picture of 8 bits whose neighbours resemble each other, with an edge."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(height + 8, width + 8, colours))
    for axis in (0, 1):
        noise = np.cumsum(noise, axis)
        noise = noise - noise.mean(axis, keepdims=True)
    noise += 2 * rng.normal(size=noise.shape) + 60 * (np.arange(width + 8)[:, None] > width // 2)
    picture = 128 + 30 * (noise - noise.mean()) / noise.std()
    return np.clip(np.rint(picture[8:, 8:]), 0, 255).astype(np.uint8)


def make(lattice, stride=4):
    transform = Lapped(3, stride, "biorthogonal")
    context = Context(transform.frequencies, branches_of(lattice).numbers)
    return GridCoder(transform, lattice, context, lmbda=50, gain=30.0)


@pytest.fixture(scope="module", params=FITTED)
def coder(request):
    model = make(LATTICES[request.param])
    pictures = [smooth(48, 64, seed=seed).astype(np.float32) - 128 for seed in range(3)]
    pictures.append(pictures[0][..., :1])
    model.fit(pictures, steps=[2.0, 8.0])
    return model


@pytest.fixture
def files(coder):
    return PictureFileCoder(
        coder, {"offset": 128.0, "gain": 30.0, "dimension": 3, "whole": "image"}
    )


def test_weights_times_features_is_what_the_kernels_sum():
    rng = np.random.default_rng(0)
    context = Context(Lapped(3, 2).frequencies, [2, 2, 2, 2])
    related, weights, bias, _, _ = context.arrays(12)
    weights = rng.integers(0, 100, weights.shape).astype(np.int32)
    magnitude = with_border(12, 5, 6)
    magnitude[:, BORDER:-BORDER, BORDER:-BORDER] = rng.integers(0, 9, (12, 5, 6))
    seen = features(magnitude, related)
    for plane, r, c in itertools.product(range(12), range(5), range(6)):
        at = plane, r + BORDER, c + BORDER
        weight, start = weights[plane, place_of(r, c)], bias[plane, place_of(r, c)]
        total = known(magnitude, *at, related[plane], weight, start)
        row = magnitude[plane, r + BORDER]
        total += weight[0] * row[c + 1] + weight[1] * row[c]
        assert total == start + weight @ seen[:, plane, r, c]


def test_what_a_decoder_does_not_know_has_no_weight():
    """Of its own plane what comes later, and planes that come later."""
    context = Context(Lapped(3, 2).frequencies, [2, 2, 2, 2])
    related = context.related
    assert (related < np.arange(len(related))[:, None]).all()
    magnitude = with_border(12, 3, 3)
    magnitude[5, BORDER + 1, BORDER + 1 :] = 7
    magnitude[5, BORDER + 2] = 7
    magnitude[6:] = 7
    assert (features(magnitude, related)[:, 5, 1, 1] == 0).all()


def test_classes_rise_by_quarters_of_octaves():
    found = [class_of(total) for total in range(1 << 18)]
    assert sorted(set(found)) == list(range(max(found) + 1))
    assert (np.diff(found) >= 0).all()
    for total in (1 << 8, 1 << 12, 1 << 16):
        assert found[2 * total] - found[total] == 4


def test_tables_are_probabilities_and_follow_the_counts(coder):
    coder.context.check()
    context = Context(Lapped(3, 2).frequencies, [2, 2, 2, 2])
    branches, values, errors = context.nothing()
    branches[1, 20, 3] = 3e6, 1e6
    values[0, 10, 1, :2] = 1e6
    errors[0, 10, 1, 0] = 0.25e6, 1e6
    context.fit(branches, values, errors)
    assert context.branch_bits[1, 20, 3].tolist() == pytest.approx([0.415, 2], abs=1e-3)
    assert context.value_bits[0, 10, 1, :2].tolist() == pytest.approx([1, 1], abs=1e-3)
    assert context.reconstruction[0, 10, 1, 0] == pytest.approx(0.25, abs=1e-3)


def test_more_states_take_the_probabilities_of_fewer():
    """States that offer the same levels are alike; everything else is the same."""
    few, many = (branches_of(Convolutional(states)) for states in (8, 64))
    frequencies = Lapped(3, 2).frequencies
    other, context = (Context(frequencies, branches.numbers) for branches in (few, many))
    rng = np.random.default_rng(0)
    other.fit(*(rng.integers(1, 1000, counts.shape) for counts in other.nothing()))
    parities = [branches.coset[1, :, 0] & 1 for branches in (few, many)]
    context.take(other, *parities)
    for parity in (0, 1):
        mean = other.branch[..., parities[0] == parity, :].double().mean(-2)
        there = context.branch[..., parities[1] == parity, :]
        assert (there - mean[..., None, :]).abs().max() <= 0.5
    for name, value in context.named_buffers():
        assert name == "branch" or (value == other.state_dict()[name]).all()


def members(coset):
    """Return the levels of a coset that lie about zero."""
    return [n for n in range(-61, 62) if rank_of(n, coset) >= 0]


@pytest.mark.parametrize("coset", COSETS)
def test_every_level_of_a_coset_has_one_name(coset):
    names = []
    for level in members(coset):
        rank = rank_of(level, coset)
        found = level_of(coset, rank)
        assert found == (abs(level) if signed(level, coset) else level)
        names.append((rank, level < 0 and signed(level, coset)))
    assert len(set(names)) == len(names)
    if coset < 4:
        assert members(coset) == [n for n in range(-61, 62) if n % 4 == coset]


@pytest.mark.parametrize("name", LATTICES)
def test_a_state_offers_each_level_once(name):
    """Where coordinates are small, odd states of a convolutional code offer zero too."""
    branches = branches_of(LATTICES[name])
    for small in (0, 1):
        for after, cosets in zip(branches.following, branches.coset[small], strict=True):
            there = cosets[after >= 0]
            offered = sorted(n for coset in there for n in members(coset))
            assert len(set(offered)) == len(offered)
    assert kind_of(1) == kind_of(3)


@pytest.mark.parametrize("name", ["dn", "dn-dual", "e8", "bw16"])
def test_paths_are_points_of_the_lattice(name):
    lattice = LATTICES[name]
    following, cosets, volume = branches_of(lattice)
    rng = np.random.default_rng(0)
    for _ in range(50):
        state, path = 0, []
        for _ in range(lattice.dimension):
            offered = cosets[1, state][following[state] >= 0]
            branch = int(rng.integers(len(offered)))
            path.append(offered[branch] + 4 * int(rng.integers(-2, 3)))
            state = following[state, branch]
        assert state == 0
        point = torch.tensor([path], dtype=torch.float32) / volume
        assert torch.allclose(lattice.closest_point(point), point, atol=1e-4)


@settings(deadline=None)
@given(st.floats(-50, 50), st.sampled_from(COSETS))
@example(1.25, 5)  # between zero and three, which are not four apart
def test_candidates_are_the_nearest_of_their_coset(value, coset):
    nearest = candidate(value, coset, 0)
    assert rank_of(nearest, coset) >= 0
    assert abs(value - nearest) == min(abs(value - n) for n in members(coset))
    inner = candidate(value, coset, 1)
    assert rank_of(inner, coset) >= 0
    assert inner == nearest or abs(inner) < abs(nearest)
    assert abs(inner - nearest) in ({0} if abs(nearest) < 3 else {2, 3, 4})


@pytest.mark.parametrize("bias", [100, 3000])
@pytest.mark.parametrize("name", LATTICES)
def test_the_search_finds_the_best_of_all_paths(name, bias):
    """By enumeration, where the class is the same everywhere: then Viterbi is exact."""
    model = make(LATTICES[name])
    context = model.context
    context.weights.zero_()
    context.bias.fill_(bias)
    found_class = class_of(bias)
    following, cosets, volume = model.branches
    weight = (2 / volume) ** 2 / Lapped.ratio
    branch_bits = context.branch_bits[0, found_class]
    value_bits = context.value_bits[0, found_class]

    def price(wanted, path):
        """Return the Lagrangian of levels; infinite where they are none of the trellis."""
        state, cost = 0, 0.0
        for x, level in zip(wanted, path, strict=True):
            offered = cosets[int(found_class >= PLAIN), state][following[state] >= 0]
            ranks = [rank_of(level, coset) for coset in offered]
            branch = int(np.argmax(ranks))
            if ranks[branch] < 0:
                return math.inf
            coset, rank = offered[branch], ranks[branch]
            cost += (x - level) ** 2 * weight
            cost += branch_bits[state, branch] + value_bits[kind_of(coset), rank]
            cost += signed(level, coset)
            state = following[state, branch]
        return cost

    rng = np.random.default_rng(0)
    rows = rng.normal(0, 1.5, (4, 3))
    wanted = np.zeros((48, 1, 3), np.float32)
    for row in rows:
        wanted[0, 0] = row
        found = model.encode(wanted * model.unit(FINEST), FINEST).level[0, 0].tolist()
        paths = itertools.product(range(-4, 5), repeat=3)
        least = min(price(wanted[0, 0], path) for path in paths)
        assert price(wanted[0, 0], found) == pytest.approx(least, abs=1e-4)


def test_eight_states_are_as_near_to_the_limit_as_their_lattice():
    """Of a Gaussian source at one bit per sample, where cosets with a zero are 0.11 from it."""
    model = make(LATTICES["trellis-8"], stride=2)
    model.context.weights.zero_()
    model.context.bias.fill_(800)
    source = np.random.default_rng(0).normal(size=(12, 40, 100)).astype(np.float32)
    for _ in range(8):
        found = model.encode(source, FINEST)
        model.context.fit(*found.found)
    rate = found.bits / source.size
    assert 0.8 < rate < 1.2
    assert 0.06 < rate - 0.5 * math.log2(1 / found.error) < 0.09


@pytest.mark.parametrize("step", [1.0, 2.0, 16.0])
def test_a_stream_has_the_length_that_the_tables_say_and_decodes(coder, files, step):
    picture = smooth(40, 56, seed=9)
    written = files.encode(
        Payload("image", {"image": picture}, ".png"), aim=Aim("quality", quality_of(step))
    )
    assert 32 * len(written.streams[0]) == pytest.approx(written.bits, rel=3e-3, abs=64)
    encoded = coder.encode(coder.planes(picture.astype(np.float32) - 128), round(step * FINEST))
    assert encoded.bits == written.bits
    assert (grid_stream.encode(coder, encoded.level) == written.streams[0]).all()
    decoded, _ = grid_stream.decode(coder, written.streams[0], encoded.level.shape, silent)
    assert (decoded == encoded.level).all()
    # Borders apart, where biorthogonal transforms scale otherwise, an error of the latent is one
    # of the picture.
    error = np.square(
        files.decompress(written.data)[0].arrays["image"] - picture.astype(float)
    ).mean()
    assert error == pytest.approx(encoded.error + (1 / 12 if step < 4 else 0), rel=0.3)


def quality_of(step):
    return 12.5 * (8 - math.log2(step))


def test_without_rate_the_nearest_levels_are_chosen():
    """No path has less error; with the rate counted, errors are larger and bits fewer."""
    planes = np.random.default_rng(0).normal(size=(12, 4, 5)).astype(np.float32) * 3
    weighed = make(LATTICES["trellis-8"], stride=2)
    nearest = make(LATTICES["trellis-8"], stride=2)
    nearest.rdo = False
    found, best = (model.encode(planes, FINEST) for model in (nearest, weighed))
    assert found.error < best.error
    assert found.bits > best.bits
    scalar = make(LATTICES["scalar"], stride=2)
    scalar.rdo = False
    scalar.context.bias.fill_(1 << 14)
    assert (scalar.encode(planes, FINEST).level == 2 * np.rint(planes / 2)).all()


def test_finer_steps_cost_more_and_are_better(files):
    payload = Payload("image", {"image": smooth(64, 64, seed=5)}, ".png")
    found = []
    for quality in (40, 55, 70, 85):  # steps from 28 to 2: what the tables were fitted to
        data = files.compress(payload, aim=Aim("quality", quality))
        found.append((len(data), -payload.squared_error(files.decompress(data)[0])))
    assert found == sorted(found)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_all_paths_can_be_written(data):
    """Also levels that no encoder would choose, far beyond the tables."""
    model = make(data.draw(st.sampled_from(list(LATTICES.values()))), stride=2)
    context = model.context
    level = np.zeros((12, 2, 3), np.int32)
    context.weights.zero_()
    context.bias.fill_(data.draw(st.sampled_from([100, 3000])))
    cosets = model.branches.coset[int(class_of(int(context.bias[0, 0])) >= PLAIN)]
    state = 0
    for at in np.ndindex(level.shape):
        branch = data.draw(st.integers(0, model.branches.numbers[state] - 1))
        rank = data.draw(st.integers(0, 200_000) | st.integers(0, 3))
        level[at] = level_of(cosets[state, branch], rank)
        if signed(level[at], cosets[state, branch]) and data.draw(st.booleans()):
            level[at] *= -1
        state = model.branches.following[state, branch]
    words = grid_stream.encode(model, level)
    decoded, place = grid_stream.decode(model, words, level.shape, silent)
    assert (decoded == level).all()
    assert (place == level).all()  # before it is fitted


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_picture_or_are_refused(data):
    model = make(LATTICES["trellis-8"], stride=2)
    files = PictureFileCoder(model, {"offset": 128.0})
    metadata = {"kind": "image", "suffix": ".png", "arrays": [["image", [5, 4, 3], "|u1"]]}
    forged = Container(files.fingerprint, {**metadata, "step": 1024}, [(1, data)]).pack()
    try:
        payload, _ = files.decompress(forged)
    except InputError:
        return
    assert payload.arrays["image"].shape == (5, 4, 3)


SHAPES = [(1, 1), (1, 1, 3), (1, 1000), (37, 3, 3), (5, 29), (16, 16, 3)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_pictures_of_any_size_come_back(files, shape, dtype):
    picture = smooth(*shape[:2], 3)[..., : 3 if len(shape) == 3 else 1].reshape(shape)
    picture = picture.astype(dtype) * (np.iinfo(dtype).max // 255)
    payload = Payload("image", {"image": picture}, ".png")
    decoded, damaged = files.decompress(files.compress(payload, aim=Aim("quality", 100)))
    found = decoded.arrays["image"]
    assert not damaged
    assert found.dtype == dtype
    assert found.shape == shape
    assert np.abs(found.astype(float) - picture).max() < 4 * np.iinfo(dtype).max / 255


def test_what_is_asked_for_is_reached(files):
    payload = Payload("image", {"image": smooth(96, 128, seed=4)}, ".png")
    for wanted in (1.0, 3.0):
        data = files.compress(payload, aim=Aim("bpp", wanted))
        assert 8 * len(data) / (96 * 128) == pytest.approx(wanted, rel=0.01)
    data = files.compress(payload, aim=Aim("psnr", 36.0))
    error = payload.squared_error(files.decompress(data)[0])
    assert 10 * math.log10(255**2 / error) == pytest.approx(36, abs=0.05)
    with pytest.raises(InputError, match="the nearest is without loss"):
        files.compress(payload, aim=Aim("psnr", 1000))
    flat = Payload("image", {"image": np.full((9, 8, 3), 128, np.uint8)}, ".png")
    data = files.compress(flat, aim=Aim("psnr", 40.0))  # nothing is worse than it has to be
    assert (files.decompress(data)[0].arrays["image"] == 128).all()
    with pytest.raises(InputError, match="cannot be reached for this picture; the nearest is"):
        files.compress(payload, aim=Aim("bpp", 1e-4))
    with pytest.raises(InputError, match="quality=101; expected a number from 0 to 100"):
        files.compress(payload, aim=Aim("quality", 101))
    assert quality_step(0) == 256 * FINEST


def test_other_lattices_and_kinds_are_refused(files):
    for lattice in (A2(), Leech(), GeneratorLattice([[1, 0], [0, 1]])):
        with pytest.raises(InputError, match="of two or four cosets; use quantizer=trellis"):
            make(lattice)
    with pytest.raises(InputError, match="states=4096; of pictures expected 1024 at m"):
        make(Convolutional(4096))
    with pytest.raises(InputError, match="trained on pictures, and cannot compress array"):
        files.compress(Payload("array", {"x": np.zeros(3)}, ".npz"))


@pytest.mark.parametrize(
    "forged",
    [
        {"step": 0}, {"step": 1e3}, {"step": None}, {"kind": "audio"}, {"suffix": ".exe"},
        {"arrays": [["image", [10**9, 10**9, 3], "|u1"]]},
    ],
)  # fmt: skip
def test_forged_headers_are_refused(files, forged):
    payload = Payload("image", {"image": smooth(8, 8)}, ".png")
    container = Container.unpack(files.compress(payload))
    container.metadata.update(forged)
    with pytest.raises(InputError):
        files.decompress(container.pack())


def test_forged_tables_are_refused(coder):
    forged = Context(coder.transform.frequencies, [2, 2, 2, 2])
    forged.left[1, 3, 0, 5] = forged.left[1, 3, 0, 6]
    with pytest.raises(ValueError, match="no probabilities"):
        forged.check()


DECODE = """
import sys, torch, numpy as np
from ltc.codec import Payload
from ltc.runs.checkpoint import load_coder
payload, _ = load_coder(sys.argv[1]).decompress(open(sys.argv[2], "rb").read())
np.save(sys.argv[3], payload.arrays["image"])
"""


def test_a_run_of_pictures_and_another_machine(tmp_path):
    import ltc

    run = ltc.train(
        "source=images",
        "source.crop=64",
        "transform.overlap=biorthogonal",
        "entropy.steps=[8,16]",
        "logger=csv",
        lmbda=20,
        folder=tmp_path / "run",
    )
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["bitstream_rate"] == pytest.approx(metrics["rate"], rel=0.01)
    assert 26 < metrics["psnr_db"] < 45
    # The numbers of the table again, by hand.
    psnr, sizes = [], []
    for picture in run.source.test:
        payload = Payload("image", {"image": picture.squeeze()}, ".png")
        data = run.run.files.compress(payload)
        sizes.append(8 * len(data) / payload.arrays["image"].shape[0] / picture.shape[1])
        error = payload.squared_error(run.run.files.decompress(data)[0])
        psnr.append(10 * math.log10(255**2 / error))
    assert metrics["bits_per_pixel"] == pytest.approx(np.mean(sizes))
    assert metrics["psnr_db"] == pytest.approx(np.mean(psnr))
    shown = [axes.images[0].get_array() for axes in run.figure().axes]
    assert [(picture.shape, len(np.unique(picture)) > 9) for picture in shown] == 2 * [
        (run.source.test[0].squeeze().shape, True)
    ]
    colour = smooth(100, 75, seed=3)
    (tmp_path / "x.ltc").write_bytes(run.compress(colour))
    here = run.decompress((tmp_path / "x.ltc").read_bytes())
    files = [str(tmp_path / name) for name in ("run", "x.ltc", "there.npy")]
    subprocess.run(
        [sys.executable, "-c", DECODE, *files],
        check=True,
        env={**os.environ, "ATEN_CPU_CAPABILITY": "default", "NUMBA_NUM_THREADS": "1"},
    )
    assert (np.load(tmp_path / "there.npy") == here).all()


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["source=images", "transform=linear"], "whole pictures need transform=lapped"),
        (["source=images", "entropy=exact"], "whole pictures need entropy=context"),
        (["source=images", "quantizer=leech"], "along rows of a trellis of two or four cosets"),
        (["source=images", "distortion=absolute"], "coded for squared error"),
        (["source=images", "bound=auto"], "use bound=none"),
        (["source=images", "source.crop=0"], "source.crop"),
        (["source=images", "source.crop=1e9"], "an integer from 1 to 1024"),
        (["source=images", "source.block=4"], "source.block=4 is of vectors"),
        (["source=images", "quantizer.scale=2"], "quantizer.scale=2 is of vectors"),
        (["source=images", "quantizer=nested", "quantizer.fine=scalar"], "has a fixed rate"),
        (["source=images", "transform.stride=66"], "an integer from 1 to 64"),
        (["source=images", "lmbda=1e-9"], "lmbda=1e-09; expected at least"),
        (["source=images", "source.root="], "expected a folder of"),
        (["transform=lapped"], "are for whole pictures, source=images"),
        (["entropy=context"], "are for whole pictures, source=images"),
    ],
)
def test_choices_that_do_not_go_together_are_named(overrides, told, tmp_path):
    import ltc

    with pytest.raises(InputError, match=told):
        ltc.train(*overrides, "logger=csv", folder=tmp_path / "run")


def test_a_lmbda_without_a_step_is_refused_before_a_file_is_written(files):
    payload = Payload("image", {"image": smooth(8, 8)}, ".png")
    for lmbda in (1e-9, 1e-300, 5e-324):
        with pytest.raises(InputError, match="expected at least"):
            files.compress(payload, aim=Aim("lmbda", lmbda))


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((9, 9), float), ((9, 9), bool), ((9, 9), int), ((9, 9, 4), np.uint8), ((9, 9, 1), np.uint8),
     ((0, 9), np.uint8), ((9,), np.uint8), ((), np.uint8)],
)  # fmt: skip
def test_arrays_that_are_no_pictures_are_refused(files, shape, dtype):
    with pytest.raises(InputError, match="is no picture; expected uint8"):
        files.compress(Payload("image", {"image": np.zeros(shape, dtype)}, ".png"))


def test_the_memory_of_whole_blocks_is_limited(files):
    """A picture of one row takes that of all rows of its blocks."""
    payload = Payload("image", {"image": np.zeros((1, 400), np.uint8)}, ".png")
    data = files.compress(payload, largest=12 * 4 * 400)
    assert files.decompress(data, largest=12 * 4 * 400)[0].arrays["image"].shape == (1, 400)
    with pytest.raises(InputError, match="more than the 19,000 that are allowed"):
        files.compress(payload, largest=19_000)
    with pytest.raises(InputError, match="more than the 19,000 that are allowed"):
        files.decompress(data, largest=19_000)


@pytest.mark.parametrize("wrong", [{}, {"gain": "much"}, {"dimension": 2.5}, {"offset": None}])
def test_a_checkpoint_without_its_facts_is_refused(wrong):
    import ltc
    from ltc.runs.build import build_grid_coder

    known = (
        {"dimension": 3, "offset": 100.0, "gain": 50.0, "whole": "image"} | wrong if wrong else {}
    )
    with pytest.raises(InputError, match="the source's"):
        build_grid_coder(ltc.configuration("source=images"), known)
