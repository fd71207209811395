"""What a trellis is.

Section t of a trellis has branches between states, each labelled with a coset
`offset + step * Z` of the real line. A lattice point is a path and, for each section, one point
of the coset on its branch (Forney, *Coset codes II*, IEEE Trans. Inform. Theory 34, 1988).
"""

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


class Structure:
    """The sections of a trellis, and what is read off them; arguments and errors as of `Trellis`.

    Attributes:
        dimension: number of coordinates, n.
        cosets: the number of cosets of the section that has most.
        repeats: the section that goes on for ever, or None.
    """

    def __init__(self, sections: Sequence[Section], length: int | None = None) -> None:
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
        self.dimension = len(sections) if length is None else length
        self.repeats = None if length is None else _repeating(sections)
        self._given = tuple(sections[: self.dimension])
        self._given_kind = np.array([found[id(section)] for section in self._given])
        self._kinds = [sections[t] for t in np.unique(self._given_kind, return_index=True)[1]]
        self.cosets = max(len(section.offset) for section in self._kinds)
        self._on_device: dict[torch.device, list[tuple[Tensor, ...]]] = {}

    @functools.cached_property
    def _kind(self) -> IntArray:
        """The kind of each section, shape (n,)."""
        return np.pad(self._given_kind, (0, self.dimension - len(self._given)), mode="edge")

    @functools.cached_property
    def sections(self) -> tuple[Section, ...]:
        """The sections, one for each coordinate."""
        return self._given + (self.dimension - len(self._given)) * self._given[-1:]

    @functools.cached_property
    def states(self) -> list[int]:
        """Number of states before each section and after the last, n + 1 numbers."""
        return [1, *(len(section.previous) for section in self.sections)]

    @property
    def branches(self) -> int:
        """Number of branches in all sections."""
        sizes = [section.previous.size for section in self._given]
        return sum(sizes) + (self.dimension - len(sizes)) * sizes[-1]

    @functools.cached_property
    def offset(self) -> FloatArray:
        """Offsets of the cosets of every section, shape (n, cosets); NaN where there are fewer."""
        if self.repeats is not None:
            return _repeated(self.repeats.offset, self.dimension)
        return self._offset_of_kinds()[self._kind]

    def _offset_of_kinds(self) -> FloatArray:
        """Return the offsets of each kind of section, shape (kinds, cosets), padded with NaN."""
        offset = np.full((len(self._kinds), self.cosets), np.nan)
        for row, section in zip(offset, self._kinds, strict=True):
            row[: len(section.offset)] = section.offset
        return offset

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
        return _flat(self._kinds, self._kind, before=1)

    def flat_steady(self, length: int) -> Flat:
        """Return so many of the section that repeats, as the compiled kernels read them."""
        assert self.repeats is not None
        kind = np.zeros(length, dtype=np.int64)
        return _flat([self.repeats], kind, before=len(self.repeats.previous))

    @functools.cached_property
    def following(self) -> npt.NDArray[np.int32]:
        """The state after a state and a coset in each kind of section; -1 where there is none.

        Shape (kinds, states, cosets).

        Raises:
            InputError: a state is left by two branches of the same coset.
        """
        most = max(int(s.previous.max()) + 1 for s in self._kinds)
        following = np.full((len(self._kinds), most, self.cosets), -1, dtype=np.int32)
        for table, section in zip(following, self._kinds, strict=True):
            after = np.arange(len(section.previous), dtype=np.int32)[:, None]
            table[section.previous, section.coset] = after
            if (table >= 0).sum() < section.previous.size:
                raise InputError("two branches from a state have the same coset")
        return following

    def _of_each(self, what: Callable[[Section], float]) -> npt.NDArray[Any]:
        """Return a number for each section, computed once for those that are the same object."""
        if self.repeats is not None:
            return _repeated(np.array(what(self.repeats)), self.dimension)
        return np.array([what(section) for section in self._kinds])[self._kind]

    def _tensors(self, device: torch.device) -> list[tuple[Tensor, ...]]:
        """Return `previous` and `coset` of each kind of section on a device."""
        if device not in self._on_device:
            self._on_device[device] = [
                tuple(torch.as_tensor(a, device=device) for a in (section.previous, section.coset))
                for section in self._kinds
            ]
        return self._on_device[device]


def _repeated(values: npt.NDArray[Any], length: int) -> npt.NDArray[Any]:
    """Return an array so many times, shape (length, ...), which takes no more memory.

    As `np.broadcast_to`, but torch warns of arrays that cannot be written to.
    """
    return np.lib.stride_tricks.as_strided(values, (length, *values.shape), (0, *values.strides))


def _repeating(sections: Sequence[Section]) -> Section:
    """Return the last section if it repeats and the others are its beginning."""
    last = sections[-1]
    before = 1
    for section in sections:
        possible = last.previous < before
        before = len(section.previous)
        if not (
            np.array_equal(last.previous[possible], section.previous.ravel())
            and np.array_equal(last.coset[possible], section.coset.ravel())
            and not possible[before:].any()
            and last.previous.max() < len(last.previous)
            and np.array_equal(last.offset, section.offset)
            and last.step == section.step
        ):
            raise InputError(
                "the last section cannot repeat: it leaves states that it does not reach, or the "
                "others are not the beginning of a path along it"
            )
    return last


def _flat(kinds: Sequence[Section], kind: IntArray, before: int) -> Flat:
    """Return sections of these kinds, `before` states before the first."""
    begin = np.cumsum([0, *(section.previous.size for section in kinds)])
    after = np.array([len(section.previous) for section in kinds])
    return Flat(
        previous=np.concatenate([s.previous.ravel() for s in kinds]).astype(np.int32),
        coset=np.concatenate([s.coset.ravel() for s in kinds]).astype(np.int32),
        first=begin[kind],
        degree=np.array([s.previous.shape[1] for s in kinds])[kind],
        states=np.append(before, after[kind]),
        cosets=np.array([len(section.offset) for section in kinds])[kind],
    )


def _common_divisor(lengths: Sequence[float]) -> float:
    """Return the greatest length that divides all of some lengths, by Euclid's algorithm."""
    divisor = 0.0
    for length in lengths:
        rest = abs(length)
        while rest > 1e-6:
            divisor, rest = rest, divisor % rest
    return divisor
