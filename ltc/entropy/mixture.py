"""Mixtures of Gaussian bumps, and what they are fitted to."""

import math

import torch
from torch import Tensor, nn

__all__ = ["GaussianMixture", "by_table", "columns"]

# A Gaussian beyond this many deviations has less mass than float64 resolves.
TAIL = 9.0
# Lattice units: the least width of a bump. Narrower ones, between points or at one, change no mass
# of a point, but let a fit run to where single precision tells a point from itself.
LEAST_WIDTH = 0.03


class GaussianMixture(nn.Module):
    """Positive functions on the line, each a mixture of Gaussian bumps.

    Arguments:
        tables: number of functions, T.
        components: bumps in each, J.
    """

    def __init__(self, tables: int, components: int) -> None:
        super().__init__()
        self.log_weight = nn.Parameter(torch.zeros(tables, components))
        self.mean = nn.Parameter(torch.zeros(tables, components))
        self.log_width = nn.Parameter(torch.zeros(tables, components))

    def log_density(self, value: Tensor, table: Tensor) -> Tensor:
        """Return the logarithm of the functions.

        Arguments:
            value: where, shape (..., *table.shape).
            table: which function, integers.

        Returns:
            Natural logarithms, shape of `value`.
        """
        log_width = self.log_width.clamp_min(math.log(LEAST_WIDTH))
        log_weight = torch.log_softmax(self.log_weight, -1) - log_width
        deviation = (value.unsqueeze(-1) - self.mean[table]) * (-log_width).exp()[table]
        return torch.logsumexp(log_weight[table] - 0.5 * deviation.square(), -1)

    @torch.no_grad()
    def support(self) -> tuple[Tensor, Tensor]:
        """Return the ends of the interval that holds each function's mass, shapes (T,)."""
        reach = TAIL * self.log_width.exp().clamp_min(LEAST_WIDTH)
        return (self.mean - reach).amin(-1), (self.mean + reach).amax(-1)

    @torch.no_grad()
    def shrink(self, factor: Tensor) -> None:
        """Divide the values of each function by a factor, shape (T,) or (1,)."""
        self.mean.div_(factor[:, None])
        self.log_width.sub_(factor[:, None].log())

    @torch.no_grad()
    def fit(self, values: Tensor, iterations: int = 30) -> None:
        """Start at a mixture fitted to samples by expectation maximisation.

        Arguments:
            values: samples of each function, shape (count, T).
            iterations: number of steps.
        """
        components = self.mean.shape[1]
        quantiles = (torch.arange(components, device=values.device) + 0.5) / components
        spread = values.std(0).clamp_min(1e-3)
        mean = torch.quantile(values, quantiles.to(values.dtype), dim=0).T
        width = spread[:, None] * torch.logspace(
            -0.5, 0.3, components, base=10, device=values.device
        ).expand_as(mean)
        weight = torch.full_like(mean, 1 / components)
        for _ in range(iterations):
            deviation = (values.unsqueeze(-1) - mean) / width
            share = torch.softmax(weight.log() - width.log() - 0.5 * deviation.square(), -1)
            mass = share.sum(0) + 1e-6
            mean = (share * values.unsqueeze(-1)).sum(0) / mass
            error = (values.unsqueeze(-1) - mean).square()
            # No bump narrower than a lattice cell: between points it would go unseen.
            width = ((share * error).sum(0) / mass).sqrt().clamp_min(0.3)
            weight = mass / mass.sum(-1, keepdim=True)
        self.mean.copy_(mean)
        self.log_width.copy_(width.log())
        self.log_weight.copy_(weight.log())


def by_table(vectors: Tensor, table: Tensor, tables: int, most: int = 20_000) -> Tensor:
    """Return the values of each table, from all of its coordinates alike.

    Arguments:
        vectors: shape (count, rows, n).
        table: the table of each coordinate, integers that broadcast to `vectors`.
        tables: how many there are.
        most: values of a table at most, spread over all vectors and coordinates; fewer of many
            tables, a million together, but a thousand each.

    Returns:
        Values, shape (number, tables). Of a table with fewer values than others they come again;
        one without any gets those of all.

    Example:
        >>> by_table(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]), torch.tensor([[0], [1]]), 2)
        tensor([[1., 3.],
                [2., 4.]])
    """
    flat, of = columns(vectors, table)
    most = max(min(most, 1_000), min(most, (1 << 20) // tables))
    chosen = []
    for index in range(tables):
        values = flat[:, of == index].flatten()
        values = values if len(values) else vectors.flatten()
        chosen.append(values[:: -(-len(values) // most)])
    number = max(map(len, chosen))
    places = torch.arange(number, device=vectors.device)
    return torch.stack([values[places % len(values)] for values in chosen], 1)


def columns(points: Tensor, number: Tensor) -> tuple[Tensor, Tensor]:
    """Return points, shape (count, *of.shape), and the number of each place, of.

    Arguments:
        points: shape (..., rows, n).
        number: integers that broadcast to `points`; dimensions that it has not are the count's.
    """
    of = number.expand(points.shape[-max(2, number.dim()) :])
    return points.reshape(-1, *of.shape), of
