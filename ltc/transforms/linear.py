"""Linear transforms."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ltc.distortion import Distortion
from ltc.threads import one_thread
from ltc.transforms.base import Transform, check_weights, principal_axes

__all__ = ["Linear", "least_squares"]

# Of L-BFGS, in fits to other distortions than squared error.
ITERATIONS = 20


class Linear(Transform):
    """A learned matrix each way, started at the Karhunen-Loeve transform.

    Arguments:
        dimension: scalars per source vector, d.
        latent_dimension: channels of the latent, k; None: d.
        bias: whether a learned vector is added on each side.

    Example:
        >>> transform = Linear(4, latent_dimension=2)
        >>> transform.synthesis(transform.analysis(torch.zeros(3, 4))).shape
        torch.Size([3, 4])
    """

    by_vector = True

    def __init__(
        self, dimension: int, latent_dimension: int | None = None, bias: bool = False
    ) -> None:
        super().__init__(dimension, latent_dimension)
        check_weights(2 * self.latent_dimension * self.dimension)
        self.analysis_map = nn.Linear(self.dimension, self.latent_dimension, bias=bias)
        self.synthesis_map = nn.Linear(self.latent_dimension, self.dimension, bias=bias)

    def analysis(self, x: Tensor) -> Tensor:
        """Map source vectors, shape (..., d), to latents, shape (..., k)."""
        y: Tensor = self.analysis_map(x)
        return y

    def synthesis(self, y: Tensor) -> Tensor:
        """Map latents, shape (..., k), to reconstructions, shape (..., d)."""
        x: Tensor = self.synthesis_map(y)
        return x

    @torch.no_grad()
    def initialise(self, samples: Tensor) -> None:
        """Start at the Karhunen-Loeve transform of samples, shape (..., d)."""
        samples = samples.flatten(0, -2)
        axes = principal_axes(samples, self.latent_dimension)
        self.analysis_map.weight.copy_(axes)
        self.synthesis_map.weight.copy_(axes.T)
        if self.analysis_map.bias is not None:
            self.analysis_map.bias.copy_(-axes @ samples.mean(0))
            self.synthesis_map.bias.copy_(samples.mean(0))

    @torch.no_grad()
    def invert_synthesis(self, x: Tensor) -> Tensor:
        """Return the least-squares latents, shape (..., k), of vectors, shape (..., d)."""
        latents = self.analysis(x)
        error = x - self.synthesis(latents)
        return latents + error @ torch.linalg.pinv(self.synthesis_map.weight).T

    @torch.no_grad()
    def sensitivity(self, x: Tensor, distortion: Distortion) -> Tensor:
        """Return the costs of the columns of the synthesis, shape (k,).

        Example: under squared error their energies.
            >>> from ltc.distortion import Squared
            >>> linear = Linear(3, latent_dimension=2)
            >>> found = linear.sensitivity(torch.randn(10, 4, 3), Squared())
            >>> torch.allclose(found, linear.synthesis_map.weight.square().sum(0))
            True
        """
        return distortion.cost(self.synthesis_map.weight).sum(0)

    def fit_synthesis(self, latents: Tensor, x: Tensor, distortion: Distortion) -> None:
        """Refit the synthesis to latents (..., k) that stand for x (..., d): by least squares.

        For other distortions than squared error that is where L-BFGS starts.
        """
        latents, x = latents.flatten(0, -2), x.flatten(0, -2)
        least_squares(self.synthesis_map, [(latents, x)], 1e-3)
        if distortion.power == 2:
            return
        optimizer = torch.optim.LBFGS(
            self.synthesis_map.parameters(), max_iter=ITERATIONS, line_search_fn="strong_wolfe"
        )

        def closure() -> float:
            optimizer.zero_grad()
            cost = distortion.cost(self.synthesis(latents) - x).mean()
            cost.backward()
            return float(cost.detach())

        optimizer.step(closure)


@torch.no_grad()
def least_squares(layer: nn.Linear, pieces: Iterable[tuple[Tensor, Tensor]], ridge: float) -> None:
    """Fit a layer to what it is to return, by least squares with proximal steps.

    A channel that is nearly constant, as one that sends next to nothing, keeps its weights instead
    of getting enormous ones.

    Arguments:
        layer: changed in place.
        pieces: inputs, shape (number, inputs), and what the layer is to make of them, shape
            (number, outputs), a part at a time.
        ridge: weight of the distance to the old weights, relative to the mean power of an input.

    Example:
        >>> layer, inputs = nn.Linear(1, 1), torch.tensor([[0.0], [1.0], [2.0]])
        >>> least_squares(layer, [(inputs, 3 * inputs + 1)], 1e-3)
        >>> [round(float(value.detach()), 3) for value in (layer.weight, layer.bias)]
        [3.0, 1.0]
    """
    solution = layer.weight.T.double()
    if layer.bias is not None:
        solution = torch.cat([solution, layer.bias[None].double()])
    # In double precision: sums of squares of a million samples lose digits in single.
    gram = solution.new_zeros(len(solution), len(solution))
    product = torch.zeros_like(solution)
    for inputs, outputs in pieces:
        if layer.bias is not None:
            inputs = torch.cat([inputs, torch.ones_like(inputs[:, :1])], 1)
        precise = inputs.double()
        with one_thread():  # the order of a sum is not the machine's affair
            gram += precise.T @ precise
            product += precise.T @ outputs.double()
    keep = ridge * gram.diagonal().mean() * torch.eye(len(gram)).to(gram)
    inverse = torch.linalg.pinv(gram + keep, hermitian=True)
    for _ in range(4):
        solution = inverse @ (product + keep @ solution)
    solution = solution.to(layer.weight.dtype)
    layer.weight.copy_(solution[: layer.in_features].T)
    if layer.bias is not None:
        layer.bias.copy_(solution[-1])
