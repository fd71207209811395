"""What is computed on a trellis, by recursions over its sections.

On the CPU kernels compiled by numba compute. Those are imported when the first is called: a
command that computes nothing starts without numba.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ltc.errors import InputError
from ltc.lattices.backend import UNRESOLVED, in_parallel, runs_on_numba
from ltc.lattices.trellis import in_torch
from ltc.lattices.trellis.minimal import minimal_sections
from ltc.lattices.trellis.pieces import by_pieces, is_cut, whole_rows
from ltc.lattices.trellis.structure import FloatArray, IntArray, Structure

__all__ = ["Trellis"]

# Branches, times items, that are worth a thread: about 0.1 ms of work.
GRAIN = 1_000_000
# Decisions of the Viterbi algorithm in torch that are kept at a time, one byte each.
MOST_DECISIONS = 1 << 28
# Of memory for the masses of states of all threads; one may take more.
MOST_BYTES = 1 << 31
# Of masses that a cache holds.
CACHED_BYTES = 1 << 24


class Trellis(Structure):
    """A lattice, or a union of cosets, described section by section.

    It starts in state 0 and may end in every state of the last section.

    Arguments:
        sections: one for each coordinate. Sections that are the same object are stored once.
        length: number of coordinates, n, if the last section repeats. Such a path may have
            millions of coordinates: it is cut into pieces, and its squared error or cost is
            greater than the least by less than a millionth (`ltc.lattices.trellis.pieces`).

    Raises:
        InputError: the branches of neighbouring sections do not fit together, or the sections
            before the last are not what it offers to paths that start in state 0.

    Example: the checkerboard lattice D2, pairs of integers with an even sum.
        >>> Trellis.from_integer_basis([[1, 1], [0, 2]]).closest_point(torch.tensor([0.9, 0.3]))
        tensor([1., 1.])
    """

    @classmethod
    def from_integer_basis(
        cls, generators: npt.ArrayLike, unit: npt.ArrayLike | float = 1.0
    ) -> Self:
        """Return the minimal trellis of an integer lattice, arguments as of `minimal_sections`.

        Example: D4 has two states, the parity of what has been seen.
            >>> d4 = [[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1], [0, 0, 0, 2]]
            >>> Trellis.from_integer_basis(d4).states
            [1, 2, 2, 2, 1]
        """
        return cls(minimal_sections(generators, unit))

    def _rows(self, values: Tensor, name: str, *cosets: int) -> Tensor:
        """Return vectors as (count, n); or tables, a number for each coset, (count, n, cosets)."""
        shape = self.dimension, *cosets
        if values.shape[-len(shape) :] != shape:
            raise InputError(
                f"got {name} of shape {tuple(values.shape)}; this trellis needs (..., "
                f"{', '.join(map(str, shape))})" + (": sections, cosets" if cosets else "")
            )
        if values.dtype not in (torch.float32, torch.float64):
            raise InputError(f"got {name} of {values.dtype}; expected float32 or float64")
        return values.reshape(-1, *shape)

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
        rows = self._rows(x.detach(), "vectors")
        if runs_on_numba(x):
            points = torch.empty(rows.shape, dtype=x.dtype)
            self._compiled(rows.unsqueeze(-1), points, self.offset, self.step)
            return points.reshape(x.shape)
        scaled, whole, rest, offset, step = self._in_steps(rows)
        rounded = torch.round(rest)
        cost = ((rest - rounded) * step[:, None].to(x.dtype)).square()
        index = self.shortest_path(cost).unsqueeze(-1)
        whole = whole + rounded.gather(-1, index).squeeze(-1)
        points = whole * step + offset.expand_as(rest).gather(-1, index).squeeze(-1)
        resolved = scaled.abs() < UNRESOLVED
        return torch.where(resolved, points.to(x.dtype), rows).reshape(x.shape)

    def _in_steps(self, rows: Tensor) -> tuple[Tensor, ...]:
        """Return vectors in steps, rounded, what is left to the cosets, offsets and steps.

        In double precision, whatever the type of the vectors: what is left after rounding is then
        as exact for a large vector as for a small one.
        """
        step = torch.tensor(self.step, device=rows.device)
        offset = torch.tensor(self.offset, device=rows.device)
        scaled = rows.double() / step
        whole = torch.round(scaled)
        rest = torch.where(scaled.abs() < UNRESOLVED, scaled - whole, 0.0).to(rows.dtype)
        rest = rest.unsqueeze(-1) - (offset / step[:, None]).to(rows.dtype)
        return scaled, whole, rest, offset, step

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
        tables = self._rows(cost.detach(), "cost", self.cosets)
        shape = cost.shape[:-1]
        path = torch.empty(tables.shape[:-1], dtype=torch.int64, device=cost.device)
        if runs_on_numba(cost):
            self._compiled(tables, path, np.empty((0, 0)), np.empty(0))
        else:
            branches = self._tensors(cost.device)
            self._in_torch(functools.partial(in_torch.shortest_path, tables, path, branches), path)
        return path.reshape(shape)

    @property
    def _is_cut(self) -> bool:
        """Whether a path is so long that it is decoded in pieces."""
        return self.repeats is not None and is_cut(self.dimension)

    @property
    def _most_states(self) -> int:
        return max(len(section.previous) for section in self._kinds)

    def _compiled(
        self, given: Tensor, result: Tensor, offset: FloatArray, step: FloatArray
    ) -> None:
        """Fill `result`, (rows, n), by the compiled kernel, which see."""
        from ltc.lattices.trellis import viterbi

        x, y = given.contiguous().numpy(), result.numpy()

        def decode(items: IntArray, ends: IntArray, length: int, middle: bool) -> IntArray:
            flat = self.flat_steady(length) if self._is_cut else self.flat
            joint = np.empty(len(items) if middle else 0, dtype=np.int64)
            geometry = offset[:length].copy(), step[:length].copy()
            grain = GRAIN // int((flat.degree * flat.states[1:]).sum())
            count = len(items) or len(y)
            in_parallel(viterbi.decode, count, grain, x, items, ends, y, joint, flat, *geometry)
            return joint

        if self._is_cut:
            by_pieces(decode, len(y), self.dimension, self._most_states)
        else:  # short rows by the million: a list of them all would cost as much as they do
            nothing = np.empty((0, 3), dtype=np.int64)
            decode(nothing, nothing, self.dimension, False)

    def _in_torch(self, function: Callable[..., Tensor], result: Tensor) -> None:
        """Fill `result`, (rows, n), by a function that decodes items."""

        def decode(items: IntArray, ends: IntArray, length: int, middle: bool) -> IntArray:
            kinds = np.full(length, self._given_kind[-1]) if self._is_cut else self._kind
            # So many that their decisions do not fill the memory.
            together = max(1, MOST_DECISIONS // (length * self._most_states))
            joint = [
                function(items[i : i + together], ends[i : i + together], kinds, middle)
                for i in range(0, len(items), together)
            ]
            return torch.cat(joint).cpu().numpy() if middle else np.empty(0, dtype=np.int64)

        if self._is_cut:
            by_pieces(decode, len(result), self.dimension, self._most_states)
        else:
            decode(*whole_rows(len(result), self.dimension), self.dimension, False)

    def states_after(self, points: Tensor) -> Tensor:
        """Return the state after each coordinate of points of the lattice.

        Arguments:
            points: shape (..., n), float32 or float64. Of other vectors, the nearest coset of each
                coordinate counts.

        Returns:
            States, shape (..., n), int64, on the same device.

        Raises:
            InputError: the shape or the type is not as above, the vectors are no points, or two
                branches from a state have the same coset.

        Example: in D2 the state is the parity of what has been seen.
            >>> d2 = Trellis.from_integer_basis([[1, 1], [0, 2]])
            >>> d2.states_after(torch.tensor([[3.0, 1.0], [2.0, 4.0]]))
            tensor([[1, 0],
                    [0, 0]])
        """
        rows = self._rows(points.detach(), "vectors")
        if runs_on_numba(points):
            from ltc.lattices.trellis import viterbi

            states = torch.empty(rows.shape, dtype=torch.int64)
            offset, step = self._offset_of_kinds(), np.array([s.step for s in self._kinds])
            given = (rows.contiguous().numpy(), states.numpy(), self._given_kind)
            grain = GRAIN // (10 * self.dimension)
            in_parallel(
                viterbi.states_after, len(rows), grain, *given, self.following, offset, step
            )
        else:
            rest = self._in_steps(rows)[2]
            cost = (rest - torch.round(rest)).square().nan_to_num(math.inf)
            states = torch.empty(rows.shape, dtype=torch.int64, device=rows.device)
            following = torch.as_tensor(self.following, device=rows.device).long()
            branches = self._tensors(rows.device)
            self._in_torch(
                functools.partial(in_torch.states_after, cost, states, branches, following), states
            )
        if (states < 0).any():
            raise InputError("the vectors are no points of this trellis; quantize them first")
        return states.reshape(points.shape)

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
        tables = self._rows(log_mass, "log_mass", self.cosets)
        return self._log_partition(tables).reshape(log_mass.shape[:-2])

    def _log_partition(self, tables: Tensor) -> Tensor:
        """`log_partition` in torch, logarithms throughout: for every range and every device."""
        total = tables.new_zeros(len(tables), 1)
        branches = self._tensors(tables.device)
        for t, kind in enumerate(self._kind):
            previous, coset = branches[kind]
            total = torch.logsumexp(total[:, previous] + tables[:, t][:, coset], -1)
        return torch.logsumexp(total, -1)


class _ForwardBackward(torch.autograd.Function):
    """The partition function and its gradient in one go, by a compiled kernel."""

    @staticmethod
    def forward(ctx: Any, log_mass: Tensor, trellis: Trellis) -> Tensor:
        from ltc.lattices.trellis import forward_backward, simd

        # One type, so that one kernel is compiled.
        given = trellis._rows(log_mass, "log_mass", trellis.cosets).double().contiguous()
        total = given.new_empty(len(given))
        marginal = torch.empty_like(given)
        lost = np.zeros(len(given), dtype=np.bool_)
        # To compute masses again is faster than to wait for those that no cache holds.
        sections = n = len(trellis.states) - 1
        if simd.BYTES * n * max(trellis.states) > CACHED_BYTES:
            sections = math.isqrt(n)
        # Tables that the kernel takes side by side: fewer are not worth a thread's own states.
        together = simd.BYTES // given.element_size()
        threads = max(1, MOST_BYTES // (2 * simd.BYTES * sections * max(trellis.states)))
        in_parallel(
            forward_backward.log_partition,
            len(given),
            max(GRAIN // (4 * trellis.branches), together, -(-len(given) // threads)),
            given.numpy(),
            total.numpy(),
            marginal.numpy(),
            trellis.flat,
            lost,
            sections,
        )
        if lost.any():
            # Masses so far apart that their products leave the range of float64.
            with torch.enable_grad():
                rest = given[lost].to(log_mass.dtype).requires_grad_()
                value = trellis._log_partition(rest)
                (gradient,) = torch.autograd.grad(value.sum(), rest)
            total[lost], marginal[lost] = value.detach().double(), gradient.double()
        ctx.save_for_backward(marginal.reshape(log_mass.shape).to(log_mass.dtype))
        return total.reshape(log_mass.shape[:-2]).to(log_mass.dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (marginal,) = ctx.saved_tensors
        return gradient[..., None, None] * marginal, None
