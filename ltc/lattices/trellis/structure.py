"""What a trellis is.

Section t of a trellis has branches between states, each labelled with a coset
`offset + step * Z` of the real line. A lattice point is a path and, for each section, one point
of the coset on its branch (Forney, *Coset codes II*, IEEE Trans. Inform. Theory 34, 1988).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ltc.errors import InputError

__all__ = ["Flat", "Section", "Structure"]

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


class Flat(NamedTuple):
    """A trellis as arrays: the branches of all sections one after another.

    Section t has `states[t]` states before it; branch b into state s is number
    `first[t] + s * degree[t] + b`, leaves the state `previous[...]`, and has the coset
    `coset[...]`. Sections that are the same object are stored once.
    """

    previous: npt.NDArray[np.int32]
    coset: npt.NDArray[np.int32]
    first: npt.NDArray[np.int64]
    degree: npt.NDArray[np.int64]
    states: npt.NDArray[np.int64]
    cosets: npt.NDArray[np.int64]
    # Without elements. Its type counts the branches into a state: 16 bits wherever they suffice.
    counter: npt.NDArray[np.unsignedinteger[Any]]


class Structure:
    """The sections of a trellis, and what is read off them.

    It starts in state 0 and may end in every state of the last section.

    Arguments:
        sections: one for each coordinate. Sections that are the same object are stored once.

    Raises:
        InputError: the branches of neighbouring sections do not fit together.

    Attributes:
        sections: the sections.
        cosets: the number of cosets of the section that has most.
    """

    def __init__(self, sections: Sequence[Section]) -> None:
        if not sections:
            raise InputError("a trellis needs at least one section")
        states = 1
        found: dict[int, int] = {}
        fitting = set()
        for t, section in enumerate(sections):
            found.setdefault(id(section), len(found))
            if (id(section), states) in fitting:
                states = len(section.previous)
                continue
            fitting.add((id(section), states))
            if section.previous.shape != section.coset.shape or section.previous.ndim != 2:
                raise InputError(f"section {t}: `previous` and `coset` must be equal matrices")
            if section.previous.min() < 0 or section.previous.max() >= states:
                raise InputError(f"section {t} leaves states that section {t - 1} does not reach")
            if section.coset.min() < 0 or section.coset.max() >= len(section.offset):
                raise InputError(f"section {t} names cosets that have no offset")
            states = len(section.previous)
        self.sections = tuple(sections)
        self._kind = np.array([found[id(section)] for section in sections])
        self._kinds = [sections[t] for t in np.unique(self._kind, return_index=True)[1]]
        self.cosets = max(len(section.offset) for section in self._kinds)
        self._on_device: dict[torch.device, list[tuple[Tensor, ...]]] = {}

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
        return int(self._of_each(lambda section: section.previous.size).sum())

    @functools.cached_property
    def offset(self) -> FloatArray:
        """Offsets of the cosets of every section, shape (n, cosets); NaN where there are fewer."""
        offset = np.full((len(self._kinds), self.cosets), np.nan)
        for row, section in zip(offset, self._kinds, strict=True):
            row[: len(section.offset)] = section.offset
        return offset[self._kind]

    @functools.cached_property
    def step(self) -> FloatArray:
        """Distance between neighbours in a coset of each section, shape (n,)."""
        return self._of_each(lambda section: section.step)

    @functools.cached_property
    def spacing(self) -> FloatArray:
        """The largest length of which all values of each coordinate are multiples, shape (n,)."""
        return self._of_each(lambda section: _common_divisor([*section.offset, section.step]))

    @functools.cached_property
    def flat(self) -> Flat:
        """The branches as the compiled kernels read them."""
        begin = np.cumsum([0, *(section.previous.size for section in self._kinds)])
        degree = self._of_each(lambda section: section.previous.shape[1])
        return Flat(
            previous=np.concatenate([s.previous.ravel() for s in self._kinds]).astype(np.int32),
            coset=np.concatenate([s.coset.ravel() for s in self._kinds]).astype(np.int32),
            first=begin[self._kind],
            degree=degree,
            states=np.array(self.states),
            cosets=self._of_each(lambda section: len(section.offset)),
            counter=np.empty(0, np.uint16 if degree.max() <= 1 << 16 else np.uint32),
        )

    def _of_each(self, what: Callable[[Section], float]) -> npt.NDArray[Any]:
        """Return a number for each section, computed once for those that are the same object."""
        return np.array([what(section) for section in self._kinds])[self._kind]

    def _tensors(self, device: torch.device) -> list[tuple[Tensor, ...]]:
        """Return `previous` and `coset` of each section on a device."""
        if device not in self._on_device:
            made = [
                tuple(torch.as_tensor(a, device=device) for a in (section.previous, section.coset))
                for section in self._kinds
            ]
            self._on_device[device] = [made[kind] for kind in self._kind]
        return self._on_device[device]


def _common_divisor(lengths: Sequence[float]) -> float:
    """Return the greatest length that divides all of some lengths, by Euclid's algorithm."""
    divisor = 0.0
    for length in lengths:
        rest = abs(length)
        while rest > 1e-6:
            divisor, rest = rest, divisor % rest
    return divisor
