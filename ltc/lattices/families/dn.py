"""The checkerboard lattices and their duals."""

import math

import numpy as np
import numpy.typing as npt

from ltc.checks import integer
from ltc.lattices.base import TrellisLattice

__all__ = ["D10Plus", "Dn", "DnDual", "checkerboard"]


def checkerboard(dimension: int) -> npt.NDArray[np.int64]:
    """Return a basis of the integer vectors with an even sum, shape (n, n).

    Example:
        >>> checkerboard(2).tolist()
        [[1, 1], [0, 2]]
    """
    basis = np.eye(dimension, dtype=np.int64) + np.eye(dimension, k=1, dtype=np.int64)
    basis[-1, -1] = 2
    return basis


class Dn(TrellisLattice):
    """The checkerboard lattice D_n: integer vectors with an even sum.

    Facts: Conway and Sloane, *Sphere Packings, Lattices and Groups*, chapter 4, section 7.1;
    second moment: chapter 21, theorem 6.

    Arguments:
        dimension: n, at least 2.

    Raises:
        InputError: `dimension` is not an integer of at least 2.

    Example:
        >>> Dn(4).trellis.states, Dn(4).kissing_number
        ([1, 2, 2, 2, 1], 24)
    """

    def __init__(self, dimension: int = 4) -> None:
        n = integer("quantizer.dimension", dimension, 2)
        self.name = f"d{n}"
        super().__init__(checkerboard(n))
        volume = 2.0
        self.second_moment = (1 / 12 + 1 / (2 * n * (n + 1))) / volume ** (2 / n)
        self.minimal_norm = 2 / volume ** (2 / n)
        self.kissing_number = 2 * n * (n - 1)
        self.covering_radius = max(1, n / 4) ** 0.5 / volume ** (1 / n)


class DnDual(TrellisLattice):
    """The dual lattice D_n*: integer vectors, and integer vectors plus (1/2, ..., 1/2).

    D_3* is the body-centred cubic lattice; D_4* is a rotated D_4. Facts: Conway and Sloane,
    *Sphere Packings, Lattices and Groups*, chapter 4, section 7.4.

    The second moment follows from the mean of a sum of uniform variables: with a the distances
    of the coordinates from the integers, uniform on [0, 1/2], the nearer of the two cosets is
    at the squared distance `sum a^2 - max(0, sum a - n/4)`.

    Arguments:
        dimension: n, at least 2.

    Raises:
        InputError: `dimension` is not an integer of at least 2.

    Example:
        >>> round(DnDual(5).second_moment, 9)
        0.075625443
    """

    def __init__(self, dimension: int = 4) -> None:
        n = integer("quantizer.dimension", dimension, 2)
        self.name = f"d{n}_dual"
        basis = 2 * np.eye(n, dtype=np.int64)
        basis[0] = 1
        super().__init__(basis)
        volume = 0.5
        # E max(0, s - n/2) of a sum s of n variables uniform on [0, 1] (Irwin, Hall 1927).
        terms = ((-1) ** k * math.comb(n, k) * (n - 2 * k) ** (n + 1) for k in range(n // 2 + 1))
        excess = sum(terms) / (2 ** (n + 1) * math.factorial(n + 1))
        self.second_moment = (1 / 12 - excess / (2 * n)) / volume ** (2 / n)
        self.minimal_norm = min(1, n / 4) / volume ** (2 / n)
        self.kissing_number = {2: 4, 3: 8, 4: 24}.get(n, 2 * n)
        self.covering_radius = (2 * n - n % 2) ** 0.5 / 4 / volume ** (1 / n)


class D10Plus(TrellisLattice):
    """The lattice D10+: D10, and D10 plus (1/2, ..., 1/2).

    The best known quantizer in ten dimensions; in eight that is E8. Facts: Conway and Sloane,
    *Sphere Packings, Lattices and Groups*, chapter 4, section 7.3; second moment: Agrell and
    Allen, *On the best lattice quantizers*, IEEE Trans. Inform. Theory 69, 2023.

    Example:
        >>> D10Plus().trellis.branches
        72
    """

    name = "d10_plus"
    second_moment = 0.0708138189
    minimal_norm = 2.0
    kissing_number = 180

    def __init__(self) -> None:
        super().__init__(np.vstack([2 * checkerboard(10), np.ones((1, 10), dtype=np.int64)]))
