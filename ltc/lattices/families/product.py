"""Several lattices side by side."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ltc.errors import InputError
from ltc.lattices.base import Lattice
from ltc.lattices.trellis import Trellis

__all__ = ["Product"]


class Product(Lattice):
    """The Cartesian product of lattices: each quantizes its share of the coordinates.

    Arguments:
        parts: the lattices, first coordinates first.

    Raises:
        InputError: there are no parts.

    Example:
        >>> from ltc.lattices import E8, Zn
        >>> Product([E8(), Zn(2)]).dimension
        10
    """

    name = "product"

    def __init__(self, parts: Sequence[Lattice]) -> None:
        if not parts:
            raise InputError("a product of lattices needs at least one part")
        self.parts = tuple(parts)
        self.name = " x ".join(part.name for part in self.parts)
        self._dimensions = [part.dimension for part in self.parts]
        if moments := _known(part.second_moment for part in parts):
            self.second_moment = float(np.average(moments, weights=self._dimensions))
        if norms := _known(part.minimal_norm for part in parts):
            self.minimal_norm = min(norms)
            if kissing := _known(part.kissing_number for part in parts):
                shortest = np.isclose(norms, self.minimal_norm)
                self.kissing_number = int(np.array(kissing)[shortest].sum())
        if radii := _known(part.covering_radius for part in parts):
            self.covering_radius = math.hypot(*radii)

    @functools.cached_property
    def generator_matrix(self) -> npt.NDArray[np.float64]:
        """Basis vectors as rows, shape (n, n), of determinant 1 or -1: blocks, one a part."""
        blocks = np.zeros((sum(self._dimensions), sum(self._dimensions)))
        begin = 0
        for part, n in zip(self.parts, self._dimensions, strict=True):
            blocks[begin : begin + n, begin : begin + n] = part.generator_matrix
            begin += n
        return blocks

    @functools.cached_property
    def trellis(self) -> Trellis | None:  # type: ignore[override]
        """The parts' trellises one after another, or None if a part has none."""
        trellises = [part.trellis for part in self.parts]
        sections = [section for trellis in trellises if trellis for section in trellis.sections]
        return None if None in trellises else Trellis(sections)

    def _closest_point(self, x: Tensor) -> Tensor:
        shares = x.split(self._dimensions, dim=-1)
        points = [p._closest_point(share) for p, share in zip(self.parts, shares, strict=True)]
        return torch.cat(points, dim=-1)


def _known(facts: Iterable[float | None]) -> list[float]:
    """Return the facts if all of them are known, otherwise an empty list."""
    given = list(facts)
    known = [fact for fact in given if fact is not None]
    return known if len(known) == len(given) else []
