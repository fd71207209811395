"""A lattice as a trellis, and what is computed on it.

Section t of a trellis has branches between states, each labelled with a coset
`offset + step * Z` of the real line. A lattice point is a path and, for each section, one point
of the coset on its branch (Forney, *Coset codes II*, IEEE Trans. Inform. Theory 34, 1988).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ltc.errors import InputError
from ltc.lattices.backend import runs_on_numba

__all__ = ["Section", "Trellis", "hermite_normal_form"]

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

# Branches, times items, that are worth a thread: about 0.1 ms of work.
GRAIN = 1_000_000
# Beyond this many steps from the origin a float64 no longer tells neighbouring points apart.
UNRESOLVED = 2.0**52


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
        self._on_device: dict[torch.device, list[tuple[Tensor, Tensor]]] = {}

    @classmethod
    def from_integer_basis(
        cls, generators: npt.ArrayLike, unit: npt.ArrayLike | float = 1.0
    ) -> Trellis:
        """Return the minimal trellis of an integer lattice in the given coordinate order.

        A state after t coordinates is the set of futures that complete the past to a lattice
        point: a coset of the sublattice that is zero on the first t coordinates. Reduction by
        the Hermite normal form names it uniquely, so that no two states have the same future,
        which is what minimal means (Forney and Trott, IEEE Trans. Inform. Theory 39, 1993).

        Arguments:
            generators: a basis of the lattice, or more vectors that generate it, one a row,
                shape (m, n), integers.
            unit: length of one integer step along each coordinate, shape (n,) or one for all.

        Raises:
            InputError: the generators are not integers that span n dimensions.

        Example: D4 has two states, the parity of what has been seen.
            >>> d4 = [[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1], [0, 0, 0, 2]]
            >>> Trellis.from_integer_basis(d4).states
            [1, 2, 2, 2, 1]
        """
        hermite = hermite_normal_form(generators)
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

    @functools.cached_property
    def spacing(self) -> FloatArray:
        """The largest length of which all values of each coordinate are multiples, shape (n,)."""
        return np.array([_common_divisor([*s.offset, s.step]) for s in self.sections])

    @functools.cached_property
    def _flat(self) -> Any:
        """The arrays that `ltc.lattices.trellis.kernels` works on."""
        from ltc.lattices.trellis.kernels import Flat

        stored = list({id(section): section for section in self.sections}.values())
        begin = np.cumsum([0, *(section.previous.size for section in stored)])
        first = {id(section): number for section, number in zip(stored, begin[:-1], strict=True)}
        degree = np.array([section.previous.shape[1] for section in self.sections])
        return Flat(
            previous=np.concatenate([s.previous.ravel() for s in stored]).astype(np.int32),
            coset=np.concatenate([s.coset.ravel() for s in stored]).astype(np.int32),
            first=np.array([first[id(section)] for section in self.sections]),
            degree=degree,
            states=np.array(self.states),
            cosets=np.array([len(section.offset) for section in self.sections]),
            counter=np.empty(0, np.uint16 if degree.max() <= 1 << 16 else np.uint32),
        )

    def _tensors(self, device: torch.device) -> list[tuple[Tensor, Tensor]]:
        """Return `previous` and `coset` of each section on a device."""
        if device not in self._on_device:
            made: dict[int, tuple[Tensor, Tensor]] = {}
            for section in self.sections:
                if id(section) not in made:
                    made[id(section)] = (
                        torch.as_tensor(section.previous, device=device),
                        torch.as_tensor(section.coset, device=device),
                    )
            self._on_device[device] = [made[id(section)] for section in self.sections]
        return self._on_device[device]

    def _tables(self, values: Tensor, name: str) -> Tensor:
        """Return tables, one number for each coset of each section, as (count, n, cosets)."""
        if values.shape[-2:] != (self.dimension, self.cosets):
            raise InputError(
                f"`{name}` has shape {tuple(values.shape)}; this trellis needs "
                f"(..., {self.dimension}, {self.cosets}): sections, cosets"
            )
        if values.dtype not in (torch.float32, torch.float64):
            raise InputError(f"`{name}` is {values.dtype}; expected float32 or float64")
        return values.reshape(-1, self.dimension, self.cosets)

    def closest_point(self, x: Tensor) -> Tensor:
        """Return a nearest point of the lattice to each row, by the Viterbi algorithm.

        Arguments:
            x: vectors, shape (..., n), float32 or float64.

        Returns:
            Points, same shape, dtype and device, without a gradient. Between points equally
            near, the same one is returned on every call. A coordinate so large that its type
            cannot tell neighbouring points apart is returned as it is.

        Raises:
            InputError: the shape or the type of `x` is not as above.
        """
        if x.shape[-1:] != (self.dimension,):
            raise InputError(
                f"got vectors of shape {tuple(x.shape)}; this trellis needs (..., {self.dimension})"
            )
        if x.dtype not in (torch.float32, torch.float64):
            raise InputError(f"got vectors of {x.dtype}; expected float32 or float64")
        rows = x.detach().reshape(-1, self.dimension)
        if runs_on_numba(x):
            from ltc.lattices.trellis import kernels

            points = torch.empty(rows.shape, dtype=x.dtype)
            kernels.in_parallel(
                kernels.closest_point,
                len(rows),
                GRAIN // self.branches,
                rows.contiguous().numpy(),
                points.numpy(),
                self._flat,
                self.offset,
                self.step,
            )
            return points.reshape(x.shape)
        step = torch.as_tensor(self.step, device=x.device)
        offset = torch.as_tensor(self.offset, device=x.device)
        # In steps and in double precision, whatever the type of x: what is left after rounding
        # is then as exact for a large x as for a small one.
        scaled = rows.double() / step
        whole = torch.round(scaled)
        resolved = scaled.abs() < UNRESOLVED
        rest = torch.where(resolved, scaled - whole, 0.0).to(x.dtype).unsqueeze(-1)
        rest = rest - (offset / step[:, None]).to(x.dtype)
        rounded = torch.round(rest)
        cost = ((rest - rounded) * step[:, None].to(x.dtype)).square()
        index = self.shortest_path(cost).unsqueeze(-1)
        whole = whole + rounded.gather(-1, index).squeeze(-1)
        points = whole * step + offset.expand_as(rest).gather(-1, index).squeeze(-1)
        return torch.where(resolved, points.to(x.dtype), rows).reshape(x.shape)

    def shortest_path(self, cost: Tensor) -> Tensor:
        """Return the cosets along the path of least total cost, by the Viterbi algorithm.

        Arguments:
            cost: cost of each coset in each section, shape (..., n, cosets), float32 or
                float64; what stands beyond a section's last coset is not looked at.

        Returns:
            The coset of each section on the best path, shape (..., n), int64.

        Raises:
            InputError: the shape or the type of `cost` is not as above.

        Example: pairs of integers with an even sum, where an odd first number is free.
            >>> d2 = Trellis.from_integer_basis([[1, 1], [0, 2]])
            >>> d2.shortest_path(torch.tensor([[1.0, 0.0], [0.3, 0.4]]))
            tensor([1, 1])
        """
        tables = self._tables(cost.detach(), "cost")
        shape = cost.shape[:-1]
        path = torch.empty(tables.shape[:-1], dtype=torch.int64, device=cost.device)
        if runs_on_numba(cost):
            from ltc.lattices.trellis import kernels

            kernels.in_parallel(
                kernels.shortest_path,
                len(tables),
                GRAIN // self.branches,
                tables.contiguous().numpy(),
                path.numpy(),
                self._flat,
            )
            return path.reshape(shape)
        total = tables.new_zeros(len(tables), 1)
        decisions = []
        tensors = self._tensors(cost.device)
        for t, (previous, coset) in enumerate(tensors):
            total, decision = (total[:, previous] + tables[:, t][:, coset]).min(-1)
            decisions.append(decision)
        state = total.argmin(-1)
        for t in range(self.dimension - 1, -1, -1):
            previous, coset = tensors[t]
            branch = decisions[t].gather(-1, state.unsqueeze(-1)).squeeze(-1)
            path[:, t] = coset[state, branch]
            state = previous[state, branch]
        return path.reshape(shape)

    def log_partition(self, log_mass: Tensor) -> Tensor:
        """Return the logarithm of the sum, over all points, of the product of their masses.

        A forward pass (sum-product) over the trellis. It is differentiable once: the gradient
        is the posterior probability of the cosets, which the forward-backward algorithm finds
        (Bahl, Cocke, Jelinek and Raviv, IEEE Trans. Inform. Theory 20, 1974).

        Arguments:
            log_mass: natural logarithm of the mass of each coset in each section, shape
                (..., n, cosets), float32 or float64; what stands beyond a section's last coset
                is not looked at.

        Returns:
            Log partition functions in nats, shape (...).

        Raises:
            InputError: the shape or the type of `log_mass` is not as above.

        Example: D2 modulo 2 has two paths, (0, 0) and (1, 1).
            >>> d2 = Trellis.from_integer_basis([[1, 1], [0, 2]])
            >>> float(d2.log_partition(torch.zeros(2, 2)).exp())
            2.0
        """
        if runs_on_numba(log_mass):
            return _ForwardBackward.apply(log_mass, self)  # type: ignore[no-untyped-call]
        tables = self._tables(log_mass, "log_mass")
        return self._log_partition(tables).reshape(log_mass.shape[:-2])

    def _log_partition(self, tables: Tensor) -> Tensor:
        """`log_partition` in torch, logarithms throughout: for every range and every device."""
        total = tables.new_zeros(len(tables), 1)
        for t, (previous, coset) in enumerate(self._tensors(tables.device)):
            total = torch.logsumexp(total[:, previous] + tables[:, t][:, coset], -1)
        return torch.logsumexp(total, -1)


class _ForwardBackward(torch.autograd.Function):
    """The partition function and its gradient in one go, by a compiled kernel."""

    @staticmethod
    def forward(ctx: Any, log_mass: Tensor, trellis: Trellis) -> Tensor:
        from ltc.lattices.trellis import kernels

        given = trellis._tables(log_mass, "log_mass").contiguous()
        total = given.new_empty(len(given))
        marginal = torch.empty_like(given)
        lost = np.zeros(len(given), dtype=np.bool_)
        kernels.in_parallel(
            kernels.log_partition,
            len(given),
            GRAIN // (4 * trellis.branches),
            given.numpy(),
            total.numpy(),
            marginal.numpy(),
            trellis._flat,
            lost,
        )
        if lost.any():
            # Masses so far apart that their products leave the range of float64.
            with torch.enable_grad():
                rest = given[lost].requires_grad_()
                value = trellis._log_partition(rest)
                (gradient,) = torch.autograd.grad(value.sum(), rest)
            total[lost], marginal[lost] = value.detach(), gradient
        ctx.save_for_backward(marginal.reshape(log_mass.shape))
        return total.reshape(log_mass.shape[:-2])

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (marginal,) = ctx.saved_tensors
        return gradient[..., None, None] * marginal, None


def hermite_normal_form(generators: npt.ArrayLike) -> IntArray:
    """Return the upper-triangular basis with positive diagonal of an integer lattice.

    Arguments:
        generators: vectors whose integer combinations are the lattice, one a row, shape (m, n)
            with m at least n, integers.

    Returns:
        The basis of the same lattice that is upper triangular, with every entry above a
        diagonal entry in [0, that entry), shape (n, n), int64 (Cohen, *A Course in
        Computational Algebraic Number Theory*, section 2.4).

    Raises:
        InputError: the generators are not a matrix of integers that span n dimensions.

    Example: the even integers and the pair (1, 1) generate the checkerboard lattice.
        >>> hermite_normal_form([[2, 0], [0, 2], [1, 1]]).tolist()
        [[1, 1], [0, 2]]
    """
    given = np.asarray(generators)
    if given.ndim != 2 or given.shape[0] < given.shape[1] or given.size == 0:
        raise InputError(
            f"a lattice of dimension n needs a matrix of at least n rows and n columns; this one "
            f"has shape {given.shape}"
        )
    if not np.array_equal(given, np.round(given)):
        raise InputError("the generators of an integer lattice must have integer entries")
    # Python integers: intermediate entries can outgrow 64 bits.
    rows = [[int(entry) for entry in row] for row in given]
    n = given.shape[1]
    for t in range(n):
        while True:
            nonzero = [i for i in range(t, len(rows)) if rows[i][t]]
            if not nonzero:
                raise InputError("the matrix is singular: its rows are linearly dependent")
            pivot = min(nonzero, key=lambda i: abs(rows[i][t]))
            rows[t], rows[pivot] = rows[pivot], rows[t]
            if rows[t][t] < 0:
                rows[t] = [-entry for entry in rows[t]]
            if len(nonzero) == 1:
                break
            for i in range(t + 1, len(rows)):
                q = rows[i][t] // rows[t][t]
                rows[i] = [a - q * b for a, b in zip(rows[i], rows[t], strict=True)]
        for i in range(t):
            q = rows[i][t] // rows[t][t]
            rows[i] = [a - q * b for a, b in zip(rows[i], rows[t], strict=True)]
    return np.array(rows[:n], dtype=np.int64)


def _common_divisor(lengths: Sequence[float]) -> float:
    """Return the greatest length that divides all of some lengths, by Euclid's algorithm."""
    divisor = 0.0
    for length in lengths:
        rest = abs(length)
        while rest > 1e-6:
            divisor, rest = rest, divisor % rest
    return divisor
