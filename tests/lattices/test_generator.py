"""Lattices of any generator matrix, and the sphere decoder."""

import math

import numpy as np
import pytest
import torch

from ltc.errors import InputError
from ltc.lattices import E8, GeneratorLattice, Lattice, Leech


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(lattice: Lattice, count: int) -> torch.Tensor:
    return torch.randn(count, lattice.dimension, generator=generator(), dtype=torch.float64)


def test_the_sphere_decoder_and_the_enumeration_agree_with_exhaustion():
    # Independently of search orders: all coefficients in a box.
    lattice = GeneratorLattice([[1, 0.3, 0.1], [-0.4, 1.2, 0.5], [0.2, -0.7, 0.9]])
    box = torch.cartesian_prod(*3 * [torch.arange(-8, 9).double()])
    points = box @ torch.from_numpy(lattice.generator_matrix)
    for centre in normal(lattice, 50):
        distance = (points - centre).norm(dim=1)
        torch.testing.assert_close(lattice.closest_point(centre), points[distance.argmin()])
        assert len(lattice.enumerate(2.5, centre)) == int((distance <= 2.5).sum())


def test_a_generator_matrix_gives_the_same_points_as_the_lattice():
    lattice, same = E8(), GeneratorLattice((3 * E8().generator_matrix).tolist())
    x = 3 * normal(lattice, 1000)
    torch.testing.assert_close(lattice.closest_point(x), same.closest_point(x))
    assert same.minimal_norm == pytest.approx(2)
    log_mass = torch.randn(8, 2, generator=generator())
    assert same.trellis.log_partition(log_mass) == lattice.trellis.log_partition(log_mass)


def test_a_typed_generator_matrix_has_a_trellis():
    half = [0.5] * 8
    roots = [[0] * i + [-1, 1] + [0] * (6 - i) for i in range(6)]
    lattice = GeneratorLattice([[2] + [0] * 7, *roots, half])  # E8 in other coordinates
    assert lattice.trellis.states == [1, 4, 4, 4, 4, 4, 4, 4, 1]
    x = 3 * normal(lattice, 1000)
    torch.testing.assert_close(lattice.closest_point(x), lattice.trellis.closest_point(x))
    assert GeneratorLattice([[1, 0], [0.5, 0.8660254]]).trellis.states == [1, 2, 1]
    assert GeneratorLattice([[1, 0], [2**0.5, 1]]).trellis is None
    large = np.random.default_rng(0).integers(-9, 10, (20, 20))
    assert GeneratorLattice(large).trellis is None


def test_generator_matrices_are_read_or_refused(tmp_path):
    np.save(tmp_path / "e8.npy", E8().generator_matrix)
    assert GeneratorLattice(tmp_path / "e8.npy").kissing_number == 240
    (tmp_path / "broken.npy").write_bytes(b"not numpy")
    for matrix, message in [
        (tmp_path / "none.npy", "No such file"),
        (tmp_path / "broken.npy", "no .npy file"),
        ([[1, 2], [2, 4]], "singular"),
        ([[1, 2], [2, 4.0000001]], "nearly singular: to the six digits that count"),
        ([[1, 0, 0], [0, 1, 0]], "square"),
        ([[1, 0], [0]], "one length|square"),
        ([["a"]], "numbers"),
        ([[math.nan]], "finite"),
        (5, "rows of numbers"),
        ([], "square"),
        (np.eye(25), "approximate"),
    ]:
        with pytest.raises(InputError, match=message):
            GeneratorLattice(matrix)


def test_nearest_plane_is_near():
    lattice = GeneratorLattice(Leech().generator_matrix, approximate=True)
    x = 3 * normal(lattice, 200)
    points = lattice.closest_point(x)
    whole = points @ torch.from_numpy(np.linalg.inv(lattice.generator_matrix))
    torch.testing.assert_close(whole, whole.round(), atol=1e-4, rtol=0)
    distance, best = ((x - p).norm(dim=1) for p in (points, Leech().closest_point(x)))
    assert (distance >= best - 1e-9).all()
    assert distance.mean() < 1.5 * best.mean()
    assert lattice.minimal_norm is None
