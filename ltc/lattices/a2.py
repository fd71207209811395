"""The hexagonal lattice."""

from __future__ import annotations

from ltc.lattices.base import TrellisLattice

__all__ = ["A2"]


class A2(TrellisLattice):
    """The hexagonal lattice A2, the best quantizer in the plane (Fejes Toth 1959).

    Two cosets of the rectangular lattice with steps 1 and sqrt 3.

    Example:
        >>> import torch
        >>> A2().closest_point(torch.zeros(2))
        tensor([0., 0.])
    """

    name = "a2"
    second_moment = 5 / (36 * 3**0.5)

    def __init__(self) -> None:
        super().__init__([[1, 1], [0, 2]], [1, 3**0.5])
