"""Nonlinear transforms."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ltc.checks import choice, integer
from ltc.transforms.base import Transform
from ltc.transforms.linear import Linear

__all__ = ["MLP"]

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
}


class MLP(Transform):
    """A multilayer perceptron each way (Balle et al., IEEE J. Sel. Top. Signal Process. 15, 2021).

    Arguments:
        dimension: scalars per source vector, d.
        latent_dimension: channels of the latent, k; None: d.
        width: units of each hidden layer.
        depth: number of hidden layers.
        activation: relu, leaky_relu, elu, gelu, silu, softplus or tanh.
        bias: whether the layers have biases.
        residual: whether a linear map runs beside the perceptron, which then starts at zero:
            training begins at the Karhunen-Loeve transform and takes a fraction of the steps.
            False: the perceptron alone, as published.

    Raises:
        InputError: the activation is unknown, or the width or depth is not positive.

    Example:
        >>> transform = MLP(2, width=16)
        >>> transform.synthesis(transform.analysis(torch.zeros(3, 2))).shape
        torch.Size([3, 2])
    """

    def __init__(
        self,
        dimension: int,
        latent_dimension: int | None = None,
        width: int = 100,
        depth: int = 2,
        activation: str = "softplus",
        bias: bool = True,
        residual: bool = True,
    ) -> None:
        super().__init__(dimension, latent_dimension)
        choice("transform.activation", activation, ACTIVATIONS)
        width, depth = integer("transform.width", width), integer("transform.depth", depth)

        def perceptron(inputs: int, outputs: int) -> nn.Sequential:
            layers: list[nn.Module] = []
            for i in range(depth):
                layers.append(nn.Linear(inputs if i == 0 else width, width, bias=bias))
                layers.append(ACTIVATIONS[activation]())
            layers.append(nn.Linear(width, outputs, bias=bias))
            return nn.Sequential(*layers)

        self.analysis_map = perceptron(self.dimension, self.latent_dimension)
        self.synthesis_map = perceptron(self.latent_dimension, self.dimension)
        self.linear: Linear | None = None
        if residual:
            self.linear = Linear(self.dimension, self.latent_dimension, bias)
            for network in (self.analysis_map, self.synthesis_map):
                for parameter in network[-1].parameters():
                    nn.init.zeros_(parameter)

    def analysis(self, x: Tensor) -> Tensor:
        """Map source vectors, shape (..., d), to latents, shape (..., k)."""
        y: Tensor = self.analysis_map(x)
        return y if self.linear is None else y + self.linear.analysis(x)

    def synthesis(self, y: Tensor) -> Tensor:
        """Map latents, shape (..., k), to reconstructions, shape (..., d)."""
        x: Tensor = self.synthesis_map(y)
        return x if self.linear is None else x + self.linear.synthesis(y)

    @torch.no_grad()
    def initialise(self, samples: Tensor) -> None:
        """Start the linear map at the Karhunen-Loeve transform of samples, shape (..., d)."""
        if self.linear is not None:
            self.linear.initialise(samples)
