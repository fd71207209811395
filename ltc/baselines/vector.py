"""Entropy-constrained vector quantization: any points, each with a code length of its own."""

import math
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from ltc.baselines.scalar import ecsq
from ltc.checks import number
from ltc.errors import InputError
from ltc.lattices import A2, Dn, DnDual, Lattice, Zn

__all__ = ["VectorQuantizer"]

Array = NDArray[np.float64]

# Where cells are many and small the best lattice of the dimension is hard to improve on.
LATTICES: dict[int, Lattice] = {1: Zn(), 2: A2(), 3: DnDual(3), 4: Dn(4)}
# Training vectors per point: with fewer the quantizer would know its training set by heart.
VECTORS_PER_POINT = 20


class VectorQuantizer(NamedTuple):
    """Points with an ideal entropy code; a vector goes to the point of least cost.

    The cost of x at the point y with a code length of l bits is l + lmbda |x - y|^2, so that the
    sum over vectors is the training loss, rate + lmbda * distortion. It is a squared distance
    in one dimension more, |(x, 0) - (y, sqrt(l / lmbda))|^2, in which a k-d tree finds the
    nearest point.

    Attributes:
        points: reconstructions, shape (k, d).
        lengths: of their code words, bits, shape (k,).
        lmbda: the weight of the squared error.

    Reference:
        Chou, Lookabaugh, Gray: Entropy-constrained vector quantization. IEEE Transactions on
        Acoustics, Speech and Signal Processing 37 (1989).

    Example:
        >>> x = np.random.default_rng(0).choice([-1.0, 1.0], (1000, 2))
        >>> quantizer = VectorQuantizer.fit(x, lmbda=10)
        >>> bits, errors = quantizer.costs(x)
        >>> len(quantizer.points), round(float(bits.mean()), 1), float(errors.max())
        (4, 2.0, 0.0)
    """

    points: Array
    lengths: Array
    lmbda: float

    @classmethod
    def fit(cls, samples: ArrayLike, lmbda: float, limit: int = 100) -> Self:
        """Return a quantizer with a small rate + lmbda * distortion on training samples.

        Like Lloyd's, the iteration falls into the local optimum next to its start. There are
        two: the product of the best scalar quantizers of the components, so that on the training
        samples the result is never worse than these, and the lattice that is best in this
        dimension at high rate. The better end is returned.

        Arguments:
            samples: training vectors, shape (n, d), d up to 4.
            lmbda: the weight of the squared error, as in the training loss, bits per unit.
            limit: iterations at most, from each start.

        Raises:
            InputError: `lmbda` is not positive, the samples do not have the right shape or are
                not finite, or they are too few for this lmbda.

        Example:
            >>> x = np.random.default_rng(0).normal(size=(20_000, 2))
            >>> bits, errors = VectorQuantizer.fit(x, lmbda=2).costs(x)
            >>> round(float(bits.mean()) / 2, 1), round(float(errors.mean()) / 2, 1)
            (0.9, 0.4)
        """
        lmbda = number("lmbda", lmbda)
        x = np.asarray(samples, dtype=float)
        if x.ndim != 2 or not len(x) or x.shape[1] not in LATTICES:
            raise InputError(
                f"entropy-constrained vector quantization got samples of shape {x.shape}; "
                f"expected (count, d) with d from 1 to {max(LATTICES)}"
            )
        if not np.isfinite(x).all():
            raise InputError("the training samples hold NaN or infinity; remove them first")
        # Most iterations are on a part of the samples, which is as good to find the way: of all
        # places alike, since the first rows may be of one kind, as patches of the first picture.
        part = x[np.random.default_rng(0).permutation(len(x))]
        part = part[: max(len(x) // 4, min(len(x), 1 << 14))]
        ends = [cls._descend(part, start, lmbda, limit) for start in _starts(part, lmbda)]
        quantizer, _ = min(ends, key=lambda end: end[1])
        quantizer, _ = cls._descend(x, quantizer.encode(x), lmbda, limit)
        if len(quantizer.points) * VECTORS_PER_POINT > len(x):
            raise InputError(
                f"lmbda={lmbda:g} asks for {len(quantizer.points)} points, and {len(x)} training "
                f"vectors are enough for {len(x) // VECTORS_PER_POINT}; use more samples or a "
                "smaller lmbda"
            )
        return quantizer

    @classmethod
    def _descend(
        cls, x: Array, label: NDArray[np.int64], lmbda: float, limit: int
    ) -> tuple[Self, float]:
        """Give each cell its centroid and its code length, and each vector its best cell, in turn.

        Returns:
            The quantizer, and rate + lmbda * distortion on the training vectors.
        """
        loss = math.inf
        while True:
            count = np.bincount(label)
            used = count > 0
            sums = np.stack([np.bincount(label, column) for column in x.T], axis=1)
            points = sums[used] / count[used, None]
            quantizer = cls(points, -np.log2(count[used] / len(x)), lmbda)
            cost, label = quantizer._nearest(x)
            previous, loss, limit = loss, float(cost.mean()), limit - 1
            if not previous - loss > 2e-5 * loss or not limit:
                return quantizer, loss

    def _nearest(self, x: Array) -> tuple[Array, NDArray[np.int64]]:
        """Return the least cost of each vector and the index of the point that has it."""
        height = np.sqrt(self.lengths / self.lmbda)
        lifted = np.column_stack([x, np.zeros(len(x))])
        distance, index = cKDTree(np.column_stack([self.points, height])).query(lifted)
        return self.lmbda * distance**2, index

    def encode(self, x: ArrayLike) -> NDArray[np.int64]:
        """Return the index of the best point of each vector, shape (n, d) to (n,)."""
        return self._nearest(np.asarray(x, dtype=float))[1]

    def costs(self, x: ArrayLike) -> tuple[Array, Array]:
        """Return what each vector costs: bits and squared error, shapes (n,)."""
        vectors = np.asarray(x, dtype=float)
        index = self.encode(vectors)
        return self.lengths[index], ((vectors - self.points[index]) ** 2).sum(1)


def _starts(x: Array, lmbda: float) -> list[NDArray[np.int64]]:
    """Return cells to start from: the index of the cell of each vector, shape (n,)."""
    products = np.stack([ecsq(column, lmbda).cells(column) for column in x.T], axis=1)
    lattice = LATTICES[x.shape[1]]
    assert lattice.second_moment is not None
    # At high rate the distortion is 1 / (2 ln 2 lmbda).
    scale = math.sqrt(1 / (2 * math.log(2) * lmbda) / lattice.second_moment)
    nearest = lattice.closest_point(torch.from_numpy(x / scale)).numpy()
    # The coordinates of one lattice point may differ in the last place.
    cells = (products, np.round(nearest * 1024).astype(np.int64))
    return [np.unique(cell, axis=0, return_inverse=True)[1].ravel() for cell in cells]
