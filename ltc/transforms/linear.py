"""Linear transforms."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ltc.distortion import Distortion
from ltc.transforms.base import Transform, principal_axes

__all__ = ["Linear"]

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

    def __init__(
        self, dimension: int, latent_dimension: int | None = None, bias: bool = False
    ) -> None:
        super().__init__(dimension, latent_dimension)
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

    def fit_synthesis(self, latents: Tensor, x: Tensor, distortion: Distortion) -> None:
        """Refit the synthesis to latents (..., k) that stand for x (..., d): by least squares.

        For other distortions than squared error that is where L-BFGS starts.
        """
        latents, x = latents.flatten(0, -2), x.flatten(0, -2)
        self._fit_least_squares(latents, x)
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
    def _fit_least_squares(self, latents: Tensor, x: Tensor) -> None:
        bias = self.synthesis_map.bias
        if bias is not None:
            latents = torch.cat([latents, torch.ones_like(latents[:, :1])], 1)
        # In double precision: sums of squares of a million samples lose digits in single.
        precise = latents.double()
        gram, product = precise.T @ precise, precise.T @ x.double()
        solution = self.synthesis_map.weight.T.double()
        if bias is not None:
            solution = torch.cat([solution, bias[None].double()])
        # Proximal steps: a channel that is nearly constant, as one that sends next to nothing,
        # keeps its weights instead of getting enormous ones.
        ridge = 1e-3 * gram.diagonal().mean() * torch.eye(len(gram)).to(gram)
        for _ in range(4):
            solution = torch.linalg.pinv(gram + ridge, hermitian=True) @ (
                product + ridge @ solution
            )
        solution = solution.to(x.dtype)
        if bias is not None:
            bias.copy_(solution[-1])
            solution = solution[:-1]
        self.synthesis_map.weight.copy_(solution.T)
