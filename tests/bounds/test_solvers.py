"""Two ways to the best output distribution on a finite alphabet."""

import numpy as np
import pytest

from ltc.bounds.blahut import blahut_arimoto
from ltc.bounds.interior_point import interior_point
from ltc.bounds.kernel import Kernel, ProductKernel


@pytest.mark.parametrize("slope", [0.5, 3.0, 20.0])
def test_blahut_arimoto_and_interior_points_reach_the_same_optimum(slope):
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(30))
    kernel = Kernel(slope * (rng.normal(size=(30, 1)) - rng.normal(size=20)) ** 2)
    start = np.full(20, 0.05)
    found = [solve(p, kernel, start, 1e-7) for solve in (blahut_arimoto, interior_point)]
    for best in found:
        assert 0 <= best.upper - best.lower <= 1e-7
        assert float(best.output.sum()) == pytest.approx(1)
        assert float(p @ -np.log(kernel.forward(best.output))) == pytest.approx(best.upper)
    assert max(b.lower for b in found) <= min(b.upper for b in found) + 1e-12


def test_every_step_of_blahut_arimoto_improves():
    rng = np.random.default_rng(1)
    p = rng.dirichlet(np.ones(40))
    kernel = Kernel(4.0 * (rng.normal(size=(40, 1)) - np.linspace(-2, 2, 60)) ** 2)
    start = np.full(60, 1 / 60)
    distances = []
    best = blahut_arimoto(p, kernel, start, 1e-6, report=lambda ends, _: distances.append(ends))
    assert len(distances) > 10
    assert all(np.diff(distances) <= 0)
    assert best.upper - best.lower <= 1e-6
    # One plain step changes nothing any more.
    again = best.output * kernel.adjoint(p / kernel.forward(best.output))
    assert -float(p @ np.log(kernel.forward(again))) == pytest.approx(best.upper, abs=1e-6)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_product_kernel_is_the_whole_matrix(d):
    rng = np.random.default_rng(d)
    axes = [rng.random((n + 3, n + 2)) for n in range(d)]
    whole = np.zeros((1, 1))
    for e in axes:  # sums of exponents over all pairs, in the order of flattened products
        whole = (whole[:, None, :, None] + e[None, :, None, :]).reshape(
            len(whole) * len(e), whole.shape[1] * e.shape[1]
        )
    product, matrix = ProductKernel(axes), Kernel(whole)
    p, q = (rng.dirichlet(np.ones(n)) for n in whole.shape)
    assert np.allclose(product.forward(q), matrix.forward(q))
    assert np.allclose(product.adjoint(p), matrix.adjoint(p))
    assert product.point(p, q, 1.1) == pytest.approx(matrix.point(p, q, 1.1))
