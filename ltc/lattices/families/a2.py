"""The hexagonal lattice."""

from ltc.lattices.base import TrellisLattice

__all__ = ["A2"]


class A2(TrellisLattice):
    """The hexagonal lattice A2, the best quantizer in the plane.

    Two cosets of the rectangular lattice with steps 1 and sqrt 3. Second moment: Fejes Toth,
    *Sur la representation d'une population infinie par un nombre fini d'elements*, 1959; the
    rest: Conway and Sloane, *Sphere Packings, Lattices and Groups*, chapter 4, section 6.2.

    Example:
        >>> import torch
        >>> A2().closest_point(torch.zeros(2))
        tensor([0., 0.])
    """

    name = "a2"
    second_moment = 5 / (36 * 3**0.5)
    minimal_norm = 2 / 3**0.5
    kissing_number = 6
    covering_radius = (2 / 3**1.5) ** 0.5

    def __init__(self) -> None:
        super().__init__([[1, 1], [0, 2]], [1, 3**0.5])
