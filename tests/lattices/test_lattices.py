"""The mathematics of every lattice: its facts, its decoder, its samples."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf

from ltc.errors import InputError
from ltc.lattices import (
    A2,
    BW16,
    E8,
    K12,
    An,
    AnDual,
    Dn,
    DnDual,
    E6Dual,
    E7Dual,
    Lattice,
    Leech,
    Zn,
    force_backend,
)
from ltc.lattices.sphere import closest_point, lll, triangular

CONF = Path(__file__).parents[2] / "conf" / "quantizer"


def sphere_decoder(lattice: Lattice, x: torch.Tensor) -> torch.Tensor:
    """The nearest points by another algorithm than the lattice's own."""
    basis = lll(lattice.generator_matrix)
    points = torch.empty(x.shape, dtype=torch.float64)
    arrays = (x.double().numpy(), points.numpy(), basis, np.linalg.inv(basis), *triangular(basis))
    closest_point(0, len(x), *arrays, True)
    return points


def coefficients(lattice: Lattice, points: torch.Tensor) -> torch.Tensor:
    return points.double() @ torch.from_numpy(np.linalg.inv(lattice.generator_matrix))


def is_in(lattice: Lattice, points: torch.Tensor, tolerance: float = 1e-4) -> bool:
    whole = coefficients(lattice, points)
    return bool((whole - whole.round()).abs().max() < tolerance)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(lattice: Lattice, count: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(count, lattice.dimension, generator=generator(), dtype=dtype)


def test_unit_volume(lattice):
    assert lattice.generator_matrix.shape == (lattice.dimension, lattice.dimension)
    assert lattice.determinant == pytest.approx(1)


def test_shortest_points(lattice):
    shells = lattice.enumerate((lattice.minimal_norm * 1.001) ** 0.5)
    norms = shells.square().sum(1)
    assert is_in(lattice, shells, 1e-9)
    assert len(shells) == lattice.kissing_number + 1
    assert norms[0] == 0
    torch.testing.assert_close(norms[1:], torch.full_like(norms[1:], lattice.minimal_norm))


def test_covering_radius(lattice):
    # Climb the distance from the lattice: the highest summits are the deep holes.
    x = normal(lattice, 400)
    distance = torch.zeros(1)
    for step in 0.3 * 0.98 ** torch.arange(300 if lattice.dimension < 24 else 150):
        rest = x - lattice.closest_point(x)
        distance = rest.norm(dim=1, keepdim=True)
        x = x + step * rest / distance.clamp_min(1e-9)
    if lattice.covering_radius is not None:
        assert distance.max() <= lattice.covering_radius + 1e-9
        assert distance.max() > 0.99 * lattice.covering_radius


def test_second_moment(lattice):
    count = 200_000 if lattice.dimension < 24 else 50_000
    moments = lattice.sample_voronoi(count, generator()).double().square().mean(1)
    error = moments.std() / count**0.5
    known = lattice.second_moment or lattice.second_moment_measured
    if known is not None:
        assert abs(moments.mean() - known) < 3.5 * error
        moment = lattice.second_moment_measured or lattice.second_moment
        assert lattice.high_rate_gap == pytest.approx(
            0.5 * math.log2(2 * math.pi * math.e * moment)
        )


@pytest.mark.parametrize(
    ("known", "moment"),
    [
        # Conway and Sloane, table 2.3; Agrell and Allen 2023; BW16: Pook-Kolb et al. 2023.
        (Zn(), 0.083333333),
        (A2(), 0.080187537),
        (AnDual(3), 0.078543281),
        (Dn(4), 0.076603235),
        (DnDual(5), 0.075625443),
        (E6Dual(), 0.074243697),
        (E7Dual(), 0.073116493),
        (E8(), 0.071682099),
        (K12(), 0.0700956),
        (BW16(), 0.068297622),
        (Leech(), 0.065770733),
        # The same lattice by another name.
        (An(2), 0.080187537),
        (AnDual(2), 0.080187537),
        (DnDual(3), 0.078543281),
        (An(3), Dn(3).second_moment),
        (DnDual(4), 0.076603235),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_second_moments_of_the_literature(known, moment):
    assert known.second_moment == pytest.approx(moment, abs=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_closest_point_is_closest(lattice, dtype):
    x = 3 * normal(lattice, 10_000 if lattice.dimension < 24 else 500, dtype)
    points = lattice.closest_point(x)
    assert points.dtype == dtype
    assert points.shape == x.shape
    torch.testing.assert_close(points.double(), sphere_decoder(lattice, x), atol=1e-5, rtol=1e-6)


def adversarial(lattice: Lattice) -> dict[str, torch.Tensor]:
    """Vectors with several nearest points, or none that rounding finds easily."""
    basis = torch.from_numpy(lattice.generator_matrix)
    n = lattice.dimension
    integers = torch.randint(-9, 10, (100, n), generator=generator()).double()
    points = integers @ basis
    holes = normal(lattice, 50)
    for step in 0.3 * 0.95 ** torch.arange(100):
        rest = holes - lattice.closest_point(holes)
        holes = holes + step * rest / rest.norm(dim=1, keepdim=True).clamp_min(1e-9)
    large = torch.randint(-(2**20), 2**20, (50, n), generator=generator()).double()
    return {
        "points": points,
        "midpoints": points / 2,
        "thirds": points / 3,
        "dual": integers @ basis.inverse().T,
        "holes": holes,
        "integers": large,
        "integers times the lattice": large @ basis,
        "near large points": large @ basis + 0.4 * normal(lattice, 50),
        "tiny": 1e-30 * normal(lattice, 20),
        "zero": torch.zeros(1, n).double(),
    }


@pytest.mark.parametrize("backend", ["numba", "torch"])
def test_adversarial_vectors(lattice, backend):
    for name, x in adversarial(lattice).items():
        with force_backend(backend):
            points = lattice.closest_point(x)
        x = x[:50]
        points = points[:50]
        distance = (x - points).norm(dim=1)
        best = (x - sphere_decoder(lattice, x)).norm(dim=1)
        scale = 1 + x.abs().max()
        assert is_in(lattice, points, 1e-13 * scale * 100), name
        torch.testing.assert_close(
            distance, best, atol=float(1e-14 * scale * lattice.dimension), rtol=1e-12, msg=name
        )
        with force_backend(backend):
            assert torch.equal(points, lattice.closest_point(x)), name


def test_large_vectors_in_single_precision(lattice):
    # What float32 can resolve is resolved: the point is the nearest to the given vector.
    x = (2.0**20 * normal(lattice, 50)).float()
    best = sphere_decoder(lattice, x)
    points = lattice.closest_point(x)
    same = torch.isclose(points, best.float(), atol=0, rtol=2e-7).all(1)
    # A lattice of binary fractions has many vectors with several nearest points among such x.
    tie = (x.double() - points).norm(dim=1) == (x - best).norm(dim=1)
    assert (same | tie).all()


@pytest.mark.parametrize("backend", ["numba", "torch"])
@pytest.mark.parametrize(("dtype", "size"), [(torch.float32, 1e30), (torch.float64, 1e300)])
def test_huge_vectors_stay(lattice, dtype, size, backend):
    x = normal(lattice, 10, dtype) * size
    with force_backend(backend):
        points = lattice.closest_point(x)
    torch.testing.assert_close(points / size, x / size, atol=1e-6, rtol=0)


def test_a_vector_is_decoded_alone_as_among_others(lattice):
    x = torch.cat([2 * normal(lattice, 40), adversarial(lattice)["midpoints"]])
    together = lattice.closest_point(x)
    alone = torch.stack([lattice.closest_point(row) for row in x])
    assert torch.equal(together, alone)


def test_several_threads_find_what_one_finds(lattice):
    x = 3 * normal(lattice, 100_000 if lattice.dimension < 12 else 3000, torch.float32)
    points = lattice.closest_point(x)
    torch.set_num_threads(2)
    assert torch.equal(lattice.closest_point(x), points)


def test_any_leading_shape_and_layout(lattice):
    n = lattice.dimension
    x = normal(lattice, 30)
    points = lattice.closest_point(x)
    assert torch.equal(lattice.closest_point(x.reshape(5, 3, 2, n)), points.reshape(5, 3, 2, n))
    assert torch.equal(lattice.closest_point(x.T.contiguous().T), points)
    assert lattice.closest_point(torch.zeros(0, n)).shape == (0, n)
    assert not lattice.closest_point(x.requires_grad_()).requires_grad


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_refused(lattice, bad):
    x = torch.zeros(3, lattice.dimension)
    x[1, -1] = bad
    with pytest.raises(InputError, match="NaN or infinity"):
        lattice.closest_point(x)


def test_other_shapes_and_types_are_refused(lattice):
    with pytest.raises(InputError, match="dimension"):
        lattice.closest_point(torch.zeros(2, lattice.dimension + 1))
    with pytest.raises(InputError, match="float32"):
        lattice.closest_point(torch.zeros(2, lattice.dimension, dtype=torch.int64))
    with pytest.raises(InputError, match="centre"):
        lattice.enumerate(1.0, np.zeros(lattice.dimension + 1))
    with pytest.raises(InputError, match="finite"):
        lattice.enumerate(math.nan)


def test_enumeration_around_a_centre(lattice):
    # Each vector has a point within the covering radius, and the nearest comes first.
    radius = lattice.covering_radius or 2.0
    for centre in normal(lattice, 3) * 5:
        points = lattice.enumerate(radius, centre)
        distance = (points - centre).norm(dim=1)
        assert is_in(lattice, points, 1e-9)
        assert distance.max() <= radius * (1 + 1e-6)
        assert (distance.diff() >= -1e-12).all()
        torch.testing.assert_close(points[0], lattice.closest_point(centre))
        # As many as from the other end of a translation by a lattice point.
        shift = torch.from_numpy(lattice.generator_matrix).sum(0)
        assert len(lattice.enumerate(radius, centre + shift)) == len(points)


@pytest.mark.parametrize(
    ("known", "norm", "shells"),
    [
        (E8(), 2.0, [1, 240, 2160, 6720]),
        (BW16(), 2**0.5 / 2, [1, 0, 0, 0, 4320, 0, 61440]),
    ],
)
def test_theta_series_by_enumeration(known, norm, shells):
    points = known.enumerate((norm * (len(shells) - 1)) ** 0.5)
    counted = torch.bincount((points.square().sum(1) / norm).round().long())
    assert counted.tolist() == shells


def test_voronoi_samples_are_in_the_cell(lattice):
    x = lattice.sample_voronoi(1000, generator(), torch.float64)
    assert x.shape == (1000, lattice.dimension)
    assert lattice.closest_point(x).abs().max() < 1e-9


def test_dimensions_are_checked():
    for family, least in ((Zn, 1), (An, 1), (AnDual, 1), (Dn, 2), (DnDual, 2)):
        for dimension in (least - 1, 2.5, "3"):
            with pytest.raises(InputError, match="dimension"):
                family(dimension)


@pytest.mark.parametrize("path", sorted(CONF.glob("*.yaml")), ids=lambda path: path.stem)
def test_configs(path):
    overrides = ["matrix=[[1,0],[0,2]]"] if path.stem == "generator" else []
    with initialize_config_dir(str(CONF), version_base=None):
        config = compose(path.stem, overrides)
    if "LatticeQuantizer" not in config._target_ or OmegaConf.is_missing(config, "lattice"):
        pytest.skip("no lattice")
    lattice = instantiate(config.lattice, _convert_="all")
    if "dimension" in config:  # any of a family, `an` or `dn`
        assert lattice.name == path.stem.replace("n", str(config.dimension))
        config.dimension = 6
        other = instantiate(config.lattice)
        assert (other.dimension, other.name) == (6, path.stem.replace("n", "6"))
    else:
        names = {"trellis": "trellis-8"}
        assert lattice.name == names.get(path.stem, path.stem.replace("trellis_", "trellis-"))
