"""What an error costs."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

__all__ = ["Absolute", "Distortion", "Squared"]


class Distortion(ABC):
    """A measure of distortion that adds over scalars: `d(x, y) = mean cost(x - y)`.

    Attributes:
        name: as in `distortion=NAME`.
        power: `cost(a e) = abs(a) ** power * cost(e)`: the cost is homogeneous, so that an error
            of the latent can be weighed by the derivative of the synthesis.
    """

    name: str
    power: float

    @abstractmethod
    def cost(self, error: Tensor) -> Tensor:
        """Return what each error costs; any shape, the same in and out, differentiable."""

    @abstractmethod
    def centre(self, values: Tensor) -> Tensor:
        """Return the point of least total cost to values, shape (count, ...), as shape (...)."""


class Squared(Distortion):
    """Squared error.

    Example:
        >>> import torch
        >>> Squared().cost(torch.tensor([1.0, -2.0])), Squared().centre(torch.tensor([0.0, 1.0]))
        (tensor([1., 4.]), tensor(0.5000))
    """

    name = "squared"
    power = 2.0

    def cost(self, error: Tensor) -> Tensor:
        """Return squared errors, any shape."""
        return error.square()

    def centre(self, values: Tensor) -> Tensor:
        """Return the mean of values, shape (count, ...), as shape (...)."""
        return values.mean(0)


class Absolute(Distortion):
    """Absolute error.

    Example:
        >>> import torch
        >>> Absolute().cost(torch.tensor([1.0, -2.0])), Absolute().centre(torch.tensor([0.0, 1, 9]))
        (tensor([1., 2.]), tensor(1.))
    """

    name = "absolute"
    power = 1.0

    def cost(self, error: Tensor) -> Tensor:
        """Return absolute errors, any shape."""
        return error.abs()

    def centre(self, values: Tensor) -> Tensor:
        """Return the median of values, shape (count, ...), as shape (...)."""
        return values.median(0).values
