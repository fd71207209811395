"""What an error costs."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["Absolute", "Distortion", "Squared"]

# Halvings of the interval that a centre lies in.
HALVINGS = 24


class Distortion(ABC):
    """A measure of distortion that adds over scalars: `d(x, y) = mean cost(x - y)`.

    Attributes:
        name: as in `distortion=NAME`.
        power: `cost(a e) = abs(a) ** power * cost(e)`: the cost is homogeneous, so that an error
            of the latent can be weighed by the derivative of the synthesis. At least 1, so that
            it is convex.

    Example: a class of one's own needs no more than this.
        >>> class Fourth(Distortion):
        ...     name, power = "fourth", 4.0
        ...
        ...     def cost(self, error: Tensor) -> Tensor:
        ...         return error**4
        >>> Fourth().centre(torch.tensor([0.0, 0.0, 0.0, 1.0, 1.0, 1.0]))
        tensor(0.5000)
    """

    name: str
    power: float

    @abstractmethod
    def cost(self, error: Tensor) -> Tensor:
        """Return what each error costs; any shape, the same in and out, differentiable."""

    def centre(self, values: Tensor) -> Tensor:
        """Return the point of least total cost to values, shape (count, ...), as shape (...)."""
        return _minimum(lambda at: self._slope(values - at).sum(0), *torch.aminmax(values, dim=0))

    def centres(self, values: Tensor, group: Tensor, groups: int) -> Tensor:
        """Return the point of least total cost to the values of each group.

        Arguments:
            values: shape (count,).
            group: the group of each value, integers, shape (count,).
            groups: number of groups.

        Returns:
            Centres, shape (groups,); of groups without values they mean nothing.
        """

        def slope(at: Tensor) -> Tensor:
            return torch.zeros_like(at).index_add_(0, group, self._slope(values - at[group]))

        start = values.new_zeros(groups)
        low = start.scatter_reduce(0, group, values, "amin", include_self=False)
        high = start.scatter_reduce(0, group, values, "amax", include_self=False)
        return _minimum(slope, low, high)

    def snr_db(self, variance: float, distortion: float) -> float | None:
        """Return the signal-to-noise ratio of a distortion; None where it has no such meaning.

        Arguments:
            variance: of the source, per scalar.
            distortion: mean cost per scalar, positive.
        """
        return None

    def cell_error(self, lmbda: float) -> float:
        """Return the mean squared error of the cells that the high-rate theory asks for.

        Of an interval of width w the rate falls by log2 w and the cost is
        `cost(w / 2) / (power + 1)`: `rate + lmbda * cost` is least where
        `power * cost = 1 / (lmbda ln 2)`.

        Arguments:
            lmbda: weight of the distortion against the rate.

        Example:
            >>> round(Squared().cell_error(8) * 2 * math.log(2) * 8, 6)
            1.0
        """
        cost = float(self.cost(torch.ones(())))
        return ((self.power + 1) / (self.power * cost * math.log(2) * lmbda)) ** (
            2 / self.power
        ) / 3

    def _slope(self, error: Tensor) -> Tensor:
        """Return the derivative of the cost."""
        with torch.enable_grad():
            error = error.detach().requires_grad_()
            (slope,) = torch.autograd.grad(self.cost(error).sum(), error)
        return slope


def _minimum(slope: Callable[[Tensor], Tensor], low: Tensor, high: Tensor) -> Tensor:
    """Return where convex costs are least, between two ends, by halving the interval.

    Arguments:
        slope: returns by how much the total cost falls where a point moves up.
        low: lower ends.
        high: upper ends.
    """
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        above = slope(middle) > 0
        low, high = torch.where(above, middle, low), torch.where(above, high, middle)
    return (low + high) / 2


class Squared(Distortion):
    """Squared error.

    Example:
        >>> Squared().cost(torch.tensor([1.0, -2.0])), Squared().centre(torch.tensor([0.0, 1.0]))
        (tensor([1., 4.]), tensor(0.5000))
    """

    name = "squared"
    power = 2.0

    def cost(self, error: Tensor) -> Tensor:
        """Return squared errors, any shape."""
        return error.square()

    def snr_db(self, variance: float, distortion: float) -> float:
        """Return `10 log10(variance / distortion)`."""
        return 10 * math.log10(variance / distortion)

    def centre(self, values: Tensor) -> Tensor:
        """Return the mean of values, shape (count, ...), as shape (...)."""
        return values.mean(0)

    def centres(self, values: Tensor, group: Tensor, groups: int) -> Tensor:
        """Return the mean of each group of values, shape (count,), as shape (groups,)."""
        count = torch.bincount(group, minlength=groups)
        total = torch.bincount(group, weights=values.double(), minlength=groups)
        return (total / count.clamp_min(1)).to(values.dtype)


class Absolute(Distortion):
    """Absolute error.

    Example:
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
