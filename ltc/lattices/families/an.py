"""The root lattices A_n and their duals, and the hexagonal lattice.

They lie in the hyperplane of the n + 1 coordinates that sum to zero. A point is handed over in n
coordinates, along the orthogonal vectors h_k = (1, ..., 1, -k, 0, ..., 0), k = 1, ..., n, with k
ones: the inner product of a lattice point with h_k is an integer, so that these lattices too are
integer lattices with a unit of length for each coordinate, and have a trellis. It has t + 1
states after t coordinates. In many dimensions they are decoded by sorting.
"""

import math
from abc import abstractmethod

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ltc.checks import integer
from ltc.lattices.backend import UNRESOLVED
from ltc.lattices.base import TrellisLattice

__all__ = ["A2", "A11Coxeter", "An", "AnDual", "glue", "roots"]

# The trellis has n^3 / 3 branches. From here on sorting is faster (measured; at 8 dimensions the
# trellis is five times faster).
SORTED_DIMENSIONS = 16


def roots(dimension: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return the roots e_i - e_(i+1), a basis of A_n: integers (n, n), and their lengths (n,).

    Example:
        >>> roots(2)[0].tolist()
        [[2, 0], [-1, 3]]
    """
    k = np.arange(1, dimension + 1)
    return np.diag(k + 1) - np.diag(k[:-1], -1), 1 / np.sqrt(k * (k + 1))


def glue(dimension: int, count: int) -> npt.NDArray[np.int64]:
    """Return the projection of e_0 + ... + e_(count-1), a point of A_n*, in the same lengths.

    Example: glued to A_2, one makes it A_2*.
        >>> glue(2, 1).tolist()
        [1, 1]
    """
    k = np.arange(1, dimension + 1)
    return np.where(k < count, 0, count)


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


class _Hyperplane(TrellisLattice):
    """What A_n and A_n* share: the hyperplane."""

    def _closest_point(self, x: Tensor) -> Tensor:
        if self.dimension < SORTED_DIMENSIONS:
            return super()._closest_point(x)
        k = torch.arange(1, self.dimension + 1, device=x.device)
        unit = torch.as_tensor(self._lengths, device=x.device)
        # In double precision, so that a large x is rounded as well as a small one; by running
        # sums, each row for itself, so that ties do not depend on the other rows.
        along = x.double() / (k * (k + 1) * unit)
        none = torch.zeros_like(along[..., :1])
        later = torch.cat([along.flip(-1).cumsum(-1).flip(-1), none], -1)
        whole = self._closest_in_hyperplane(later - torch.cat([none, k * along], -1))
        # The inner products with h_k, which are integers.
        points = (whole.cumsum(-1)[..., :-1] - k * whole[..., 1:]) * unit
        return torch.where(along.abs() < UNRESOLVED, points, x).to(x.dtype)

    @abstractmethod
    def _closest_in_hyperplane(self, y: Tensor) -> Tensor:
        """Return integers whose projections to the hyperplane are nearest, (..., n + 1)."""


class An(_Hyperplane):
    """The root lattice A_n: n + 1 integers that sum to zero.

    A_2 is the hexagonal, A_3 the face-centred cubic lattice. Sorting: Conway and Sloane, *Fast
    quantizing and decoding algorithms for lattice quantizers and codes*, IEEE Trans. Inform.
    Theory 28, 1982. Facts: Conway and Sloane, *Sphere Packings, Lattices and Groups*, chapter 4,
    section 6.1; second moment: chapter 21, theorem 5.

    Arguments:
        dimension: n.

    Raises:
        InputError: `dimension` is not a positive integer.

    Example:
        >>> An(3).trellis.states, An(3).kissing_number
        ([1, 2, 3, 1], 12)
    """

    def __init__(self, dimension: int = 2) -> None:
        n = integer("quantizer.dimension", dimension)
        self.name = f"a{n}"
        super().__init__(*roots(n))
        volume = (n + 1) ** 0.5
        half = (n + 1) // 2
        self.second_moment = (1 / 12 + 1 / (6 * (n + 1))) / volume ** (2 / n)
        self.minimal_norm = 2 / volume ** (2 / n)
        self.kissing_number = n * (n + 1)
        self.covering_radius = (half * (n + 1 - half) / (n + 1)) ** 0.5 / volume ** (1 / n)

    def _closest_in_hyperplane(self, y: Tensor) -> Tensor:
        whole = torch.round(y)
        excess = whole.sum(-1, keepdim=True)
        rank = (y - whole).argsort(dim=-1, stable=True).argsort(-1)
        # Lower those that were rounded up most, or raise those that were rounded down most.
        lower = (rank < excess).to(y.dtype)
        raised = (rank >= y.shape[-1] + excess).to(y.dtype)
        return whole - lower + raised


class AnDual(_Hyperplane):
    """The dual lattice A_n*: Z^(n+1) projected along (1, ..., 1).

    A_3* is the body-centred cubic lattice. Sorting: McKilliam, Clarkson and Quinn, *An algorithm
    to compute the nearest point in the lattice A_n**, IEEE Trans. Inform. Theory 54, 2008.
    Facts: Conway and Sloane, *Sphere Packings, Lattices and Groups*, chapter 4, section 6.6; the
    second moment is that of the permutohedron, from its facets (chapter 21, section 2).

    Arguments:
        dimension: n.

    Raises:
        InputError: `dimension` is not a positive integer.

    Example:
        >>> round(AnDual(3).second_moment, 9)
        0.078543281
    """

    def __init__(self, dimension: int = 2) -> None:
        n = integer("quantizer.dimension", dimension)
        self.name = f"a{n}_dual"
        # The projections of e_0, ..., e_(n-1).
        k = np.arange(1, n + 1)
        basis = np.triu(np.ones((n, n), dtype=np.int64)) - np.diag(k[:-1], -1)
        super().__init__(basis, 1 / np.sqrt(k * (k + 1)))
        volume = (n + 1) ** -0.5
        self.second_moment = _permutohedron_moment(n)
        self.minimal_norm = n / (n + 1) / volume ** (2 / n)
        self.kissing_number = 2 * (n + 1) if n > 1 else 2
        self.covering_radius = (n * (n + 2) / (12 * (n + 1))) ** 0.5 / volume ** (1 / n)

    def _closest_in_hyperplane(self, y: Tensor) -> Tensor:
        # The nearest point is the projection of one of n + 1 integer vectors: `whole`, and
        # `whole` with the largest 1, 2, ..., n rests raised. Against one less, m raised ones
        # change the squared norm of the rest by m - 2 (their sum) and its sum by -m.
        whole = torch.round(y)
        rest = y - whole
        ordered, index = rest.sort(dim=-1, descending=True, stable=True)
        count = torch.arange(y.shape[-1], device=y.device, dtype=y.dtype)
        raised = ordered.cumsum(-1) - ordered
        total = rest.sum(-1, keepdim=True)
        cost = count - 2 * raised - (total - count).square() / y.shape[-1]
        best = cost.argmin(-1, keepdim=True)
        rank = torch.empty_like(index).scatter_(-1, index, count.long().expand_as(index))
        return whole + (rank < best).to(y.dtype)


class A11Coxeter(TrellisLattice):
    """Coxeter's lattice A11^3: A_11 and its cosets along the glue vectors [4] and [8].

    The best known quantizer in eleven dimensions. Coxeter, *Extreme forms*, Canad. J. Math. 3,
    1951; second moment: Agrell and Allen, *On the best lattice quantizers*, IEEE Trans. Inform.
    Theory 69, 2023.

    Example:
        >>> max(A11Coxeter().trellis.states)
        11
    """

    name = "a11_coxeter"
    second_moment = 0.070426259
    minimal_norm = 2 * (9 / 12) ** (1 / 11)
    kissing_number = 132

    def __init__(self) -> None:
        basis, lengths = roots(11)
        super().__init__(np.vstack([basis, glue(11, 4)]), lengths)


def _permutohedron_moment(dimension: int) -> float:
    """Return the normalized second moment of the permutohedron, the Voronoi cell of A_n*.

    A facet at height h of a polytope adds h / n times its volume to the volume, and h / (n + 2)
    times its second moment about the centre to the second moment. The permutohedron of the
    permutations of 0, ..., n has binomial(n + 1, k) facets, products of those of k and of
    n + 1 - k numbers, at the squared height k (n + 1 - k) (n + 1) / 4.
    """
    log_volume = [0.0]
    # Second moment over volume and squared length.
    moment = [0.0]
    for n in range(1, dimension + 1):
        volumes, moments = [], []
        for k in range(1, n + 1):
            height = (k * (n + 1 - k) * (n + 1)) ** 0.5 / 2
            log_facets = math.log(math.comb(n + 1, k)) + log_volume[k - 1] + log_volume[n - k]
            volumes.append(log_facets + math.log(height / n))
            moments.append((moment[k - 1] + moment[n - k] + height**2) * n / (n + 2))
        greatest = max(volumes)
        shares = [math.exp(volume - greatest) for volume in volumes]
        log_volume.append(greatest + math.log(sum(shares)))
        moment.append(sum(s * m for s, m in zip(shares, moments, strict=True)) / sum(shares))
    n = dimension
    return moment[n] / n * math.exp(-2 / n * log_volume[n])
