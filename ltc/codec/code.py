"""A frozen entropy model as integers, and the coding of lattice points with it.

By the chain rule along the trellis, a point costs, section after section, one branch and one
integer: `p(branch | state) = mass(coset) b(next) / b(state)`, where b(state) is the mass of all
completions, and `p(z | coset) = f(offset + step z) / mass(coset)`. Their product telescopes to
exactly `p(point)`. Both are rounded once to units of 2^-24 and stored with the model, so that
no decoder ever recomputes a floating-point number.
"""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numba
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ltc.codec.container import LARGEST_CHUNK
from ltc.codec.range_coder import (
    PRECISION,
    TOTAL,
    finish,
    from_bytes,
    get,
    put,
    quantile,
    start_decoder,
    to_bytes,
)
from ltc.entropy import Exact
from ltc.errors import InputError
from ltc.lattices import Trellis

__all__ = ["LatticeCode"]

# Bytes after which a chunk ends. A damaged byte costs a chunk; a chunk costs its entry in the file
# and the end of its stream, 4.4 to 6.5 bytes (measured, from 0.3 to 2 bits): at most 0.45 %.
CHUNK = 1536

# The tables and their dimensions, as the kernels take them.
TABLES = {"branch_at": 2, "branch_left": 2, "coset_at": 2, "first": 1, "start": 1, "left": 1}

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
        self.graph = _Graph(trellis)
        self.tables = {key: np.ascontiguousarray(tables[key]) for key in TABLES}
        if not self._fit():
            raise InputError("the frozen code in this checkpoint does not fit its lattice")
        self.rows = len(self.tables["branch_at"])

    def _fit(self) -> bool:
        """Tell whether the kernels can walk along the tables: they check nothing themselves."""
        tables, graph = self.tables, self.graph
        if any(
            tables[key].ndim != n or tables[key].dtype.kind not in "iu" for key, n in TABLES.items()
        ):
            return False
        branch_at, coset_at, first = (tables[key] for key in ("branch_at", "coset_at", "first"))
        branch_left, start, left = (tables[key] for key in ("branch_left", "start", "left"))
        # Comparisons of two numbers that are both in range: sums of forged ones could overflow.
        if not (
            len(branch_at) > 0
            and branch_at.shape == coset_at.shape == (len(branch_at), graph.sections)
            and branch_left.shape == (len(branch_left), 2)
            and start.shape == (len(first) + 1,)
            and (branch_at >= 0).all()
            and (branch_at <= len(branch_left) - graph.branches).all()
            and (coset_at >= 0).all()
            and (coset_at <= len(first) - graph.cosets).all()
            and ((start >= 0) & (start <= len(left))).all()
            and start[0] == 0
            and start[-1] == len(left)
            and (np.diff(start) >= 2).all()
        ):
            return False
        sizes = np.diff(left.astype(np.int64))
        positive = (left[start[:-1]] == 0) & (left[start[1:] - 1] == TOTAL)
        if not positive.all() or not (np.delete(sizes, start[1:-1] - 1) > 0).all():
            return False
        pairs = np.stack([np.broadcast_to(graph.kind, branch_at.shape), branch_at], -1)
        for kind, at in np.unique(pairs.reshape(-1, 2), axis=0):
            ranges = graph.ranges(kind)
            begin, probability = branch_left[at : at + ranges[-1]].astype(np.int64).T
            sums = np.add.reduceat(probability, ranges[:-1])
            inside = np.cumsum(probability) - probability
            inside -= np.repeat(inside[ranges[:-1]], np.diff(ranges))
            if (probability <= 0).any() or (sums != TOTAL).any() or (inside != begin).any():
                return False
        return True

    @classmethod
    def freeze(cls, entropy: Exact) -> LatticeCode:
        """Round an entropy model to integers.

        Sections that are the same, with the same masses and the same completions, share tables:
        the completions of a long trellis converge within tens of sections of its end.

        Arguments:
            entropy: a trained exact model.
        """
        model = copy.deepcopy(entropy).double().cpu()
        graph = _Graph(model.trellis)
        kinds = model.row.numpy()  # coordinates of one function and one coset geometry share a row
        _, example, same = np.unique(kinds, return_index=True, return_inverse=True)
        first: list[int] = []
        start, left, coset_begin = [0], [], []
        for at in example:
            t = int(at) % graph.sections
            coset_begin.append(len(first))
            for lowest, pmf in _integer_probabilities(model, graph, int(at) // graph.sections, t):
                first.append(lowest)
                left.append(np.concatenate([[0], np.cumsum(_round(pmf))]).astype(np.uint32))
                start.append(start[-1] + len(left[-1]))
        coset_at = np.array(coset_begin)[same].reshape(kinds.shape)
        branch_at = np.empty(kinds.shape, dtype=np.int64)
        branch_left: list[Array] = []
        size = 0
        with torch.no_grad():
            mass = model.log_mass().numpy()
        for row in range(len(mass)):
            tables, used = graph.branch_probabilities(mass[row], kinds[row])
            begin = []
            for kind, probability in tables:
                begin.append(size)
                branch_left.append(_round_segments(probability, graph.ranges(kind)))
                size += len(probability)
            branch_at[row] = np.array(begin)[used]
        return cls(
            model.trellis,
            {
                "branch_at": branch_at,
                "branch_left": np.concatenate(branch_left),
                "coset_at": coset_at,
                "first": np.array(first, dtype=np.int64),
                "start": np.array(start, dtype=np.int64),
                "left": np.concatenate(left),
            },
        )

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
        tables: dict[str, Array] = {}
        for key in TABLES:
            value = state.get(key)
            # A tensor in a file may claim a shape that its numbers do not fill.
            if (
                not isinstance(value, Tensor)
                or value.dtype != torch.int64
                or value.layout != torch.strided
                or value.device.type != "cpu"
                or not value.is_contiguous()
            ):
                raise InputError(f"the frozen code in this checkpoint has no integers {key}")
            tables[key] = value.numpy()
            if key in ("branch_left", "left"):
                if ((tables[key] < 0) | (tables[key] > TOTAL)).any():
                    raise InputError("the frozen code in this checkpoint has no probabilities")
                tables[key] = tables[key].astype(np.uint32)
        return cls(trellis, tables)

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
        if not _decode(from_bytes(stream), values, *self.graph.arrays, *self._arrays):
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
            stream, end, whole = _encode(values, start, words, *self.graph.arrays, *self._arrays)
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


Item = TypeVar("Item")
Result = TypeVar("Result")


def in_parallel(task: Callable[[Item], Iterable[Result]], items: Iterable[Item]) -> list[Result]:
    """Return what a task returns for each item, joined, on as many threads as torch uses."""
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        return [result for results in pool.map(task, items) for result in results]


class _Graph:
    """A trellis as flat arrays, with branches grouped by the state that they leave.

    Sections that are the same object are stored once, as a kind. The branches that leave state
    s of a section of kind k are `start[node[k] + s]` to `start[node[k] + s + 1]`.

    Attributes:
        kind: the kind of each section, shape (n,).
        node: first state of each kind, shape (kinds + 1,).
        start: first branch of each state, shape (states of all kinds + 1,).
        target: the state after that each branch leads to, shape (branches,).
        coset: the coset on each branch, shape (branches,), counted within its kind.
        first_coset: first coset of each kind, shape (kinds + 1,).
        offset, step: where each coset of each kind lies.
        tolerance: half the distance to the nearest other coset, likewise.
    """

    def __init__(self, trellis: Trellis) -> None:
        found: dict[int, int] = {}
        self.kind = np.array([found.setdefault(id(s), len(found)) for s in trellis.sections])
        target, coset, degree, node, first_coset = [], [], [], [0], [0]
        offset: list[float] = []
        step: list[float] = []
        tolerance: list[float] = []
        for t in np.unique(self.kind, return_index=True)[1]:
            section, before = trellis.sections[t], trellis.states[t]
            after = len(section.previous)
            leave = section.previous.reshape(-1)
            order = np.argsort(leave, kind="stable")
            target.append(np.repeat(np.arange(after), section.previous.shape[1])[order])
            coset.append(section.coset.reshape(-1)[order])
            degree.append(np.bincount(leave, minlength=before))
            ring = np.sort(np.mod(section.offset, section.step))
            spacing = np.diff(np.append(ring, ring[0] + section.step)).min()
            offset.extend(section.offset)
            step.extend([section.step] * len(section.offset))
            tolerance.extend([spacing / 2] * len(section.offset))
            node.append(node[-1] + before)
            first_coset.append(len(offset))
        self.sections = trellis.dimension
        self.final_states = trellis.states[-1]
        self.target = np.concatenate(target).astype(np.int64)
        self.coset = np.concatenate(coset).astype(np.int64)
        self.start = np.concatenate([[0], np.cumsum(np.concatenate(degree))]).astype(np.int64)
        self.node = np.array(node)
        self.first_coset = np.array(first_coset)
        self.offset = np.array(offset)
        self.step = np.array(step)
        self.tolerance = np.array(tolerance)

    @property
    def arrays(self) -> tuple[Array, ...]:
        """The arrays that the kernels walk along."""
        return (
            self.kind, self.node, self.start, self.target, self.coset,
            self.first_coset, self.offset, self.step, self.tolerance,
        )  # fmt: skip

    @property
    def branches(self) -> Array:
        """Number of branches of each section, shape (n,)."""
        return np.diff(self.start[self.node])[self.kind]

    @property
    def cosets(self) -> Array:
        """Number of cosets of each section, shape (n,)."""
        return np.diff(self.first_coset)[self.kind]

    def ranges(self, kind: int) -> Array:
        """Return where the branches of each state of a kind start, and the end; from 0."""
        start = self.start[self.node[kind] : self.node[kind + 1] + 1]
        return start - start[0]

    def of_kind(self, kind: int) -> tuple[Array, Array]:
        """Return target and coset of the branches of a kind."""
        branches = slice(self.start[self.node[kind]], self.start[self.node[kind + 1]])
        return self.target[branches], self.coset[branches]

    def branch_probabilities(
        self, mass: Array, same: Array
    ) -> tuple[list[tuple[int, Array]], Array]:
        """Return p(branch | state): the distinct tables, and which of them each section uses.

        Arguments:
            mass: log mass of each coset, shape (n, cosets).
            same: sections with equal numbers have the same masses, shape (n,).
        """
        tables: list[tuple[int, Array]] = []
        used = np.empty(self.sections, dtype=np.int64)
        known: dict[tuple[int, int], tuple[Array, Array, int]] = {}
        completion = np.zeros(self.final_states)
        for t in range(self.sections - 1, -1, -1):
            kind = int(self.kind[t])
            key = (kind, int(same[t]))
            if key in known and np.abs(completion - known[key][0]).max() < 1e-12:
                _, completion, used[t] = known[key]
                continue
            target, coset = self.of_kind(kind)
            ranges = self.ranges(kind)
            weight = mass[t, coset] + completion[target]
            total = np.logaddexp.reduceat(weight, ranges[:-1])
            probability = np.exp(weight - np.repeat(total, np.diff(ranges)))
            used[t] = len(tables)
            tables.append((kind, probability))
            total -= total.max()
            known[key] = completion, total, int(used[t])
            completion = total
        return tables, used


def _integer_probabilities(
    model: Exact, graph: _Graph, row: int, t: int
) -> list[tuple[int, Array]]:
    """Return for each coset of a section the first integer and p(z | coset), the escape's last."""
    found = []
    kind_of_row = int(model.row[row, t])
    low, high = (float(end[kind_of_row]) for end in model.support())
    kind = graph.kind[t]
    for c in range(graph.first_coset[kind], graph.first_coset[kind + 1]):
        offset, step = graph.offset[c], graph.step[c]
        first = math.floor((low - offset) / step)
        integers = np.arange(first, math.ceil((high - offset) / step) + 1)
        value = torch.as_tensor(offset + step * integers)
        with torch.no_grad():
            log_density = model.log_density(value, torch.full(value.shape, kind_of_row)).numpy()
        pmf = np.exp(log_density - np.logaddexp.reduce(log_density))
        kept = np.flatnonzero(pmf > 0.25 / TOTAL)
        inside = slice(kept[0], kept[-1] + 1)
        escape = max(1 - float(pmf[inside].sum()), 0.0)
        found.append((int(integers[kept[0]]), np.append(pmf[inside], escape)))
    return found


def _round(pmf: Array) -> Array:
    """Round a pmf to positive integers that sum to 2^24; the largest takes the difference."""
    rounded = np.maximum(np.floor(pmf * TOTAL), 1).astype(np.int64)
    rounded[np.argmax(rounded)] += TOTAL - rounded.sum()
    return rounded


def _round_segments(probability: Array, start: Array) -> Array:
    """Round the pmf of every node's branches: (left, probability) for each branch."""
    left = np.empty((len(probability), 2), dtype=np.uint32)
    rounded = np.maximum(np.floor(probability * TOTAL), 1).astype(np.int64)
    node = np.repeat(np.arange(len(start) - 1), np.diff(start))
    order = np.lexsort((rounded, node))
    largest = order[start[1:] - 1]
    rounded[largest] += TOTAL - np.add.reduceat(rounded, start[:-1])
    total = np.cumsum(rounded) - rounded
    left[:, 0] = total - total[start[:-1]][node]
    left[:, 1] = rounded
    return left


kernel = numba.njit(cache=True, nogil=True)
_HALF = 1 << (PRECISION - 1)


@kernel
def _encode(  # type: ignore[no-untyped-def]
    points,
    begin,
    enough,
    kind,
    node,
    start,
    target,
    coset,
    first_coset,
    offset,
    step,
    tolerance,
    branch_at,
    branch_left,
    coset_at,
    first_integer,
    table_start,
    left,
):
    words, count = np.empty(1024, dtype=np.uint32), 0
    lower, width = np.uint64(0), ~np.uint64(0)
    pending, first = 0, np.uint64(0)
    vectors, rows, n = points.shape
    for i in range(begin, vectors):
        if count >= enough:
            words, count = finish(words, count, lower, width, pending, first)
            return words[:count], i, True
        for row in range(rows):
            state = 0
            for t in range(n):
                value = points[i, row, t]
                best, integer, error = -1, 0.0, np.inf
                k = kind[t]
                here = node[k] + state
                for b in range(start[here], start[here + 1]):
                    c = first_coset[k] + coset[b]
                    z = np.rint((value - offset[c]) / step[c])
                    distance = abs(value - (offset[c] + step[c] * z))
                    if distance < error:
                        best, integer, error = b, z, distance
                c = first_coset[k] + coset[best]
                if not error < 0.5 * tolerance[c] or abs(integer) > 2.0**52:
                    return words[:0], i, False
                if start[here + 1] - start[here] > 1:
                    entry = branch_at[row, t] + best - start[node[k]]
                    words, count, lower, width, pending, first = put(
                        words, count, lower, width, pending, first,
                        branch_left[entry, 0], branch_left[entry, 1],
                    )  # fmt: skip
                c = coset_at[row, t] + coset[best]
                table = table_start[c]
                size = table_start[c + 1] - table - 2  # integers in the table
                z = np.int64(integer) - first_integer[c]
                symbol = z if 0 <= z < size else size
                words, count, lower, width, pending, first = put(
                    words, count, lower, width, pending, first,
                    left[table + symbol], left[table + symbol + 1] - left[table + symbol],
                )  # fmt: skip
                if symbol == size:
                    # Elias gamma code of how far outside, after a bit that tells the side.
                    excess = int(-z if z < 0 else z - size + 1)
                    length = 0
                    while excess >> (length + 1):
                        length += 1
                    for position in range(2 * length + 2):
                        if position == 0:
                            bit = int(z < 0)
                        elif position <= length:
                            bit = 0
                        else:
                            bit = (excess >> (2 * length + 1 - position)) & 1
                        words, count, lower, width, pending, first = put(
                            words, count, lower, width, pending, first, bit * _HALF, _HALF
                        )
                state = target[best]
    words, count = finish(words, count, lower, width, pending, first)
    return words[:count], vectors, True


@kernel
def _decode(  # type: ignore[no-untyped-def]
    words,
    points,
    kind,
    node,
    start,
    target,
    coset,
    first_coset,
    offset,
    step,
    tolerance,
    branch_at,
    branch_left,
    coset_at,
    first_integer,
    table_start,
    left,
):
    position, lower, width, point = start_decoder(words)
    vectors, rows, n = points.shape
    for i in range(vectors):
        for row in range(rows):
            state = 0
            # The decoder reads at most one word beyond the last that the encoder wrote.
            if position > len(words) + 2:
                return False
            for t in range(n):
                k = kind[t]
                b = start[node[k] + state]
                if start[node[k] + state + 1] - b > 1:
                    part = quantile(lower, width, point)
                    if part >= TOTAL:
                        return False
                    entry = branch_at[row, t] + b - start[node[k]]
                    while part >= np.uint64(branch_left[entry, 0]) + np.uint64(
                        branch_left[entry, 1]
                    ):
                        b += 1
                        entry += 1
                    position, lower, width, point = get(
                        words, position, lower, width, point,
                        branch_left[entry, 0], branch_left[entry, 1],
                    )  # fmt: skip
                c = coset_at[row, t] + coset[b]
                table = table_start[c]
                size = table_start[c + 1] - table - 2
                part = quantile(lower, width, point)
                if part >= TOTAL:
                    return False
                low, high = 0, size
                while low < high:
                    middle = (low + high + 1) >> 1
                    if np.uint64(left[table + middle]) <= part:
                        low = middle
                    else:
                        high = middle - 1
                position, lower, width, point = get(
                    words, position, lower, width, point,
                    left[table + low], left[table + low + 1] - left[table + low],
                )  # fmt: skip
                z = low
                if low == size:
                    length, excess, below = -1, 1, False
                    remaining = 1
                    read = 0
                    while remaining > 0:
                        part = quantile(lower, width, point)
                        if part >= TOTAL:
                            return False
                        bit = int(part >= _HALF)
                        position, lower, width, point = get(
                            words, position, lower, width, point, bit * _HALF, _HALF
                        )
                        if read == 0:
                            below = bit == 1
                        elif length < 0:
                            if bit == 1:
                                length = read - 1
                                remaining = length + 1
                            elif read > 53:
                                return False
                            else:
                                remaining = 2
                        else:
                            excess = (excess << 1) | bit
                        read += 1
                        if read == 1:
                            remaining = 2
                        remaining -= 1
                    z = -excess if below else size - 1 + excess
                place = first_coset[k] + coset[b]
                points[i, row, t] = offset[place] + step[place] * np.float64(z + first_integer[c])
                state = target[b]
    return True
