"""The exact entropy model of a lattice with a trellis."""

import math
from typing import Any

import torch
from torch import Tensor

from ltc.checks import integer
from ltc.entropy.base import EntropyModel
from ltc.entropy.mixture import GaussianMixture, by_table, columns
from ltc.entropy.point_table import REACH, PointTable
from ltc.errors import InputError
from ltc.lattices import Lattice, Section, Trellis
from ltc.lattices.trellis import stationary
from ltc.threads import one_thread

__all__ = ["Exact"]

# Points of a coset that a density may span: 20 bits per coordinate. More is no number any more.
WIDEST = 1 << 20
# Points of cosets that are summed side by side even where some are beyond what a density reaches.
SMALL = 1 << 14
# Weight of the squared corrections of log f in a fit, in nats.
UNSEEN = 1e-6


class Exact(EntropyModel):
    """`p(point) = prod_t f_t(point_t) / Z`, exact and summing to one by construction.

    Every coordinate has a learned positive function f_t, one of several tables; `Z`, the sum over
    all lattice points, is one forward pass through the trellis. No integral over Voronoi cells,
    no sampling.

    Arguments:
        lattice: a lattice with a trellis.
        channel: the channel of each coordinate of the lattice vectors, shape (rows, n) or
            (rows, 1).
        components: Gaussian bumps in each f.
        classes: how many f there are for each channel, among which a context chooses: class c of
            channel k of K is table `k + c K`.

    Attributes:
        channels: number of channels, K.
        correction: what `fit` adds to log f at points near zero, or None; see `free_points`.

    Raises:
        InputError: the lattice has no trellis, or `components` is not positive.

    Example: the probabilities of the integers sum to one.
        >>> from ltc.lattices import Zn
        >>> channel = torch.tensor([[0]])
        >>> model = Exact(Zn(), channel)
        >>> integers = torch.arange(-50.0, 51.0).reshape(-1, 1, 1)
        >>> float(torch.exp2(-model.bits(integers, channel)).sum().round(decimals=4))
        1.0
    """

    def __init__(
        self, lattice: Lattice, channel: Tensor, components: int = 5, classes: int = 1
    ) -> None:
        super().__init__()
        if lattice.trellis is None:
            raise InputError(
                f"{lattice.name} has no trellis, so no exact entropy model; use entropy=monte_carlo"
            )
        components = integer("entropy.components", components)
        self.trellis: Trellis = lattice.trellis
        self.channels = int(channel.max()) + 1
        self.tables = self.channels * classes
        self.density = GaussianMixture(self.tables, components)
        # Coordinates with the same function and the same cosets share masses.
        offset = torch.as_tensor(self.trellis.offset).nan_to_num(math.inf)
        spacing = torch.as_tensor(self.trellis.spacing)[:, None]
        geometry = torch.cat([offset, torch.as_tensor(self.trellis.step)[:, None], spacing], 1)
        geometry, place = torch.unique(geometry, dim=0, return_inverse=True)
        self.geometry: Tensor
        self.place: Tensor
        self.register_buffer("geometry", geometry, persistent=False)  # rounded where it is used
        # One number does for all coordinates where they are alike, whatever their number.
        self.register_buffer("place", place if len(geometry) > 1 else place[:1], persistent=False)
        self.correction: PointTable | None = None

    def kinds(self, table: Tensor) -> Tensor:
        """Return the kind of coordinates: a number for each table and each geometry of cosets."""
        return table * len(self.geometry) + self.place

    @property
    def _every_kind(self) -> Tensor:
        return torch.arange(self.tables * len(self.geometry), device=self.geometry.device)

    def _spacing(self) -> Tensor:
        """Return the length of which the values of each kind are multiples."""
        return self.geometry[:, -1].repeat(self.tables)

    def free_points(self) -> PointTable:
        """Let `fit` choose f freely at each point near zero, beyond what mixtures can follow.

        Points that an encoder avoids or prefers for their rate have frequencies that no smooth
        function has.
        """
        self.correction = PointTable(self._spacing())
        return PointTable(self._spacing())

    @torch.no_grad()
    def as_likely_as(self, values: Tensor) -> None:
        """Give each of the `free_points`, shape (kinds, 65), the smooth f at another value."""
        assert self.correction is not None
        stands_for, smooth = (
            self._smooth(where.T, self._every_kind).T for where in (values, self.correction.points)
        )
        self.correction.value.copy_(stands_for - smooth)

    def shrink(self, factor: Tensor) -> None:
        """Divide the values of each channel by a factor, shape (channels,) or (1,)."""
        self.density.shrink(factor.repeat(1 if len(factor) == 1 else self.tables // len(factor)))

    def move(self, offset: Tensor) -> None:
        """Add an offset to the values of each channel, shape (channels,)."""
        with torch.no_grad():
            self.density.mean.add_(offset.repeat(self.tables // len(offset))[:, None])

    def _smooth(self, value: Tensor, kinds: Tensor) -> Tensor:
        """Return the logarithms of the mixtures; shapes as in `log_density_of_kinds`."""
        return self.density.log_density(value, kinds // len(self.geometry))

    def log_density_of_kinds(self, value: Tensor, kinds: Tensor) -> Tensor:
        """Return log f of coordinates, shape (..., *kinds.shape), of these `kinds`."""
        if self.correction is None:
            return self._smooth(value, kinds)
        if value.requires_grad:  # with respect to the mixtures, which fill the line
            return self._smooth(value, kinds) + self.correction(value, kinds)
        # Each point once, not each sample.
        points = self.correction.points.T
        table = self._smooth(points, self._every_kind).T + self.correction.value
        entry, inside = self.correction.entry(value, kinds)
        log_density = table.flatten()[entry]
        if not inside.all():
            beyond = self._smooth(
                value[~inside].unsqueeze(-1), kinds.expand_as(value)[~inside].unsqueeze(-1)
            )
            log_density = log_density.masked_scatter(~inside, beyond)
        return log_density

    def support(self, kinds: Tensor) -> tuple[Tensor, Tensor]:
        """Return the ends of the intervals that hold the mass of kinds, shape of `kinds`."""
        low, high = (end[kinds // len(self.geometry)] for end in self.density.support())
        if self.correction is not None:
            reach = (REACH * self._spacing()[kinds]).to(low.dtype)
            low, high = torch.minimum(low, -reach), torch.maximum(high, reach)
        return low, high

    def initialise(self, vectors: Tensor, table: Tensor) -> None:
        """Fit the mixtures to unquantized vectors, lattice units, shape (..., rows, n)."""
        self.density.fit(by_table(vectors, table, self.tables))

    def fit(self, points: Tensor, table: Tensor, iterations: int = 30) -> None:
        """Maximise the likelihood of lattice points.

        The likelihood depends on the points only through the histogram of each kind, so that a
        step costs as little for a million points as for ten.

        Arguments:
            points, table: as of any model.
            iterations: of L-BFGS.
        """
        flat, of = columns(points.detach(), self.kinds(table))
        number = points[..., 0, 0].numel()
        values, counts, kinds = [], [], []
        of_each, places = of.flatten().sort(stable=True)
        present, lengths = torch.unique_consecutive(of_each, return_counts=True)
        for kind, place in zip(present, places.split(lengths.tolist()), strict=True):
            # Rounding joins values that differ in the last place only. One of them stands for all:
            # between points, the likelihood of a narrow bump would have no bound.
            taken = flat.flatten(1)[:, place].flatten()
            rounded, which, count = torch.unique(
                (taken * 4096).round(), return_inverse=True, return_counts=True
            )
            values.append(torch.empty_like(rounded).scatter_(0, which, taken))
            counts.append(count / number)
            kinds.append(torch.full_like(count, int(kind)))
        value, weight, kind = torch.cat(values), torch.cat(counts), torch.cat(kinds)
        # Vectors of the same tables have the same partition function.
        share = points.new_ones(len(table))
        if table.dim() > 2:
            of_each = table.expand(*points.shape[:-1], table.shape[-1]).flatten(0, -2)
            table, count = torch.unique(of_each, dim=0, return_counts=True)
            share = count / number
        parameters: list[Tensor] = list(self.density.parameters())
        if self.correction is not None:
            parameters.append(self.correction.value.requires_grad_())
        optimizer = torch.optim.LBFGS(
            parameters, max_iter=iterations, line_search_fn="strong_wolfe"
        )

        best, kept = math.inf, [parameter.detach().clone() for parameter in parameters]

        def closure() -> float:
            nonlocal best, kept
            optimizer.zero_grad()
            nats = (share * self.log_partition(table)).sum()
            nats = nats - (weight * self.log_density_of_kinds(value, kind)).sum()
            if self.correction is not None:  # a point that was never seen stays possible
                nats = nats + UNSEEN * self.correction.value.square().sum()
            nats.backward()
            found = float(nats.detach())
            if found < best:
                best, kept = found, [parameter.detach().clone() for parameter in parameters]
            return found

        try:
            with one_thread():  # histograms are small
                optimizer.step(closure)
        except OverflowError:  # the line search went astray
            if not math.isfinite(best):
                raise
        finally:
            with torch.no_grad():
                for parameter, lowest in zip(parameters, kept, strict=True):
                    parameter.copy_(lowest)
            if self.correction is not None:
                self.correction.value = self.correction.value.detach()

    def log_mass(self, table: Tensor, dither: Tensor | None = None) -> Tensor:
        """Return the mass of each coset, as of any model with a trellis.

        Raises:
            OverflowError: a density is so wide that it cannot be summed, or not a number.
        """
        kinds = self.kinds(table)
        if dither is not None:
            shape = torch.broadcast_shapes(kinds.shape, dither.shape)
            used = kinds.expand(shape).flatten()
        elif len(self.geometry) == 1:  # each kind once
            used = self._every_kind
        else:
            used, kinds = torch.unique(kinds, return_inverse=True)
        low, high = self.support(used)
        geometry = self.geometry.to(low.dtype)[used % len(self.geometry)]
        offset, step = geometry[:, :-2], geometry[:, -2]
        if dither is not None:
            offset = offset + dither.expand(shape).reshape(-1, 1)
        present = torch.isfinite(offset)
        offset = offset.nan_to_num(posinf=0.0)
        width = (high - low) / step
        if not (width < WIDEST).all():
            raise OverflowError(f"a density spans {float(width.max()):g} points of a coset")
        count = width.ceil().long() + 2
        groups = _alike(count)
        masses = []
        for group in groups:
            spacing = step[group, None]
            first = torch.floor((low[group, None] - offset[group]) / spacing)
            integers = torch.arange(int(count[group].max()), device=first.device)
            value = offset[group] + (first + integers[:, None, None]) * spacing
            value = value.transpose(1, 2)  # the kinds line up with the last dimension
            if dither is None:
                log_density = self.log_density_of_kinds(value, used[group])
            else:  # points of a shifted lattice, which have no correction
                log_density = self._smooth(value, used[group])
            masses.append(torch.logsumexp(log_density, 0).T)
        mass = masses[0]
        if len(groups) > 1:
            mass = torch.cat(masses)[torch.cat(groups).argsort()]
        mass = mass.masked_fill(~present, -math.inf)
        mass = mass[kinds] if dither is None else mass.unflatten(0, shape)
        return mass.expand(*mass.shape[:-2], self.trellis.dimension, -1)

    def log_partition(self, table: Tensor, dither: Tensor | None = None) -> Tensor:
        """Return log Z in nats, shape (..., rows); arguments as of `log_mass`."""
        if table.dim() > 2 and table.shape[-1] == 1:  # each table once
            used, table = torch.unique(table[..., 0], return_inverse=True)
            if dither is None:
                return self.trellis.log_partition(self.log_mass(used[:, None]))[table]
            if len(dither) == 1 and dither.shape[1:-1] == table.shape[1:]:
                used = used.reshape(-1, *[1] * (dither.dim() - 1))
                return self.trellis.log_partition(self.log_mass(used, dither)).gather(0, table)
            table = used[table].unsqueeze(-1)
        return self.trellis.log_partition(self.log_mass(table, dither))

    def bits(self, points: Tensor, table: Tensor, dither: Tensor | None = None) -> Tensor:
        """Return `-log2 p` of points, shape (..., rows, n), as shape (..., rows)."""
        if dither is None:
            log_density = self.log_density(points, table)
        else:
            log_density = self._smooth(points, self.kinds(table))
        return (self.log_partition(table, dither) - log_density.sum(-1)) / math.log(2)

    @torch.no_grad()
    def bits_along(self, points: Tensor, table: Tensor, section: Section) -> Tensor:
        """Return what each coordinate of an endless path costs, given all before it.

        Each branch has its probability given the state that it leaves: see `stationary`.
        """
        every = torch.arange(self.tables, device=points.device)[:, None]
        mass = self.log_mass(every)[:, -1].double().cpu().numpy()
        model = stationary(section, mass)
        growth, completions = (torch.from_numpy(array).to(points.device) for array in model)
        after = self.trellis.states_after(points)
        before = torch.cat([torch.zeros_like(after[..., :1]), after[..., :-1]], -1)
        nats = (growth + completions)[table, before] - completions[table, after]
        return (nats - self.log_density(points, table).double()) / math.log(2)


def _alike(count: Tensor) -> list[Any]:
    """Return what picks similar ones of counts, shape (K,), or all where groups save no work."""
    together = len(count) * int(count.max())
    if together <= SMALL or together <= 2 * int(count.sum()):
        return [slice(None)]
    order = count.double().log2().div(2).ceil()
    return [(order == size).nonzero().squeeze(1) for size in order.unique()]
