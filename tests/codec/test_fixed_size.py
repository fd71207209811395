"""Blocks of exactly the asked size: their points, streams, files, and the rate of a run."""

import math

import numpy as np
import pytest
import torch

import ltc
from ltc.codec import Container, FileCoder, Payload, code_for
from ltc.coder import LatticeTransformCoder, fixed_size, sequence
from ltc.coder.fixed_size import GAIN_BITS
from ltc.distortion import Absolute, Squared
from ltc.entropy import Exact
from ltc.errors import InputError
from ltc.lattices import Convolutional
from ltc.quantizers import LatticeQuantizer, Layout
from ltc.training.target_rate import TargetRate
from ltc.transforms import Identity


def coder(states=8, channels=1, length=64, rate=2.0, scale=1.03):
    """Return a coder fitted to Gaussian blocks."""
    torch.manual_seed(0)
    lattice = Convolutional(states, length)
    layout = Layout(length, channels, length)
    quantizer = LatticeQuantizer(lattice, scale=scale, rate=rate)
    entropy = Exact(lattice, layout.channel)
    model = LatticeTransformCoder(Identity(channels), quantizer, layout, entropy, 0.7 * 4**rate)
    blocks = torch.randn(300, length, channels)
    model.initialise(blocks)
    entropy.fit(model.encode(blocks), layout.channel)
    return model


