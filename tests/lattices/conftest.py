"""All lattices. A new one is tested by adding it here."""

import pytest
import torch

from ltc.lattices import (
    A2,
    AE9,
    BW16,
    D6D6,
    E6,
    E6E6,
    E7,
    E8,
    K12,
    A11Coxeter,
    An,
    AnDual,
    D10Plus,
    Dn,
    DnDual,
    E6Dual,
    E7Dual,
    GeneratorLattice,
    Glued13,
    Glued14,
    LaminatedDual,
    Leech,
    Zn,
)

SKEW = [[3, 1, 0.2, 0.5], [0, 2, 1, 0.3], [0, 0, 1.5, -1], [0.1, 0, 0, 1]]

LATTICES = [
    Zn(1),
    Zn(3),
    A2(),
    An(1),
    An(3),
    An(8),
    An(17),
    AnDual(1),
    AnDual(3),
    AnDual(7),
    AnDual(17),
    Dn(2),
    Dn(4),
    Dn(5),
    DnDual(2),
    DnDual(3),
    DnDual(4),
    DnDual(5),
    E6(),
    E6Dual(),
    E7(),
    E7Dual(),
    E8(),
    AE9(),
    D10Plus(),
    A11Coxeter(),
    K12(),
    D6D6(),
    E6E6(),
    Glued13(),
    Glued14(),
    BW16(),
    *(LaminatedDual(dimension) for dimension in (15, 17, 18, 19, 20, 21, 22, 23)),
    Leech(),
    GeneratorLattice(E8().generator_matrix),
    GeneratorLattice(SKEW),
]


TRELLISES = [lattice for lattice in LATTICES if lattice.trellis is not None]


def pytest_generate_tests(metafunc):
    """Run a test that asks for `lattice`, or `trellis_lattice`, on every one of them."""
    for name, family in (("lattice", LATTICES), ("trellis_lattice", TRELLISES)):
        if name in metafunc.fixturenames:
            ids = [f"{lattice.name}-{lattice.dimension}" for lattice in family]
            metafunc.parametrize(name, family, ids=ids)


@pytest.fixture(autouse=True)
def _one_thread():
    """On tensors this small torch's threads cost more than they bring."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
