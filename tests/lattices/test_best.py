"""The best known lattice of each dimension: its second moment, and where it comes from."""

import numpy as np
import pytest
import torch

from ltc.errors import InputError
from ltc.lattices import (
    A2,
    AE9,
    BW16,
    D6D6,
    E6E6,
    E8,
    A11Coxeter,
    AnDual,
    D10Plus,
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
from ltc.lattices.card import card, sphere_bound, zador_bound
from ltc.lattices.families.an import glue, roots


@pytest.mark.parametrize(
    "known", [AE9(), D6D6(), E6E6(), Glued13(), Glued14()], ids=lambda one: one.name
)
def test_scales_of_a_glued_product_are_the_best(known):
    # The least second moment has the same error along every coordinate (Zamir and Feder 1996).
    square = known.sample_voronoi(200_000, torch.Generator().manual_seed(0)).double().square()
    error = square.std(0) / len(square) ** 0.5
    assert ((square.mean(0) - square.mean()).abs() < 4.5 * error).all()


def test_glue_is_in_the_dual():
    # Glue vectors have integer products with the roots of their factor.
    for n, count in ((7, 3), (11, 4), (11, 8)):
        basis, lengths = roots(n)
        products = (basis * lengths**2) @ glue(n, count)
        assert abs(products - products.round()).max() < 1e-9


# Kissing numbers of laminated lattices: Conway and Sloane, chapter 6.
LAMINATED = {15: 2340, 17: 5346, 18: 7398, 19: 10668, 20: 17400, 21: 27720, 22: 49896, 23: 93150}


@pytest.mark.parametrize(("dimension", "kissing"), LAMINATED.items())
def test_the_dual_of_the_dual_is_laminated(dimension, kissing):
    basis = LaminatedDual(dimension).generator_matrix
    assert GeneratorLattice(np.linalg.inv(basis).T).kissing_number == kissing


def test_the_best_are_between_the_bounds_and_below_every_product():
    families = [Zn(), A2(), AnDual(3), DnDual(4), DnDual(5), E6Dual(), E7Dual(), E8(), AE9()]
    families += [D10Plus(), A11Coxeter(), D6D6(), Glued13(), Glued14(), BW16(), Leech()]
    families += [LaminatedDual(n) for n in LAMINATED]
    found = {one.dimension: one.second_moment_measured or one.second_moment for one in families}
    assert sorted(found) == list(range(1, 25))
    for n, moment in found.items():
        assert sphere_bound(n) <= moment * (1 + 1e-12)
        assert moment < zador_bound(n)
        for k in range(1, n // 2 + 1):
            # Of a product at its best scales (Agrell and Allen 2023).
            product = found[k] ** (k / n) * found[n - k] ** (1 - k / n)
            assert moment < product


def test_other_dimensions_are_refused():
    with pytest.raises(InputError, match="dimension=16; expected one of 15, 17, 18"):
        LaminatedDual(16)


def test_a_decoder_of_another_lattice_has_no_card():
    class Doubled(E8):
        def _closest_point(self, x):
            return super()._closest_point(x) / 2

    assert card(E8(), samples=1000)["dimension"] == 8
    with pytest.raises(InputError, match="points that are not in the lattice"):
        card(Doubled(), samples=1000)
