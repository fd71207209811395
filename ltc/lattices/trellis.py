"""A lattice as a trellis, and what is computed on it.

Section t of a trellis has branches between states, each labelled with a coset
`offset + step * Z` of the real line. A lattice point is a path and, for each section, one point
of the coset on its branch (Forney, *Coset codes II*, IEEE Trans. Inform. Theory 34, 1988).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ltc.errors import InputError

__all__ = ["Section", "Trellis", "hermite_normal_form"]

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Section:
    """One coordinate of a trellis.

    Every state that the section ends in is reached by the same number of branches.

    Attributes:
        previous: the state that each branch leaves, shape (states after, branches per state).
        coset: the coset on each branch, same shape.
        offset: where each coset lies, shape (cosets,); coset k is `offset[k] + step * Z`.
        step: the distance between neighbours in a coset.
    """

    previous: IntArray
    coset: IntArray
    offset: FloatArray
    step: float


class Trellis:
    """A lattice, or a union of cosets, described section by section.

    It starts in state 0 and may end in every state of the last section.

    Arguments:
        sections: one for each coordinate. Sections that are the same object are stored once.

    Raises:
        InputError: the branches of neighbouring sections do not fit together.

    Example: the checkerboard lattice D2, pairs of integers with an even sum.
        >>> Trellis.from_integer_basis([[1, 1], [0, 2]]).closest_point(torch.tensor([0.9, 0.3]))
        tensor([1., 1.])
    """

    def __init__(self, sections: Sequence[Section]) -> None:
        if not sections:
            raise InputError("a trellis needs at least one section")
        states = 1
        for t, section in enumerate(sections):
            if section.previous.shape != section.coset.shape or section.previous.ndim != 2:
                raise InputError(f"section {t}: `previous` and `coset` must be equal matrices")
            if section.previous.min() < 0 or section.previous.max() >= states:
                raise InputError(f"section {t} leaves states that section {t - 1} does not reach")
            if section.coset.min() < 0 or section.coset.max() >= len(section.offset):
                raise InputError(f"section {t} names cosets that have no offset")
            states = len(section.previous)
        self.sections = tuple(sections)
        self.cosets = max(len(section.offset) for section in sections)
        self._tensors = functools.lru_cache(maxsize=8)(self._make_tensors)

    @classmethod
    def from_integer_basis(cls, basis: npt.ArrayLike, unit: npt.ArrayLike | float = 1.0) -> Trellis:
        """Return the minimal trellis of an integer lattice in the given coordinate order.

        A state after t coordinates is the set of futures that complete the past to a lattice
        point: a coset of the sublattice that is zero on the first t coordinates. Reduction by
        the Hermite normal form names it uniquely, so that no two states have the same future,
        which is what minimal means (Forney and Trott, IEEE Trans. Inform. Theory 39, 1993).

        Arguments:
            basis: generator matrix with integer entries, one basis vector a row, shape (n, n).
            unit: length of one integer step along each coordinate, shape (n,) or one for all.

        Raises:
            InputError: the basis is not square, not integer, or singular.

        Example: D4 has two states, the parity of what has been seen.
            >>> d4 = [[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1], [0, 0, 0, 2]]
            >>> Trellis.from_integer_basis(d4).states
            [1, 2, 2, 2, 1]
        """
        hermite = hermite_normal_form(basis)
        n = len(hermite)
        lengths = np.broadcast_to(np.asarray(unit, dtype=np.float64), (n,))

        def reduce(futures: IntArray, depth: int) -> IntArray:
            """Reduce each row modulo the sublattice that is zero before `depth`."""
            for i in range(depth, n):
                quotient = futures[:, i - depth] // hermite[i, i]
                futures = futures - quotient[:, None] * hermite[i, depth:]
            return futures

        sections = []
        states = np.zeros((1, n), dtype=np.int64)
        for t in range(n):
            height = int(hermite[t, t])
            # The least multiple of the t-th unit vector in the lattice: adding it changes
            # nothing about the future, so a coset repeats with this period.
            period = next(
                height * j
                for j in range(1, 1 << 20)
                if not reduce((height * j) * np.eye(n, dtype=np.int64)[t : t + 1, t:], t).any()
            )
            choices = np.arange(period // height, dtype=np.int64)
            futures = states[:, None, :] + choices[None, :, None] * hermite[t, t:]
            labels = futures[..., 0] % period
            reduced = reduce(futures[..., 1:].reshape(labels.size, n - t - 1), t + 1)
            following, target = np.unique(reduced, axis=0, return_inverse=True)
            target = target.reshape(-1)
            order = np.argsort(target, kind="stable")
            degree = len(order) // len(following)
            used, coset = np.unique(labels.reshape(-1), return_inverse=True)
            sections.append(
                Section(
                    previous=(order // len(choices)).reshape(len(following), degree),
                    coset=coset.reshape(-1)[order].reshape(len(following), degree),
                    offset=used * lengths[t],
                    step=float(period * lengths[t]),
                )
            )
            states = following
        return cls(sections)

    @property
    def dimension(self) -> int:
        """Number of sections, n."""
        return len(self.sections)

    @property
    def states(self) -> list[int]:
        """Number of states before each section and after the last, n + 1 numbers."""
        return [1, *(len(section.previous) for section in self.sections)]

    @property
    def branches(self) -> int:
        """Number of branches in all sections."""
        return sum(section.previous.size for section in self.sections)

    @functools.cached_property
    def offset(self) -> FloatArray:
        """Offsets of the cosets of every section, shape (n, cosets); NaN where there are fewer."""
        offset = np.full((self.dimension, self.cosets), np.nan)
        for row, section in zip(offset, self.sections, strict=True):
            row[: len(section.offset)] = section.offset
        return offset

    @functools.cached_property
    def step(self) -> FloatArray:
        """Distance between neighbours in a coset of each section, shape (n,)."""
        return np.array([section.step for section in self.sections])

    def _make_tensors(self, device: torch.device) -> list[tuple[Tensor, Tensor]]:
        made: dict[int, tuple[Tensor, Tensor]] = {}
        for section in self.sections:
            if id(section) not in made:
                made[id(section)] = (
                    torch.as_tensor(section.previous, device=device),
                    torch.as_tensor(section.coset, device=device),
                )
        return [made[id(section)] for section in self.sections]

    def closest_point(self, x: Tensor) -> Tensor:
        """Return a nearest point of the lattice to each row, by the Viterbi algorithm.

        Arguments:
            x: vectors, shape (..., n), floating point.

        Returns:
            Points, same shape, dtype and device. Between points equally near, the same one is
            returned on every call.
        """
        offset = torch.as_tensor(self.offset, dtype=x.dtype, device=x.device)
        step = torch.as_tensor(self.step, dtype=x.dtype, device=x.device)
        shape = x.shape
        x = x.reshape(-1, self.dimension)
        residual = x.unsqueeze(-1) - offset
        nearest = offset + torch.round(residual / step[:, None]) * step[:, None]
        cost = (x.unsqueeze(-1) - nearest).square()
        index = self.shortest_path(cost)
        return nearest.gather(-1, index.unsqueeze(-1)).squeeze(-1).reshape(shape)

    def shortest_path(self, cost: Tensor) -> Tensor:
        """Return the cosets along the path of least total cost, by the Viterbi algorithm.

        Arguments:
            cost: cost of each coset in each section, shape (batch, n, cosets).

        Returns:
            The coset of each section on the best path, shape (batch, n), int64.
        """
        batch = len(cost)
        total = cost.new_zeros(batch, 1)
        decisions = []
        tensors = self._tensors(cost.device)
        for t, (previous, coset) in enumerate(tensors):
            total, decision = (total[:, previous] + cost[:, t][:, coset]).min(-1)
            decisions.append(decision)
        state = total.argmin(-1)
        path = torch.empty(batch, self.dimension, dtype=torch.int64, device=cost.device)
        for t in range(self.dimension - 1, -1, -1):
            previous, coset = tensors[t]
            branch = decisions[t].gather(-1, state.unsqueeze(-1)).squeeze(-1)
            path[:, t] = coset[state, branch]
            state = previous[state, branch]
        return path

    def log_partition(self, log_mass: Tensor) -> Tensor:
        """Return the logarithm of the sum, over all points, of the product of their masses.

        A forward pass (sum-product) over the trellis; differentiable.

        Arguments:
            log_mass: natural logarithm of the mass of each coset in each section, shape
                (..., n, cosets).

        Returns:
            Log partition functions in nats, shape (...).

        Example: D2 modulo 2 has two paths, (0, 0) and (1, 1).
            >>> d2 = Trellis.from_integer_basis([[1, 1], [0, 2]])
            >>> float(d2.log_partition(torch.zeros(2, 2)).exp())
            2.0
        """
        total = log_mass.new_zeros(*log_mass.shape[:-2], 1)
        for t, (previous, coset) in enumerate(self._tensors(log_mass.device)):
            total = torch.logsumexp(total[..., previous] + log_mass[..., t, :][..., coset], -1)
        return torch.logsumexp(total, -1)


def hermite_normal_form(basis: npt.ArrayLike) -> IntArray:
    """Return the upper-triangular basis with positive diagonal of an integer lattice.

    Arguments:
        basis: one basis vector a row, shape (n, n), integers.

    Returns:
        Another basis of the same lattice, upper triangular, every entry above a diagonal entry
        in [0, that entry), shape (n, n), int64.

    Raises:
        InputError: the basis is not square, not integer, or singular.

    Example:
        >>> hermite_normal_form([[2, 0], [1, 1]]).tolist()
        [[1, 1], [0, 2]]
    """
    given = np.asarray(basis)
    if given.ndim != 2 or given.shape[0] != given.shape[1] or given.size == 0:
        raise InputError(f"a basis must be a square matrix; this one has shape {given.shape}")
    if not np.array_equal(given, np.round(given)):
        raise InputError("this basis must have integer entries")
    # Python integers: intermediate entries can outgrow 64 bits.
    rows = [[int(entry) for entry in row] for row in given]
    n = len(rows)
    for t in range(n):
        while True:
            nonzero = [i for i in range(t, n) if rows[i][t]]
            if not nonzero:
                raise InputError("the basis is singular: its vectors are linearly dependent")
            pivot = min(nonzero, key=lambda i: abs(rows[i][t]))
            rows[t], rows[pivot] = rows[pivot], rows[t]
            if rows[t][t] < 0:
                rows[t] = [-entry for entry in rows[t]]
            if len(nonzero) == 1:
                break
            for i in range(t + 1, n):
                q = rows[i][t] // rows[t][t]
                rows[i] = [a - q * b for a, b in zip(rows[i], rows[t], strict=True)]
        for i in range(t):
            q = rows[i][t] // rows[t][t]
            rows[i] = [a - q * b for a, b in zip(rows[i], rows[t], strict=True)]
    return np.array(rows, dtype=np.int64)
