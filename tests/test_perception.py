"""Wasserstein distances of samples."""

import pytest
import torch
from scipy.optimize import linear_sum_assignment

from ltc.perception import debiased_wasserstein, sliced_wasserstein


def generator():
    return torch.Generator().manual_seed(0)


def assigned(x, y):
    """Return the squared Wasserstein-2 distance per scalar, by the best of all assignments."""
    costs = (x[:, None] - y).square().mean(-1)
    return float(costs[linear_sum_assignment(costs)].mean())


@pytest.mark.parametrize("dimension", [1, 2, 5])
def test_sorting_finds_the_best_assignment_of_scalars_and_at_most_it_of_vectors(dimension):
    x = torch.randn(40, dimension, generator=generator())
    y = 0.5 + torch.rand(40, dimension, generator=generator()).square()
    rng, least = generator(), assigned(x, y)
    found = sum(float(sliced_wasserstein(x, y, rng)) for _ in range(50)) / 50
    if dimension == 1:
        assert found == pytest.approx(least, rel=1e-5)
    else:
        assert 0.1 * least < found < least


@pytest.mark.parametrize("dimension", [1, 8])
def test_gaussians_are_as_far_apart_as_their_deviations(dimension):
    x = torch.randn(200_000 // dimension, dimension, generator=generator())
    found = float(sliced_wasserstein(x, 0.7 * x.flip(0), generator()))
    assert found == pytest.approx(0.3**2, rel=0.02)


@pytest.mark.parametrize("scale", [0.7, 1.0])
@pytest.mark.parametrize("dimension", [1, 8])
def test_few_samples_have_no_bias_and_pull_to_no_side(scale, dimension):
    rng, estimates, slopes = generator(), [], []
    for _ in range(1000):
        x = torch.randn(60, dimension, generator=rng)
        noise = torch.randn(60, dimension, generator=rng)
        factor = torch.tensor(scale, requires_grad=True)
        # As far from its own sample as quantization brings it: that is no distance.
        y = factor * (0.8 * x + 0.6 * noise)
        estimate = debiased_wasserstein(x, y, rng)
        slopes.append(torch.autograd.grad(estimate, factor)[0])
        estimates.append(estimate.detach())
    for values, expected in ((estimates, (1 - scale) ** 2), (slopes, 2 * (scale - 1))):
        # What is left is a tenth of what is there; without a correction 0.06 would be.
        values = torch.stack(values)
        error = 4 * float(values.std()) / len(values) ** 0.5
        assert abs(float(values.mean()) - expected) < 0.1 * abs(expected) + error
