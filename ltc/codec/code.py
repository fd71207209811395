"""A frozen entropy model as integers, and the coding of lattice points with it.

By the chain rule along the trellis, a point costs, section after section, one branch and one
integer: `p(branch | state) = mass(coset) b(next) / b(state)`, where b(state) is the mass of all
completions, and `p(z | coset) = f(offset + step z) / mass(coset)`. Their product telescopes to
exactly `p(point)`. Where a section repeats without end, b is the eigenvector of its branch matrix,
the same for all coordinates of a channel. Both are rounded once to units of 2^-24 and stored with
the model, so that no decoder ever recomputes a floating-point number.
"""

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ltc.checks import digest
from ltc.codec import walk
from ltc.codec.base import Code
from ltc.codec.container import CHUNK
from ltc.codec.graph import Graph
from ltc.codec.range_coder import from_bytes, to_bytes
from ltc.codec.tables import TABLES, fits, freeze, from_tensors
from ltc.entropy import EntropyModel
from ltc.errors import InputError
from ltc.lattices import Section

__all__ = ["LatticeCode"]

Array = npt.NDArray[Any]

# Share of a chunk that the states of paths may take.
MOST_STATES = 0.005


class LatticeCode(Code):
    """The integer tables by which lattice points are coded.

    Arguments:
        graph: the lattice's trellis, or the section of it that repeats without end: then a vector
            has one coordinate, and the path of a row goes on from vector to vector. It starts in
            state 0 at every `most_vectors`.
        tables: the arrays that `state` returned.
        rows: lattice vectors in a point; None: one for each pattern of the tables.
        context: returns the pattern of each row, shape (count, rows, 1), from points, float32,
            shape (count, rows, n), of which it sees the rows before; None: row r has pattern r.

    Raises:
        InputError: the tables do not belong to this graph.

    Example:
        >>> from ltc.entropy import Exact
        >>> from ltc.lattices import E8
        >>> channel = torch.arange(8)[None]
        >>> code = LatticeCode.of(Exact(E8(), channel), channel)
        >>> points = E8().closest_point(torch.randn(100, 1, 8)).double()
        >>> stream = code.encode(points)
        >>> torch.allclose(code.decode(stream, 100), points)
        True
    """

    def __init__(
        self,
        graph: Graph,
        tables: Mapping[str, Any],
        rows: int | None = None,
        context: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.graph = graph
        self.tables = {key: np.ascontiguousarray(tables[key]) for key in TABLES}
        if not fits(self.tables, graph):
            raise InputError("the frozen code in this checkpoint does not fit its lattice")
        self.rows = len(self.tables["branch_at"]) if rows is None else rows
        self.shape = self.rows, graph.sections
        self.context = context
        if context is None and self.rows != len(self.tables["branch_at"]):
            raise InputError("its frozen code does not fit its configuration")

    @classmethod
    def of(
        cls,
        entropy: EntropyModel,
        channel: Tensor,
        endless: Section | None = None,
        state: Mapping[str, Any] | None = None,
    ) -> Self:
        """Return the code of an entropy model with a trellis.

        Arguments:
            entropy: a trained model.
            channel: the channel of each coordinate, shape (rows, n) or (rows, 1).
            endless: the section that repeats without end, if the lattice is to have no end.
            state: what `state` of this code returned when it was frozen; None: freeze it now.

        Raises:
            InputError: the state is no table, or belongs to another code.
        """
        assert entropy.trellis is not None
        graph = Graph(entropy.trellis.sections)
        if endless is not None:
            graph = Graph([endless], len(endless.previous))
        channel = channel.cpu()
        if state is None:
            pattern = torch.arange(entropy.tables)[:, None] if entropy.context else channel
            tables = freeze(entropy, graph, pattern, endless)
        else:
            tables = from_tensors(state)
        if not entropy.context:
            return cls(graph, tables, len(channel))
        table = copy.deepcopy(entropy).cpu().table
        return cls(graph, tables, len(channel), lambda points: table(points, channel))

    def state(self) -> dict[str, Tensor]:
        """Return the tables as tensors."""
        return {key: torch.from_numpy(value.copy()) for key, value in self.tables.items()}

    @property
    def fingerprint(self) -> bytes:
        """A digest of the tables and the trellis, 8 bytes."""
        return bytes.fromhex(digest(*self._arrays))[:8]

    @property
    def chunk(self) -> int:
        """Bytes after which a chunk ends: the states that it begins with are few of them."""
        states = self.rows * math.log2(self.graph.states) / 8
        return max(CHUNK, math.ceil(states / MOST_STATES))

    def _encode(self, points: Tensor, first: int, target: int | None) -> list[tuple[int, bytes]]:
        values = points.to("cpu", torch.float64).contiguous().numpy()
        chunks: list[tuple[int, bytes]] = []
        words = 1 << 62 if target is None else max(1, target // 4)
        patterns = self._patterns(values)
        state = np.zeros(self.rows, dtype=np.int64)
        start = 0
        while start < len(values):
            stream, end, whole = walk.encode(
                values, start, words, patterns, state, self.graph.states, self._arrays
            )
            if not whole:
                raise InputError(
                    f"vector {first + end} is no point of the lattice; quantize it first"
                )
            chunks.append((end - start, to_bytes(stream)))
            start = end
        return chunks

    def _decode(self, chunks: list[tuple[int, bytes]]) -> list[Tensor]:
        words = [from_bytes(stream) for _, stream in chunks]
        values = [np.zeros((count, *self.shape)) for count, _ in chunks]
        readers = np.zeros((len(chunks), 4), dtype=np.uint64)
        states = np.zeros((len(chunks), self.rows), dtype=np.int64)

        def step(which: int, vectors: slice, rows: slice, patterns: Array) -> None:
            """Decode the next rows of a chunk."""
            found = values[which][vectors, rows]
            state = states[which, rows]
            where = readers[which], found, patterns, state, self.graph.states
            if not walk.decode(words[which], *where, self._arrays):
                raise InputError("the stream is damaged: no lattice points have it")

        if self.context is None:
            for which in range(len(chunks)):
                step(which, slice(None), slice(None), self._patterns(values[which]))
            return [torch.from_numpy(points) for points in values]
        # A row of all chunks at once: the rows before it say which pattern it has.
        for i in range(max(count for count, _ in chunks)):
            here = [which for which, (count, _) in enumerate(chunks) if i < count]
            for row in range(self.rows):
                known = np.stack([values[which][i] for which in here])
                patterns = self._patterns(known)[:, row]
                for which, pattern in zip(here, patterns, strict=True):
                    step(which, slice(i, i + 1), slice(row, row + 1), pattern.reshape(1, 1))
        return [torch.from_numpy(points) for points in values]

    def _patterns(self, values: Array) -> Array:
        """Return the pattern of each row, shape (1, rows) or (count, rows)."""
        if self.context is None:
            return np.arange(self.rows)[None]
        with torch.no_grad():
            found = self.context(torch.from_numpy(values).float())
        patterns = found.expand(*values.shape[:2], 1)[..., 0].long().numpy()
        number = len(self.tables["branch_at"])
        if patterns.size and (patterns.min() < 0 or patterns.max() >= number):
            raise InputError(
                f"the entropy model chose table {patterns.min()} to {patterns.max()}; it has "
                f"tables 0 to {number - 1}"
            )
        return np.ascontiguousarray(patterns)

    @property
    def _arrays(self) -> tuple[Array, ...]:
        """What the kernels walk along."""
        return (*self.graph.arrays, *(self.tables[key] for key in TABLES))
