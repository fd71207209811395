"""A trellis as flat arrays, for compiled loops to walk along."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ltc.lattices import Section

__all__ = ["Graph"]

Array = npt.NDArray[Any]


class Graph:
    """Sections of a trellis as flat arrays, with branches grouped by the state that they leave.

    Sections that are the same object are stored once, as a kind. The branches that leave state
    s of a section of kind k are `start[node[k] + s]` to `start[node[k] + s + 1]`.

    Arguments:
        sections: of a whole trellis, or the one that repeats without end.
        states: number of states before the first: 1 of a whole trellis. With more, a path goes on
            from vector to vector, in the state in which it is.

    Attributes:
        kind: the kind of each section, shape (n,).
        node: first state of each kind, shape (kinds + 1,).
        start: first branch of each state, shape (states of all kinds + 1,).
        target: the state after that each branch leads to, shape (branches,).
        coset: the coset on each branch, shape (branches,), counted within its kind.
        first_coset: first coset of each kind, shape (kinds + 1,).
        offset, step: where each coset of each kind lies.
        tolerance: half the distance to the nearest other coset, likewise.
    """

    def __init__(self, sections: Sequence[Section], states: int = 1) -> None:
        found: dict[int, int] = {}
        self.kind = np.array([found.setdefault(id(s), len(found)) for s in sections])
        before = [states, *(len(section.previous) for section in sections)]
        target, coset, degree, node, first_coset = [], [], [], [0], [0]
        offset: list[float] = []
        step: list[float] = []
        tolerance: list[float] = []
        for t in np.unique(self.kind, return_index=True)[1]:
            section = sections[t]
            after = len(section.previous)
            leave = section.previous.reshape(-1)
            order = np.argsort(leave, kind="stable")
            target.append(np.repeat(np.arange(after), section.previous.shape[1])[order])
            coset.append(section.coset.reshape(-1)[order])
            degree.append(np.bincount(leave, minlength=before[t]))
            ring = np.sort(np.mod(section.offset, section.step))
            spacing = np.diff(np.append(ring, ring[0] + section.step)).min()
            offset.extend(section.offset)
            step.extend([section.step] * len(section.offset))
            tolerance.extend([spacing / 2] * len(section.offset))
            node.append(node[-1] + before[t])
            first_coset.append(len(offset))
        self.sections = len(sections)
        self.states = states
        self.final_states = before[-1]
        self.target = np.concatenate(target).astype(np.int64)
        self.coset = np.concatenate(coset).astype(np.int64)
        self.start = np.concatenate([[0], np.cumsum(np.concatenate(degree))]).astype(np.int64)
        self.node = np.array(node)
        self.first_coset = np.array(first_coset)
        self.offset = np.array(offset)
        self.step = np.array(step)
        self.tolerance = np.array(tolerance)

    @property
    def arrays(self) -> tuple[Array, ...]:
        """The arrays that the kernels walk along."""
        return (
            self.kind, self.node, self.start, self.target, self.coset,
            self.first_coset, self.offset, self.step, self.tolerance,
        )  # fmt: skip

    @property
    def branches(self) -> Array:
        """Number of branches of each section, shape (n,)."""
        return np.diff(self.start[self.node])[self.kind]

    @property
    def cosets(self) -> Array:
        """Number of cosets of each section, shape (n,)."""
        return np.diff(self.first_coset)[self.kind]

    def ranges(self, kind: int) -> Array:
        """Return where the branches of each state of a kind start, and the end; from 0."""
        start = self.start[self.node[kind] : self.node[kind + 1] + 1]
        return start - start[0]

    def of_kind(self, kind: int) -> tuple[Array, Array]:
        """Return target and coset of the branches of a kind."""
        branches = slice(self.start[self.node[kind]], self.start[self.node[kind + 1]])
        return self.target[branches], self.coset[branches]

    def branch_probabilities(
        self, mass: Array, same: Array, completion: Array
    ) -> tuple[list[tuple[int, Array]], Array]:
        """Return p(branch | state): the distinct tables, and which of them each section uses.

        Arguments:
            mass: log mass of each coset, shape (n, cosets).
            same: sections with equal numbers have the same masses, shape (n,).
            completion: log mass of all that may follow each final state, shape (final states,).
        """
        tables: list[tuple[int, Array]] = []
        used = np.empty(self.sections, dtype=np.int64)
        known: dict[tuple[int, int], tuple[Array, Array, int]] = {}
        for t in range(self.sections - 1, -1, -1):
            kind = int(self.kind[t])
            key = (kind, int(same[t]))
            if key in known and np.abs(completion - known[key][0]).max() < 1e-12:
                _, completion, used[t] = known[key]
                continue
            target, coset = self.of_kind(kind)
            ranges = self.ranges(kind)
            weight = mass[t, coset] + completion[target]
            total = np.logaddexp.reduceat(weight, ranges[:-1])
            probability = np.exp(weight - np.repeat(total, np.diff(ranges)))
            used[t] = len(tables)
            tables.append((kind, probability))
            total -= total.max()
            known[key] = completion, total, int(used[t])
            completion = total
        return tables, used
