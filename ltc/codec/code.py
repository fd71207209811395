"""A frozen entropy model as integers, and the coding of lattice points with it.

By the chain rule along the trellis, a point costs, section after section, one branch and one
integer: `p(branch | state) = mass(coset) b(next) / b(state)`, where b(state) is the mass of all
completions, and `p(z | coset) = f(offset + step z) / mass(coset)`. Their product telescopes to
exactly `p(point)`. Both are rounded once to units of 2^-24 and stored with the model, so that
no decoder ever recomputes a floating-point number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ltc.codec import walk
from ltc.codec.container import CHUNK, LARGEST_CHUNK
from ltc.codec.graph import Graph
from ltc.codec.range_coder import from_bytes, to_bytes
from ltc.codec.tables import TABLES, fits, freeze, from_tensors
from ltc.entropy import Exact
from ltc.errors import InputError
from ltc.lattices import Trellis
from ltc.threads import in_parallel

__all__ = ["LatticeCode"]

Array = npt.NDArray[Any]


class LatticeCode:
    """The integer tables by which lattice points are coded.

    Arguments:
        trellis: the lattice's trellis.
        tables: the arrays that `state` returned.

    Raises:
        InputError: the tables do not belong to this trellis.

    Example:
        >>> from ltc.lattices import E8
        >>> model = Exact(E8(), torch.arange(8)[None])
        >>> code = LatticeCode.freeze(model)
        >>> points = E8().closest_point(torch.randn(100, 1, 8)).double()
        >>> stream = code.encode(points)
        >>> torch.allclose(code.decode(stream, 100), points)
        True
    """

    def __init__(self, trellis: Trellis, tables: Mapping[str, Any]) -> None:
        self.trellis = trellis
        self.graph = Graph(trellis)
        self.tables = {key: np.ascontiguousarray(tables[key]) for key in TABLES}
        if not fits(self.tables, self.graph):
            raise InputError("the frozen code in this checkpoint does not fit its lattice")
        self.rows = len(self.tables["branch_at"])

    @classmethod
    def freeze(cls, entropy: Exact) -> LatticeCode:
        """Round an entropy model to integers.

        Arguments:
            entropy: a trained exact model.
        """
        return cls(entropy.trellis, freeze(entropy))

    def state(self) -> dict[str, Tensor]:
        """Return the tables as tensors, for a checkpoint."""
        return {
            key: torch.from_numpy(
                value.astype(np.int64) if value.dtype == np.uint32 else value.copy()
            )
            for key, value in self.tables.items()
        }

    @classmethod
    def from_state(cls, trellis: Trellis, state: Mapping[str, Tensor]) -> LatticeCode:
        """Return the code that `state` described.

        Arguments:
            trellis: the lattice's trellis.
            state: what `state` returned.

        Raises:
            InputError: it does not belong to this trellis.
        """
        return cls(trellis, from_tensors(state))

    @property
    def fingerprint(self) -> bytes:
        """A digest of the tables and the trellis, 16 bytes: equal if and only if they are."""
        digest = hashlib.sha256()
        for array in self._arrays:
            digest.update(array.tobytes())
        for array in self.graph.arrays:
            digest.update(array.tobytes())
        return digest.digest()[:16]

    @property
    def most_vectors(self) -> int:
        """How many vectors a chunk holds at most."""
        return max(1, LARGEST_CHUNK // (self.rows * self.trellis.dimension))

    def encode(self, points: Tensor) -> bytes:
        """Encode points.

        Arguments:
            points: lattice units, shape (count, rows, n).

        Returns:
            The stream; it does not know its own length in vectors.

        Raises:
            InputError: a point does not lie on the lattice, or the shape is another.
        """
        return b"".join(stream for _, stream in self._encode(self._values(points), 0, None))

    def decode(self, stream: bytes, count: int) -> Tensor:
        """Decode points.

        Arguments:
            stream: what `encode` returned.
            count: number of vectors.

        Returns:
            Points in lattice units, shape (count, rows, n), float64.

        Raises:
            InputError: no points have this stream.
        """
        if count > self.most_vectors:
            raise InputError(f"a stream of {count} vectors is larger than any that ltc writes")
        values = np.empty((count, self.rows, self.trellis.dimension))
        if not walk.decode(from_bytes(stream), values, *self.graph.arrays, *self._arrays):
            raise InputError("the stream is damaged: no lattice points have it")
        return torch.from_numpy(values)

    def encode_chunks(self, points: Tensor, target: int = CHUNK) -> list[tuple[int, bytes]]:
        """Encode points as independent streams, in parallel.

        Arguments:
            points: lattice units, shape (count, rows, n).
            target: bytes after which a chunk ends. The division depends on the points alone, so
                that the same points have the same streams whatever the machine.

        Returns:
            For each chunk the number of its vectors and its stream.

        Raises:
            InputError: a point does not lie on the lattice, or the shape is another.
        """
        values = self._values(points)
        starts = range(0, len(values), self.most_vectors)
        return in_parallel(
            lambda start: self._encode(values[start : start + self.most_vectors], start, target),
            starts,
        )

    def decode_chunks(self, chunks: list[tuple[int, bytes]]) -> list[Tensor]:
        """Undo `encode_chunks`, in parallel; a tensor of shape (count, rows, n) for each."""
        pieces = [chunks[start : start + 64] for start in range(0, len(chunks), 64)]
        return in_parallel(
            lambda piece: [self.decode(stream, count) for count, stream in piece], pieces
        )

    def _values(self, points: Tensor) -> Array:
        """Return checked points as an array of doubles."""
        if points.shape[1:] != (self.rows, self.trellis.dimension):
            raise InputError(
                f"got points of shape {tuple(points.shape)}; this code needs "
                f"(count, {self.rows}, {self.trellis.dimension})"
            )
        return points.detach().to("cpu", torch.float64).contiguous().numpy()

    def _encode(self, values: Array, first: int, target: int | None) -> list[tuple[int, bytes]]:
        """Return chunks of `target` bytes each, or one; `first` is the number of the first."""
        chunks: list[tuple[int, bytes]] = []
        words = 1 << 62 if target is None else max(1, target // 4)
        start = 0
        while start < len(values):
            stream, end, whole = walk.encode(
                values, start, words, *self.graph.arrays, *self._arrays
            )
            if not whole:
                raise InputError(
                    f"vector {first + end} is no point of the lattice; quantize it first"
                )
            chunks.append((end - start, to_bytes(stream)))
            start = end
        return chunks

    @property
    def _arrays(self) -> tuple[Array, ...]:
        return tuple(self.tables[key] for key in TABLES)
