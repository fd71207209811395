"""Trellis codes of fixed rate against brute force, and their codebooks as published."""

import doctest
import importlib.util
import itertools
import struct
import sys
from pathlib import Path

import pytest
import torch

from ltc.errors import InputError
from ltc.lattices import force_backend

SPEC = importlib.util.spec_from_file_location(
    "fixed_rate_codes", Path(__file__).parents[2] / "scripts/fixed_rate_codes.py"
)
codes = sys.modules["fixed_rate_codes"] = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(codes)
BitshiftQuantizer, TrellisCodedQuantizer = codes.BitshiftQuantizer, codes.TrellisCodedQuantizer


def test_examples_hold():
    found = doctest.testmod(codes, optionflags=doctest.ELLIPSIS)
    assert (found.failed, found.attempted > 9) == (0, True)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def every(quantizer, n):
    """Return what every sequence of n indices decodes to, shape (2^(rate n), n)."""
    indices = itertools.product(range(1 << quantizer.rate), repeat=n)
    return quantizer.decode(torch.tensor(list(indices)))


@pytest.mark.parametrize(("rate", "states", "n"), [(1, 4, 8), (1, 8, 9), (2, 4, 5), (3, 8, 3)])
def test_trellis_code_finds_the_best_of_all_sequences(rate, states, n):
    quantizer = TrellisCodedQuantizer(rate, states)
    x = normal(20, n)
    codewords = every(quantizer, n)
    assert len(torch.unique(codewords, dim=0)) == 2 ** (rate * n)  # rate n bits, none wasted
    least = (x[:, None] - codewords).square().sum(-1).amin(1)
    index = quantizer.encode(x)
    assert index.min() >= 0
    assert index.max() < 2**rate
    assert torch.allclose((quantizer.decode(index) - x).square().sum(1), least)


@pytest.mark.parametrize("rate", [1, 2, 4])
def test_branches_have_two_subsets_of_every_other_number(rate):
    quantizer = TrellisCodedQuantizer(rate, 8)
    chosen = quantizer._chosen(torch.randint(2**rate, (50, 40)))
    before = quantizer._chosen(torch.arange(2**rate)[:, None])[:, 0]
    # From a state leave subsets 0 and 2, or 1 and 3.
    assert len({int(number) % 2 for number in before}) == 1
    assert sorted(before.tolist()) in (
        list(range(0, 2 ** (rate + 1), 2)),
        list(range(1, 2 ** (rate + 1), 2)),
    )
    assert len(torch.unique(chosen)) == 2 ** (rate + 1)


@pytest.mark.parametrize("states", [4, 256])
def test_trellis_code_is_the_same_in_torch(states):
    quantizer = TrellisCodedQuantizer(2, states)
    x = normal(6, 50)
    index = quantizer.encode(x)
    with force_backend("torch"):
        assert torch.equal(quantizer.encode(x), index)


def test_fitting_a_trellis_code_helps_on_other_samples():
    quantizer = TrellisCodedQuantizer(2, 8)
    test = normal(200, 100, seed=1)

    def error():
        return float((quantizer.decode(quantizer.encode(test)) - test).square().mean())

    before = error()
    quantizer.fit(normal(400, 100))
    assert error() < before - 0.002
    assert error() > 2**-4.0  # R(D)
    with pytest.raises(InputError, match="rate=0"):
        TrellisCodedQuantizer(0)


def test_codebooks_as_a_straight_computation_has_them():
    computed = codes.mad1(300).tolist(), codes.three_inst(300).tolist()
    for s, one, three in zip(range(300), *computed, strict=True):
        word = (34038481 * s + 76625530) & 0xFFFFFFFF
        assert one == pytest.approx((sum(word.to_bytes(4, "little")) - 510) / 147.800537109375)
        word = (89226354 * s + 64248484) & 0xFFFFFFFF
        halves = struct.unpack("<ee", struct.pack("<I", (word & 0x8FFF8FFF) ^ 996162400))
        assert three == pytest.approx(sum(halves), abs=1e-3)


@pytest.mark.parametrize("codebook", ["1mad", "3inst"])
def test_numbers_of_all_states_are_nearly_normal(codebook):
    numbers = BitshiftQuantizer(codebook=codebook).codebook
    assert len(numbers) == 1 << 16
    assert float(numbers.mean()) == pytest.approx(0, abs=0.01)
    deviation = float(numbers.std())
    assert float((numbers.abs() < deviation).float().mean()) == pytest.approx(0.683, abs=0.02)


def states_of(digits, rate, memory):
    """Return the states of blocks from their new bits."""
    states = torch.zeros_like(digits)
    for age in range(-(-memory // rate)):
        states |= torch.roll(digits, age, 1) << (age * rate)
    return states & ((1 << memory) - 1)


@pytest.mark.parametrize(("rate", "memory", "n"), [(1, 4, 8), (2, 5, 5), (2, 4, 6), (3, 5, 4)])
def test_bitshift_paths_against_brute_force(rate, memory, n):
    quantizer = BitshiftQuantizer(rate, memory)
    x = normal(10, n)
    digits = torch.tensor(list(itertools.product(range(1 << rate), repeat=n)))
    circular = states_of(digits, rate, memory)
    errors = (x[:, None] - quantizer.decode(circular)).square().sum(-1)
    # With the bits at its ends held a block has the best of the sequences that have them.
    for overlap in range(0, 1 << (memory - rate), 3):
        held = torch.full((len(x),), overlap)
        states = quantizer._states(x, held)
        among = circular[:, 0] >> rate == overlap
        found = (quantizer.decode(states) - x).square().sum(1)
        assert torch.allclose(found, errors[:, among].amin(1))
    # Free, it may begin with any: no circular one is better.
    free = quantizer._states(x, torch.full((len(x),), -1))
    found = (quantizer.decode(free) - x).square().sum(1)
    assert (found <= errors.amin(1) + 1e-5).all()
    two_passes = (quantizer.decode(quantizer.encode(x)) - x).square().sum(1)
    assert (two_passes >= errors.amin(1) - 1e-5).all()


@pytest.mark.parametrize("rate", [1, 2, 3, 4])
def test_bitshift_blocks_bite_their_tails(rate):
    quantizer = BitshiftQuantizer(rate, memory=10)
    states = quantizer.encode(normal(12, 40))
    overlap = (1 << (10 - rate)) - 1
    after = torch.roll(states, -1, 1)
    assert torch.equal(after >> rate, states & overlap)  # also from the last to the first
    digits = states & ((1 << rate) - 1)  # rate bits a sample are all
    assert torch.equal(states_of(digits, rate, 10), states)


def test_bitshift_fits():
    quantizer = BitshiftQuantizer(2, memory=9)
    x = 3 * normal(30, 64)
    before = float((quantizer.decode(quantizer.encode(x)) - x).square().mean())
    quantizer.fit(x)
    states = quantizer.encode(x)
    assert 9 * 2**-4.0 < float((quantizer.decode(states) - x).square().mean()) < before / 2
    with pytest.raises(InputError, match="fewer than a state"):
        BitshiftQuantizer(2).encode(normal(1, 7))
