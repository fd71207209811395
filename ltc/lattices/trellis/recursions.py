"""What is computed on a trellis, by recursions over its sections.

On the CPU kernels compiled by numba compute. Those are imported when the first is called: a
command that computes nothing starts without numba.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ltc.errors import InputError
from ltc.lattices.backend import UNRESOLVED, in_parallel, runs_on_numba
from ltc.lattices.trellis.minimal import minimal_sections
from ltc.lattices.trellis.structure import Structure

__all__ = ["Trellis"]

# Branches, times items, that are worth a thread: about 0.1 ms of work.
GRAIN = 1_000_000


class Trellis(Structure):
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

    @classmethod
    def from_integer_basis(
        cls, generators: npt.ArrayLike, unit: npt.ArrayLike | float = 1.0
    ) -> Trellis:
        """Return the minimal trellis of an integer lattice in the given coordinate order.

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
        return cls(minimal_sections(generators, unit))

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
            in_parallel(
                kernels.closest_point,
                len(rows),
                GRAIN // self.branches,
                rows.contiguous().numpy(),
                points.numpy(),
                self.flat,
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

            in_parallel(
                kernels.shortest_path,
                len(tables),
                GRAIN // self.branches,
                tables.contiguous().numpy(),
                path.numpy(),
                self.flat,
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
        in_parallel(
            kernels.log_partition,
            len(given),
            GRAIN // (4 * trellis.branches),
            given.numpy(),
            total.numpy(),
            marginal.numpy(),
            trellis.flat,
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