def vectors(model, blocks, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(blocks * model.layout.block, model.transform.dimension, generator=generator)


@pytest.mark.parametrize(
    ("states", "channels", "length", "rate"),
    [
        (8, 1, 64, 2.0),
        (8, 3, 32, 2.0),
        (16, 1, 64, 1.0),
        (256, 1, 128, 2.25),
        (4, 1, 64, 4.0),
        (8, 1, 128, 8.0),  # where a weight changes next to nothing, and a gain all
    ],
)
def test_every_block_has_its_size_and_is_what_was_chosen(states, channels, length, rate):
    model = coder(states, channels, length, rate, scale=4.1 / 2**rate)
    code = code_for(model)
    x = vectors(model, 40)
    points = sequence.encode(model, x, code.lengths)
    stream = code.encode(points)
    size = round(rate * length * channels) // 8
    assert len(stream) == 40 * size
    assert torch.equal(code.decode(stream, 40).float(), points)
    for i in range(40):  # at its address, and alone
        block = code.decode(stream[i * size : (i + 1) * size], 1)
        assert torch.equal(block[0].float(), points[i])
    assert (sequence.vector_bits(model, points) == 8 * size).all()
    error = (sequence.decode(model, points) - x).square().mean()
    assert -10 * math.log10(float(error)) > 6.02 * rate - 2.5


def test_length_is_the_place_of_the_last_bit():
    model = coder()
    code = code_for(model)
    points = sequence.encode(model, vectors(model, 30))
    points = points[..., :-1]
    for point, length in zip(points, code.lengths(points), strict=True):
        bits = np.unpackbits(np.frombuffer(code.code.encode(point[None]), np.uint8))
        assert int(length) == bits.nonzero()[0][-1] + 1
    outside = points.clone()
    outside[3] += 0.25
    assert code.lengths(outside).isinf().nonzero().flatten().tolist() == [3]


def test_little_is_left_empty_and_more_bits_are_better():
    errors = []
    for rate in (2.0, 2.125, 2.25):
        model = coder(length=128, rate=rate)
        code = code_for(model)
        x = vectors(model, 60)
        points = sequence.encode(model, x, code.lengths)
        used = code.lengths(points[..., :-1]) + GAIN_BITS
        assert (used <= model.size).all()
        errors.append(float((sequence.decode(model, points) - x).square().mean()))
        if rate == 2.0:
            assert float((model.size - used).mean()) < 5
    assert errors == sorted(errors, reverse=True)


def test_mixtures_of_paths_are_paths_that_fit_and_never_worse():
    model = coder(length=128)
    code = code_for(model)
    x = vectors(model, 40).unflatten(0, (-1, 128))
    wanted = model.wanted(x)
    low, high, _ = fixed_size._enclose(model, wanted, code.lengths, model.size)
    mixed = fixed_size._mixed(model, wanted, low, high, code.lengths, model.size)
    assert torch.equal(model.quantizer.lattice.closest_point(mixed), mixed)  # on the lattice
    assert (code.lengths(mixed.squeeze(1)) <= model.size).all()

    def error(points):
        return (model.reconstruct(points) - wanted).square().sum((1, 2, 3))

    assert (error(mixed) <= error(low) + 1e-4).all()
    assert (code.lengths(high.squeeze(1)) >= code.lengths(low.squeeze(1))).all()


def test_events_end_where_paths_meet():
    """Taking any events of another path leaves costs that are sums of those of the events."""
    model = coder(length=128)
    x = vectors(model, 20).unflatten(0, (-1, 128))
    wanted = model.wanted(x)
    one, other = (model.choose(wanted, weight) for weight in (6.0, 14.0))
    event = fixed_size._events(model, one, other)
    bits, other_bits = (fixed_size._costs(model, wanted, points)[0] for points in (one, other))
    for number in range(1, int(event.max()) + 1):
        taken = (event == number).view_as(one)
        mixed = torch.where(taken, other, one)
        assert torch.equal(model.quantizer.lattice.closest_point(mixed), mixed)
        expected = model.bits(one).double() + ((other_bits - bits) * (event == number)).sum(1)
        assert torch.allclose(model.bits(mixed).double(), expected, atol=1e-2)


def test_choice_depends_on_no_other_block():
    model = coder()
    code = code_for(model)
    x = vectors(model, 12)
    together = sequence.encode(model, x, code.lengths)
    alone = [sequence.encode(model, part, code.lengths) for part in x.split(64)]
    assert torch.equal(together, torch.cat(alone))


@pytest.mark.parametrize("kind", ["loud", "outlier", "silent", "constant"])
def test_any_block_fits(kind):
    model = coder()
    code = code_for(model)
    x = vectors(model, 4)
    if kind == "loud":
        x *= 50
    elif kind == "outlier":
        x[70] = 1e6
    else:
        x[:] = 0.0 if kind == "silent" else 0.7
    points = sequence.encode(model, x, code.lengths)
    stream = code.encode(points)
    assert len(stream) == 4 * 16
    assert torch.equal(code.decode(stream, 4).float(), points)
    if kind == "outlier":  # which costs its own block only
        error = (sequence.decode(model, points) - x).square()
        assert float(error[:64].mean()) < 0.15
        assert float(error[128:].mean()) < 0.15


def test_too_few_bits_are_refused():
    model = coder(rate=0.125)
    code = code_for(model)
    with pytest.raises(InputError, match=r"larger quantizer\.rate"):
        sequence.encode(model, vectors(model, 2), code.lengths)
    with pytest.raises(InputError, match=r"no whole bytes; the nearest rate is 2\.125"):
        coder(rate=2.1)
    with pytest.raises(InputError, match=r"quantizer\.rate"):
        LatticeQuantizer(Convolutional(8, 64), rate=-1.0)
    points = sequence.encode(coder(rate=4.0), 5 * vectors(model, 2))
    with pytest.raises(InputError, match="takes more than its"):
        code.encode(points)


def test_files_hold_blocks_at_fixed_addresses():
    model = coder(length=128)
    files = FileCoder(model, code_for(model), {"dimension": 1})
    x = vectors(model, 100)[:-37].numpy()
    data = files.compress(Payload("array", {"array": x}, ".npy"))
    chunks = Container.unpack(data).chunks
    body = b"".join(stream for _, stream in chunks)
    assert data.endswith(body)
    assert len(body) == 100 * 32
    decoded = files.decompress(data)[0].arrays["array"]
    assert decoded.shape == x.shape
    block = files.code.decode(body[40 * 32 : 41 * 32], 1).float()
    alone = sequence.decode(model, block).numpy()
    assert np.array_equal(alone, decoded[40 * 128 : 41 * 128])
    with pytest.raises(InputError, match="damaged"):
        files.code.decode(body[:40], 1)


@pytest.mark.parametrize("distortion", [Squared(), Absolute()])
def test_lmbda_follows_what_an_error_costs(distortion):
    """At high rate a bit more halves errors, and lmbda is 1 over their cost."""
    model = coder()
    model.distortion = distortion
    target, before = TargetRate(model), model.lmbda
    assert target.rate == 2 * (1 - GAIN_BITS / 128)
    assert target.step(target.rate - 1)
    one = distortion.cost(torch.tensor([0.5, 1.0]))
    assert model.lmbda == pytest.approx(before * float(one[1] / one[0]))
    assert target.step(target.rate + 0.5)  # too far, and half of it back
    assert model.lmbda == pytest.approx(before * float(one[1] / one[0]) ** 0.75)
    assert not target.step(target.rate)


@pytest.mark.parametrize(
    ("source", "rate", "largest"), [("laplacian", 1.5, 0.16), ("gaussian", 0.25, 0.93)]
)
def test_a_run_has_the_rate_that_was_asked_for(tmp_path, source, rate, largest):
    run = ltc.train(
        f"source=iid_{source}", "quantizer=trellis", f"quantizer.rate={rate}",
        "quantizer.length=128", "transform=identity", "steps=50", "refine.samples=20000",
        "evaluate.samples=10000", folder=tmp_path,
    )  # fmt: skip
    metrics = run.metrics
    assert metrics["rate"] == rate
    assert metrics["distortion"] < largest
    assert rate < metrics["bitstream_rate"] < rate + 0.04
    assert metrics["lmbda"] == run.coder.lmbda
    x = vectors(run.coder, 200)
    points = sequence.encode(run.coder, x)  # at the weight that was found
    assert float(run.coder.bits(points[:, None]).detach().mean()) / 128 == pytest.approx(
        rate, abs=0.3
    )
    again = ltc.load(tmp_path)
    assert again.coder.lmbda == run.coder.lmbda
    assert again.code.fingerprint == run.code.fingerprint


def test_a_run_whose_blocks_are_cut_says_so(tmp_path, caplog):
    ltc.train(
        "source=iid_bernoulli", "quantizer=trellis", "quantizer.rate=0.875", "quantizer.length=64",
        "transform=identity", "steps=50", "refine.samples=20000", "evaluate.samples=10000",
        folder=tmp_path,
    )  # fmt: skip
    assert "most blocks are cut; use a larger rate" in caplog.text


def test_more_bits_than_there_are_values_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"quantizer\.rate=6 is more than this source takes"):
        ltc.train(
            "source=iid_bernoulli", "quantizer=trellis", "quantizer.rate=6", "quantizer.length=64",
            "transform=identity", "steps=5", folder=tmp_path,
        )  # fmt: skip
