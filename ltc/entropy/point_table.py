"""Numbers for the values that a coordinate of a lattice point can take."""

import torch
from torch import Tensor, nn

from ltc.distortion import Distortion

__all__ = ["PointTable"]

# Values to each side of zero that have an entry of their own.
REACH = 32


class PointTable(nn.Module):
    """A number for each value near zero of each kind of coordinate, zero at first.

    All values are multiples of a length; multiples 0 to 32 and their negatives have an entry.

    Arguments:
        spacing: the length, for each kind, shape (kinds,).

    Attributes:
        value: the numbers, shape (kinds, 65).

    Example:
        >>> table = PointTable(torch.tensor([0.5]))
        >>> table.value[0, 32 + 2] = 7.0
        >>> table(torch.tensor([0.5, 1.0, 40.0]), torch.zeros(3, dtype=torch.long))
        tensor([0., 7., 0.])
    """

    def __init__(self, spacing: Tensor) -> None:
        super().__init__()
        self.spacing: Tensor
        self.value: Tensor
        self.register_buffer("spacing", spacing.clone(), persistent=False)
        self.register_buffer("value", torch.zeros(len(spacing), 2 * REACH + 1))

    @property
    def points(self) -> Tensor:
        """The values that have an entry, shape (kinds, 65)."""
        index = torch.arange(-REACH, REACH + 1, device=self.value.device)
        return index * self.spacing.to(self.value.dtype)[:, None]

    def entry(self, points: Tensor, kind: Tensor) -> tuple[Tensor, Tensor]:
        """Return the place of points in the flattened table, and whether they have one.

        Arguments:
            points: coordinates, lattice units, shape (..., *kind.shape).
            kind: the kind of each coordinate, integers.
        """
        index = torch.round(points / self.spacing[kind].to(points.dtype))
        entry = kind * (2 * REACH + 1) + index.clamp(-REACH, REACH).long() + REACH
        return entry, index.abs() <= REACH

    def forward(self, points: Tensor, kind: Tensor) -> Tensor:
        """Return the numbers of points.

        Arguments:
            points: coordinates, lattice units, shape (..., *kind.shape).
            kind: the kind of each coordinate, integers.

        Returns:
            The entries, shape of `points`; zero where there is none.
        """
        entry, inside = self.entry(points, kind)
        return self.value.flatten()[entry] * inside

    @torch.no_grad()
    def fit(
        self,
        points: Tensor,
        kind: Tensor,
        samples: Tensor,
        distortion: Distortion,
        least: int = 20,
    ) -> None:
        """Set each entry to what comes nearest to the samples that belong to its point.

        Arguments:
            points: coordinates, lattice units, shape (..., *kind.shape).
            kind: the kind of each coordinate, integers.
            samples: shape of `points`.
            distortion: what is least in total: of squared error the entries are means.
            least: samples that an entry needs; with fewer it stays as it is.
        """
        entry, inside = self.entry(points, kind)
        entry, size = entry[inside], self.value.numel()
        enough = torch.bincount(entry, minlength=size) >= least
        centre = distortion.centres(samples[inside], entry, size)
        self.value.copy_(torch.where(enough, centre, self.value.flatten()).view_as(self.value))
