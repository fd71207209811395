"""Voronoi codes: indices, codewords, the nearest codeword, the scale."""

import pytest
import torch

from ltc.errors import InputError
from ltc.lattices import (
    A2,
    BW16,
    E6,
    E7,
    E8,
    K12,
    An,
    AnDual,
    Dn,
    DnDual,
    E6Dual,
    E7Dual,
    GeneratorLattice,
    Leech,
    Zn,
)
from ltc.quantizers import NestedQuantizer, nested, nested_kernel

LATTICES = [
    Zn(1),
    Zn(3),
    A2(),
    An(3),
    AnDual(3),
    An(17),
    Dn(4),
    DnDual(5),
    E6(),
    E6Dual(),
    E7(),
    E7Dual(),
    E8(),
    K12(),
    BW16(),
    Leech(),
    GeneratorLattice([[3, 1, 0.2, 0.5], [0, 2, 1, 0.3], [0, 0, 1.5, -1], [0.1, 0, 0, 1]]),
]
CODES = [(lattice, ratio) for lattice in LATTICES for ratio in (2, 3, 8)]
SMALL = [(lattice, ratio) for lattice, ratio in CODES if ratio**lattice.dimension <= 1 << 14]


@pytest.fixture(autouse=True)
def _one_thread():
    """On tensors this small torch's threads cost more than they bring."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def name(value):
    return f"{value.name}-{value.dimension}" if hasattr(value, "name") else None


def all_indices(lattice, ratio):
    numbers = torch.arange(ratio**lattice.dimension)
    return torch.stack([numbers // ratio**k % ratio for k in range(lattice.dimension)], -1)


def random_indices(lattice, ratio):
    rng = torch.Generator().manual_seed(1)
    return torch.randint(ratio, (500, lattice.dimension), generator=rng)


def indices(lattice, ratio):
    return (all_indices if (lattice, ratio) in SMALL else random_indices)(lattice, ratio)


@pytest.mark.parametrize(("lattice", "ratio"), CODES, ids=name)
def test_index_to_point_and_back(lattice, ratio):
    quantizer = NestedQuantizer(lattice, ratio)
    index = indices(lattice, ratio)
    points = quantizer.point(index)
    assert torch.equal(quantizer.index(points), index)
    assert torch.equal(quantizer.index(points.float()), index)
    # They are points of the shifted lattice ...
    shifted = points + quantizer.shift
    assert torch.allclose(lattice.closest_point(shifted), shifted, atol=1e-9)
    # ... well inside the coarse cell: none is wasted on a tie with another.
    assert not lattice.closest_point(points / ratio * (1 + 1e-8)).any()


@pytest.mark.parametrize(("lattice", "ratio"), SMALL, ids=name)
def test_codewords_are_distinct_and_centred(lattice, ratio):
    points = NestedQuantizer(lattice, ratio).point(all_indices(lattice, ratio))
    assert len(points.round(decimals=6).unique(dim=0)) == ratio**lattice.dimension
    assert points.mean(0).abs().max() < 0.02 * ratio


@pytest.mark.parametrize(("lattice", "ratio"), SMALL, ids=name)
def test_quantizes_to_the_nearest_codeword(lattice, ratio):
    quantizer = NestedQuantizer(lattice, ratio, search=64)
    book = quantizer.point(all_indices(lattice, ratio))
    rng = torch.Generator().manual_seed(2)
    radius = ratio * (lattice.second_moment or 1 / 12) ** 0.5
    x = 1.2 * radius * torch.randn(300, lattice.dimension, generator=rng, dtype=torch.float64)
    points, overloaded = quantizer._quantize(x)
    overloaded = overloaded[:, 0]
    assert 10 < overloaded.sum() < 290
    found = (points - x).square().sum(-1)
    least = torch.cdist(x, book).square().min(-1).values
    assert torch.allclose(found[~overloaded], least[~overloaded])
    # The search for the codeword of an overloaded vector is no proof, but seldom far off.
    assert found[overloaded].sum() < 1.02 * least[overloaded].sum()
    assert torch.equal(quantizer.point(quantizer.index(points)), points)


@pytest.mark.parametrize("lattice", LATTICES, ids=name)
def test_the_farthest_vectors_get_codewords(lattice):
    quantizer = NestedQuantizer(lattice, 4)
    x = torch.randn(20, lattice.dimension, generator=torch.Generator().manual_seed(3))
    for size in (0.0, 1e6, 1e30):
        points = quantizer.quantize(size * x)
        assert torch.allclose(quantizer.point(quantizer.index(points)).float(), points, atol=1e-5)
        # A codeword on the vector's side, not whichever the modulus gives.
        assert ((points * x).sum(-1) > 0).all() or size == 0


@pytest.mark.parametrize("lattice", [Zn(1), A2(), E8()], ids=name)
def test_scale_minimises_the_distortion(lattice):
    quantizer = NestedQuantizer(lattice, 4)
    x = 5 * torch.randn(4096, lattice.dimension, generator=torch.Generator().manual_seed(4))
    quantizer.initialise(0.0, x)

    def error(scale):
        return float((scale * quantizer.quantize(x / scale) - x).square().mean())

    scale = float(quantizer.scale.detach())
    assert error(scale) < 1.003 * min(error(scale * 1.05**k) for k in range(-8, 9))


@pytest.mark.parametrize(("lattice", "gain"), [(E8(), 0.8), (Leech(), 1.5)], ids=name)
@pytest.mark.parametrize(("ratio", "scalar"), [(4, 9.30), (8, 14.62)])
def test_more_than_the_best_scalar_quantizer(lattice, gain, ratio, scalar):
    quantizer = NestedQuantizer(lattice, ratio, search=16)
    rng = torch.Generator().manual_seed(7)
    x = torch.randn(2, 2000, lattice.dimension, generator=rng)
    quantizer.initialise(0.0, x[0])
    scale = quantizer.scale.detach()
    found = (scale * quantizer.quantize(x[1] / scale) - x[1]).square().mean()
    assert -10 * found.log10() > scalar + gain


def test_one_and_two_bits_of_integers_are_the_uniform_quantizer():
    # Max, "Quantizing for minimum distortion", 1960, table II: least distortion of a Gaussian.
    for ratio, distortion in ((2, 0.3634), (4, 0.1188)):
        quantizer = NestedQuantizer(Zn(1), ratio)
        x = torch.randn(1 << 18, 1, generator=torch.Generator().manual_seed(5))
        quantizer.initialise(0.0, x)
        scale = quantizer.scale.detach()
        found = float((scale * quantizer.quantize(x / scale) - x).square().mean())
        assert found == pytest.approx(distortion, rel=0.01)


@pytest.mark.parametrize("lattice", [A2(), Dn(4)], ids=name)
def test_gradient_of_the_scale_is_that_of_the_distortion(lattice):
    quantizer = NestedQuantizer(lattice, 2, search=64)
    x = torch.randn(4000, lattice.dimension, generator=torch.Generator().manual_seed(6)).double()

    def error():
        points, _ = quantizer(x / quantizer.scale)
        return (points * quantizer.scale - x).square().mean()

    for log_scale in (0.0, 0.5):
        quantizer.zero_grad()
        quantizer.log_scale.data.fill_(log_scale)
        error().backward()
        found = float(quantizer.log_scale.grad)
        ends = []
        for step in (-0.02, 0.02):
            quantizer.log_scale.data.fill_(log_scale + step)
            ends.append(float(error().detach()))
        assert found == pytest.approx((ends[1] - ends[0]) / 0.04, rel=0.05, abs=0.005)


def test_gradient_passes_straight_through_but_to_overloaded_vectors():
    quantizer = NestedQuantizer(E8(), 4)
    x = torch.tensor([0.1, 100.0])[:, None].repeat(1, 8).requires_grad_()
    points, dither = quantizer(x)
    assert dither is None
    assert torch.allclose(points, quantizer.quantize(x))
    points.sum().backward()
    assert torch.equal(x.grad, torch.tensor([1.0, 0.0])[:, None].expand(2, 8))


@pytest.mark.parametrize("ratio", [0, 1, 2.5, "a", None, 1 << 17])
def test_bad_ratio(ratio):
    with pytest.raises(InputError, match=r"quantizer\.ratio"):
        NestedQuantizer(E8(), ratio)


@pytest.mark.parametrize("search", [-1, 1.5, "a", True])
def test_bad_search(search):
    with pytest.raises(InputError, match=r"quantizer\.search"):
        NestedQuantizer(E8(), 4, search)


def test_the_compiled_step_of_the_search_is_the_torch_one():
    lattice = E8()
    x, target, at = (3 * torch.randn(200, 8) for _ in range(3))
    nearest = lattice.closest_point(at)
    coarse = 4 * lattice.closest_point(nearest / 4)
    best = torch.zeros(200, 8)
    least = torch.zeros(200, 1)
    results = []
    for move in (nested_kernel.move, nested._move):
        state = at.clone(), best.clone(), least.clone()
        move(x, target, nearest, coarse, *state, back=0.15, push=0.03, same=1e-6)
        results.append(state)
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
