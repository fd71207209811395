"""Nonlinear transforms."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ltc.checks import choice, integer
from ltc.distortion import Distortion
from ltc.transforms.base import Transform, check_weights
from ltc.transforms.linear import Linear, least_squares

__all__ = ["MLP"]

# Vectors whose hidden units are in memory at once.
PIECE = 1 << 15
# Jacobians of the synthesis of which a mean is taken, and numbers in them.
VECTORS, DERIVATIVES = 256, 1 << 22
# Of Adam, in fits between two of the output layer in closed form: 200 bring no more.
STEPS = 50

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
        InputError: the activation is unknown, or the width or depth is not positive, or there are
            more than 2^24 weights.

    Example:
        >>> transform = MLP(2, width=16)
        >>> transform.synthesis(transform.analysis(torch.zeros(3, 2))).shape
        torch.Size([3, 2])
    """

    by_vector = True

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
        within = (depth - 1) * width**2
        check_weights(2 * (width * (self.dimension + self.latent_dimension) + within))

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

    @torch.no_grad()
    def sensitivity(self, x: Tensor, distortion: Distortion) -> Tensor:
        """Return the costs of errors of one, shape (k,), in the mean over vectors, (..., d).

        A vector is a block of its own here: what it stands beside plays no part. Where there are
        many channels few vectors tell enough.
        """
        vectors = x.flatten(0, -2)
        most = min(VECTORS, max(16, DERIVATIVES // (self.dimension * self.latent_dimension)))
        latents = self.analysis(vectors[:: math.ceil(len(vectors) / most)])
        derivative = torch.func.vmap(torch.func.jacrev(self.synthesis))(latents)
        return distortion.cost(derivative).sum(1).mean(0)

    def fit_synthesis(self, latents: Tensor, x: Tensor, distortion: Distortion) -> None:
        """Refit the synthesis to latents (..., k) that stand for x (..., d).

        Under squared error the output layer has a closed form, before and after some steps of
        Adam on all layers.
        """
        if distortion.power != 2:
            self.descend(latents, x, distortion)
            return
        self._fit_output(latents, x)
        self.descend(latents, x, distortion, STEPS)
        self._fit_output(latents, x)

    @torch.no_grad()
    def _fit_output(self, latents: Tensor, x: Tensor) -> None:
        """Fit the output layer, and the linear map with it, by least squares."""
        hidden, output = self.synthesis_map[:-1], self.synthesis_map[-1]
        assert isinstance(output, nn.Linear)
        beside = None if self.linear is None else self.linear.synthesis_map
        joint = nn.Linear(
            output.in_features + (0 if beside is None else beside.in_features),
            output.out_features,
            bias=output.bias is not None,
        ).to(output.weight)
        joint.weight.zero_()
        joint.weight[:, : output.in_features] = output.weight
        if output.bias is not None:
            joint.bias.copy_(output.bias)

        def pieces() -> Iterator[tuple[Tensor, Tensor]]:
            parts = (values.flatten(0, -2).split(PIECE) for values in (latents, x))
            for y, wanted in zip(*parts, strict=True):
                units = hidden(y)
                if beside is None:
                    yield units, wanted
                else:  # what is fitted is what is added to it
                    yield torch.cat([units, y], 1), wanted - beside(y)

        least_squares(joint, pieces(), 1e-6)
        output.weight.copy_(joint.weight[:, : output.in_features])
        if output.bias is not None:
            output.bias.copy_(joint.bias)
        if beside is not None:
            beside.weight.add_(joint.weight[:, output.in_features :])
