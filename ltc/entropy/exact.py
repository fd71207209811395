"""The exact entropy model of a lattice with a trellis."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ltc.checks import integer
from ltc.entropy.base import EntropyModel
from ltc.entropy.table import REACH, PointTable
from ltc.errors import InputError
from ltc.lattices import Lattice, Trellis
from ltc.threads import one_thread

__all__ = ["Exact", "GaussianMixture"]

# A Gaussian beyond this many deviations has less mass than float64 resolves.
TAIL = 9.0
# Points of a coset that a density may span: 20 bits per coordinate. More is no number any more.
WIDEST = 1 << 20
# Weight of the squared corrections of log f in a fit, in nats.
UNSEEN = 1e-6


class GaussianMixture(nn.Module):
    """A positive function on the line for each channel: a mixture of Gaussian bumps.

    Arguments:
        channels: number of functions, k.
        components: bumps in each, J.
    """

    def __init__(self, channels: int, components: int) -> None:
        super().__init__()
        self.log_weight = nn.Parameter(torch.zeros(channels, components))
        self.mean = nn.Parameter(torch.zeros(channels, components))
        self.log_width = nn.Parameter(torch.zeros(channels, components))

    def log_density(self, value: Tensor, channel: Tensor) -> Tensor:
        """Return the logarithm of the functions.

        Arguments:
            value: where, shape (..., *channel.shape).
            channel: which function, integers.

        Returns:
            Natural logarithms, shape of `value`.
        """
        log_weight = torch.log_softmax(self.log_weight, -1) - self.log_width
        deviation = (value.unsqueeze(-1) - self.mean[channel]) * (-self.log_width).exp()[channel]
        return torch.logsumexp(log_weight[channel] - 0.5 * deviation.square(), -1)

    @torch.no_grad()
    def support(self) -> tuple[Tensor, Tensor]:
        """Return the ends of the interval that holds each function's mass, shapes (k,)."""
        reach = TAIL * self.log_width.exp()
        return (self.mean - reach).amin(-1), (self.mean + reach).amax(-1)

    @torch.no_grad()
    def shrink(self, factor: Tensor) -> None:
        """Divide the values of each channel by a factor, shape (k,) or (1,)."""
        self.mean.div_(factor[:, None])
        self.log_width.sub_(factor[:, None].log())

    @torch.no_grad()
    def fit(self, values: Tensor, iterations: int = 30) -> None:
        """Start at a mixture fitted to samples by expectation maximisation.

        Arguments:
            values: samples of each channel, shape (count, k).
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


def by_channel(vectors: Tensor, channel: Tensor, most: int = 20_000) -> Tensor:
    """Return the values of each channel, from all of its coordinates alike.

    Arguments:
        vectors: shape (count, rows, n).
        channel: the channel of each coordinate, shape (rows, n); all have equally many.
        most: values of a channel at most, spread over all vectors and coordinates.

    Returns:
        Values, shape (number, channels).

    Example:
        >>> by_channel(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]), torch.tensor([[0, 0], [1, 1]]))
        tensor([[1., 3.],
                [2., 4.]])
    """
    places = channel.flatten().argsort(stable=True).reshape(int(channel.max()) + 1, -1)
    number = len(vectors) * places.shape[1]
    chosen = torch.arange(number, device=vectors.device)[:: -(-number // most)]
    vector, coordinate = chosen // places.shape[1], chosen % places.shape[1]
    return vectors.flatten(1)[vector[:, None], places.T[coordinate]]


class Exact(EntropyModel):
    """`p(point) = prod_t f_t(point_t) / Z`, exact and summing to one by construction.

    Every coordinate has a learned positive function f_t; `Z`, the sum over all lattice points,
    is one forward pass through the trellis. No integral over Voronoi cells, no sampling.

    Arguments:
        lattice: a lattice with a trellis.
        channel: the channel of each coordinate of the lattice vectors, shape (rows, n).
        components: Gaussian bumps in each f_t.

    Attributes:
        correction: what `fit` adds to log f at points near zero, or None; see `free_points`.

    Raises:
        InputError: the lattice has no trellis, or `components` is not positive.

    Example: the probabilities of the integers sum to one.
        >>> from ltc.lattices import Zn
        >>> model = Exact(Zn(), torch.tensor([[0]]))
        >>> integers = torch.arange(-50.0, 51.0).reshape(-1, 1, 1)
        >>> float(torch.exp2(-model.bits(integers)).sum().round(decimals=4))
        1.0
    """

    def __init__(self, lattice: Lattice, channel: Tensor, components: int = 5) -> None:
        super().__init__()
        if lattice.trellis is None:
            raise InputError(
                f"{lattice.name} has no trellis, so no exact entropy model; use entropy=monte_carlo"
            )
        components = integer("entropy.components", components)
        self.trellis: Trellis = lattice.trellis
        self.density = GaussianMixture(int(channel.max()) + 1, components)
        # Coordinates with the same function and the same cosets share one row of masses.
        offset = torch.as_tensor(self.trellis.offset).nan_to_num(math.inf)
        spacing = torch.as_tensor(self.trellis.spacing)[:, None]
        geometry = torch.cat([offset, torch.as_tensor(self.trellis.step)[:, None], spacing], 1)
        kinds, kind = torch.unique(geometry, dim=0, return_inverse=True)
        pairs = torch.stack([channel, kind.expand_as(channel)], -1).reshape(-1, 2)
        pairs, index = torch.unique(pairs, dim=0, return_inverse=True)
        self.channel: Tensor
        self.row: Tensor
        self.row_channel: Tensor
        self.row_offset: Tensor
        self.row_step: Tensor
        self.row_spacing: Tensor
        self.register_buffer("channel", channel.clone(), persistent=False)
        self.register_buffer("row", index.reshape(channel.shape), persistent=False)
        self.register_buffer("row_channel", pairs[:, 0], persistent=False)
        geometry = kinds[pairs[:, 1]]  # float64: rounded where it is used
        self.register_buffer("row_offset", geometry[:, :-2], persistent=False)
        self.register_buffer("row_step", geometry[:, -2], persistent=False)
        self.register_buffer("row_spacing", geometry[:, -1], persistent=False)
        self.correction: PointTable | None = None

    def free_points(self) -> PointTable:
        """Let `fit` choose f freely at each point near zero, beyond what mixtures can follow.

        Points that an encoder avoids or prefers for their rate have frequencies that no smooth
        function has.

        Returns:
            A table with an entry for each point near zero of each row, for reconstruction points.
        """
        self.correction = PointTable(self.row_spacing)
        return PointTable(self.row_spacing)

    @torch.no_grad()
    def as_likely_as(self, values: Tensor) -> None:
        """Give each of the `free_points`, shape (kinds, 65), the smooth f at another value."""
        assert self.correction is not None
        stands_for, smooth = (
            self.density.log_density(where.T, self.row_channel).T
            for where in (values, self.correction.points)
        )
        self.correction.value.copy_(stands_for - smooth)

    def shrink(self, factor: Tensor) -> None:
        """Divide the values of each channel by a factor, shape (k,) or (1,)."""
        self.density.shrink(factor)

    def log_density(self, value: Tensor, row: Tensor | None = None) -> Tensor:
        """Return log f at points.

        Arguments:
            value: coordinates, lattice units, shape (..., *row.shape).
            row: which function, by kind of coordinate as in `self.row`; None: those of points.

        Returns:
            Natural logarithms, shape of `value`.
        """
        row = self.row if row is None else row
        channel = self.row_channel[row]
        if self.correction is None:
            return self.density.log_density(value, channel)
        if value.requires_grad:  # with respect to the mixtures, which fill the line
            return self.density.log_density(value, channel) + self.correction(value, row)
        # Each point once, not each sample.
        points = self.correction.points.T
        table = self.density.log_density(points, self.row_channel).T + self.correction.value
        entry, inside = self.correction.entry(value, row)
        log_density = table.flatten()[entry]
        if not inside.all():
            beyond = self.density.log_density(
                value[~inside].unsqueeze(-1), channel.expand_as(value)[~inside].unsqueeze(-1)
            )
            log_density = log_density.masked_scatter(~inside, beyond)
        return log_density

    def support(self) -> tuple[Tensor, Tensor]:
        """Return the ends of the interval that holds the mass of each row, shapes (rows,)."""
        low, high = (end[self.row_channel] for end in self.density.support())
        if self.correction is not None:
            reach = (REACH * self.row_spacing).to(low.dtype)
            low, high = torch.minimum(low, -reach), torch.maximum(high, reach)
        return low, high

    def initialise(self, vectors: Tensor) -> None:
        """Fit the mixtures to unquantized vectors, lattice units, shape (count, rows, n)."""
        self.density.fit(by_channel(vectors, self.channel))

    def fit(self, points: Tensor, iterations: int = 30) -> None:
        """Maximise the likelihood of lattice points.

        The likelihood depends on the points only through the histogram of each coordinate, so
        that a step costs as little for a million points as for ten.

        Arguments:
            points: lattice units, shape (..., rows, n).
            iterations: of L-BFGS.
        """
        flat = points.detach().reshape(-1, *self.channel.shape)
        values, counts, rows = [], [], []
        for row in range(len(self.row_channel)):
            # Rounding joins values that differ in the last place only.
            taken = (flat[:, self.row == row] * 4096).round()
            value, count = torch.unique(taken, return_counts=True)
            values.append(value / 4096)
            counts.append(count / len(flat))
            rows.append(torch.full_like(count, row))
        value, weight, kind = torch.cat(values), torch.cat(counts), torch.cat(rows)
        parameters: list[Tensor] = list(self.density.parameters())
        if self.correction is not None:
            parameters.append(self.correction.value.requires_grad_())
        optimizer = torch.optim.LBFGS(
            parameters, max_iter=iterations, line_search_fn="strong_wolfe"
        )

        def closure() -> float:
            optimizer.zero_grad()
            nats = self.log_partition().sum() - (weight * self.log_density(value, kind)).sum()
            if self.correction is not None:  # a point that was never seen stays possible
                nats = nats + UNSEEN * self.correction.value.square().sum()
            nats.backward()
            return float(nats.detach())

        try:
            with one_thread():  # histograms are small
                optimizer.step(closure)
        finally:
            if self.correction is not None:
                self.correction.value = self.correction.value.detach()

    def log_mass(self, dither: Tensor | None = None) -> Tensor:
        """Return the mass of each coset: the sum of f over its points.

        Arguments:
            dither: shifts of the cosets, shape (..., rows, n); None: none.

        Returns:
            Natural logarithms, shape (..., rows, n, cosets).

        Raises:
            OverflowError: a density is so wide that it cannot be summed, or not a number.
        """
        dtype = self.density.mean.dtype
        row, low, high = None, *self.support()
        offset, step = self.row_offset.to(dtype), self.row_step.to(dtype)
        if dither is None:
            row = torch.arange(len(step), device=step.device)
        else:
            low, high, step = low[self.row], high[self.row], step[self.row]
            offset = offset[self.row] + dither.unsqueeze(-1)
        present = torch.isfinite(offset)
        offset = offset.nan_to_num(posinf=0.0)
        widest = float(((high - low) / step).max())
        if not widest < WIDEST:
            raise OverflowError(f"a density spans {widest:g} points of a coset")
        count = math.ceil(widest) + 2
        first = torch.floor((low.unsqueeze(-1) - offset) / step.unsqueeze(-1))
        integers = first.unsqueeze(-1) + torch.arange(count, device=first.device)
        value = offset.unsqueeze(-1) + integers * step[..., None, None]
        # Move (cosets, integers) ahead so that the rows line up with the last dimensions.
        value = value.movedim((-2, -1), (0, 1))
        if row is None:  # points of a shifted lattice, which have no correction
            log_density = self.density.log_density(value, self.channel)
        else:
            log_density = self.log_density(value, row)
        mass = torch.logsumexp(log_density, 1).movedim(0, -1).masked_fill(~present, -math.inf)
        return mass if row is None else mass[self.row]

    def log_partition(self, dither: Tensor | None = None) -> Tensor:
        """Return log Z in nats: shape (rows,), or (..., rows) with a dither (..., rows, n)."""
        return self.trellis.log_partition(self.log_mass(dither))

    def bits(self, points: Tensor, dither: Tensor | None = None) -> Tensor:
        """Return `-log2 p` of points, shape (..., rows, n), as shape (..., rows)."""
        if dither is None:
            log_density = self.log_density(points)
        else:
            log_density = self.density.log_density(points, self.channel)
        return (self.log_partition(dither) - log_density.sum(-1)) / math.log(2)
