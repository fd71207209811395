"""Tables of numbers for the coordinates of lattice points."""

import pytest
import torch

from ltc.distortion import Squared
from ltc.entropy import Exact, PointTable
from ltc.entropy.point_table import REACH
from ltc.lattices import (
    A2,
    BW16,
    E6,
    E8,
    K12,
    AnDual,
    Convolutional,
    DnDual,
    E7Dual,
    Leech,
    Zn,
)

LATTICES = [
    Zn(), A2(), AnDual(5), DnDual(4), E6(), E7Dual(), E8(), K12(), BW16(), Leech(),
    Convolutional(8, 16),
]  # fmt: skip


@pytest.mark.parametrize("lattice", LATTICES, ids=lambda lattice: lattice.name)
def test_every_point_near_zero_has_its_own_entry(lattice):
    n = lattice.dimension
    channel = torch.tensor([[0]])
    model = Exact(lattice, channel)
    table = model.free_points()
    generator = torch.Generator().manual_seed(0)
    points = lattice.closest_point(1.5 * torch.randn(2000, n, generator=generator))
    table.value = table.points.clone()
    kinds = model.kinds(channel)
    inside = points.abs() <= REACH * table.spacing[kinds[0]]
    assert inside.float().mean() > 0.9
    found = table(points[:, None], kinds)[:, 0]
    assert torch.allclose(found, torch.where(inside, points, 0.0).float(), atol=1e-5)


def test_means_are_those_of_the_samples():
    table = PointTable(torch.tensor([0.5, 1.0]))
    kind = torch.tensor([0, 1])
    generator = torch.Generator().manual_seed(0)
    points = torch.randint(-3, 4, (1000, 2), generator=generator) * torch.tensor([0.5, 1.0])
    points[0, 0] = 100.0
    points[:7, 1] = 5.0
    samples = torch.randn(1000, 2, generator=generator)
    table.fit(points, kind, samples, Squared())
    for row, spacing in enumerate((0.5, 1.0)):
        for index in range(-REACH, REACH + 1):
            belonging = samples[:, row][points[:, row] == index * spacing]
            expected = belonging.mean() if len(belonging) >= 20 else torch.tensor(0.0)
            assert float(table.value[row, index + REACH]) == pytest.approx(float(expected))
