"""All transforms."""

import pytest
import torch

from ltc.distortion import Squared
from ltc.errors import InputError
from ltc.transforms import MLP, Identity, Linear, principal_axes

TRANSFORMS = [
    Identity(4),
    Linear(4),
    Linear(4, bias=True),
    Linear(4, latent_dimension=2),
    Linear(4, latent_dimension=6, bias=True),
    MLP(4),
    MLP(4, latent_dimension=3, width=8, depth=1, activation="relu", bias=False),
    MLP(4, residual=False),
]


@pytest.mark.parametrize("transform", TRANSFORMS, ids=lambda t: f"{type(t).__name__}")
def test_what_stands_beside_a_vector_plays_no_part(transform):
    assert transform.by_vector
    x = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0))
    y = transform.analysis(x)
    assert torch.allclose(transform.analysis(x[:, 2:3]), y[:, 2:3], atol=1e-6)
    assert torch.allclose(transform.synthesis(y[:, 2:3]), transform.synthesis(y)[:, 2:3], atol=1e-6)


@pytest.mark.parametrize("transform", TRANSFORMS, ids=lambda t: f"{type(t).__name__}")
def test_shapes(transform):
    x = torch.randn(3, 5, 4)
    transform.initialise(torch.randn(100, 4))
    y = transform.analysis(x)
    assert y.shape == (3, 5, transform.latent_dimension)
    assert transform.synthesis(y).shape == x.shape


@pytest.mark.parametrize("make", [Linear, MLP])
def test_initialised_transform_is_invertible_and_decorrelates(make):
    torch.manual_seed(0)
    mixing = torch.randn(4, 4)
    x = torch.randn(50_000, 4) @ mixing + torch.tensor([1.0, -2.0, 0.0, 3.0])
    transform = make(4, bias=True)
    transform.initialise(x)
    y = transform.analysis(x).detach()
    assert torch.allclose(transform.synthesis(y), x, atol=1e-4)
    correlation = torch.corrcoef(y.T) - torch.eye(4)
    assert correlation.abs().max() < 1e-3


def test_independent_coordinates_keep_their_axes():
    x = torch.randn(10_000, 8, generator=torch.Generator().manual_seed(0))
    axes = principal_axes(x, 8)
    assert torch.equal(axes.abs().sort(1).values[:, :-1], torch.zeros(8, 7))


def test_bad_input():
    with pytest.raises(InputError, match="activation"):
        MLP(2, activation="step")
    with pytest.raises(InputError, match="width"):
        MLP(2, width=0)
    with pytest.raises(InputError, match="latent_dimension"):
        Linear(2, latent_dimension=0)
    with pytest.raises(InputError, match="a transform of 20,000,000 weights; expected at most 16,"):
        Linear(10_000, latent_dimension=1000)


def test_refitting_what_is_fitted_does_no_harm():
    torch.manual_seed(0)
    x = torch.randn(64, 512, 2)
    transform = MLP(2)
    transform.initialise(x)
    latents = transform.analysis(x).detach() + 0.3 * torch.randn(x.shape)
    costs = []
    for _ in range(4):
        transform.fit_synthesis(latents, x, Squared())
        costs.append((transform.synthesis(latents) - x).square().mean().item())
    wiener = 0.09 / 1.09  # what the best estimate of x from its noisy latents leaves
    assert max(costs) < 1.01 * wiener


@pytest.mark.parametrize("options", [{}, {"residual": False}, {"bias": False}])
def test_the_output_layer_of_a_perceptron_is_the_best_there_is(options):
    torch.manual_seed(0)
    x = torch.randn(64, 8, 3)
    transform = MLP(3, latent_dimension=2, width=10, **options)
    transform.initialise(x)
    latents = transform.analysis(x).detach() + 0.3 * torch.randn(64, 8, 2)
    transform.fit_synthesis(latents, x, Squared())
    error = transform.synthesis(latents) - x
    output = list(transform.synthesis_map[-1].parameters())
    slopes = torch.autograd.grad(error.square().mean(), output)
    assert all(float(slope.abs().max()) < 1e-4 for slope in slopes)
