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
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ltc.codec.range_coder import PRECISION, TOTAL, finish, get, put, quantile, start_decoder
from ltc.entropy import Exact
from ltc.errors import InputError
from ltc.lattices import Trellis

__all__ = ["LatticeCode"]

# Coordinates in a chunk at most, so that a forged header cannot make a decoder allocate more.
LARGEST_CHUNK = 1 << 20

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
        self.tables = {key: np.ascontiguousarray(value) for key, value in tables.items()}
        expected = {"branch_left", "first", "start", "left", "bits"}
        rows = len(self.tables["first"]) if set(self.tables) == expected else 0
        cosets = len(self.graph.offset)
        if (
            rows == 0
            or self.tables["branch_left"].shape != (rows, len(self.graph.target), 2)
            or self.tables["first"].shape != (rows, cosets)
            or self.tables["start"].shape != (rows * cosets + 1,)
        ):
            raise InputError("the frozen code in this checkpoint does not fit its lattice")
        self.rows = rows

    @classmethod
    def freeze(cls, entropy: Exact) -> LatticeCode:
        """Round an entropy model to integers.

        Arguments:
            entropy: a trained exact model.
        """
        model = copy.deepcopy(entropy).double().cpu()
        graph = _Graph(model.trellis)
        with torch.no_grad():
            mass = model.log_mass().numpy()
        rows = len(mass)
        branch_left = np.empty((rows, len(graph.target), 2), dtype=np.uint32)
        first = np.empty((rows, len(graph.offset)), dtype=np.int64)
        start, left = [0], []
        bits = 0.0
        for row in range(rows):
            probability, occupancy = graph.branch_probabilities(mass[row])
            branch_left[row] = _round_segments(probability, graph.start)
            bits += graph.entropy(probability, occupancy)
            integers = _integer_probabilities(model, graph, row)
            use = graph.coset_use(probability, occupancy)
            for c, (lowest, pmf) in enumerate(integers):
                first[row, c] = lowest
                rounded = _round(pmf)
                left.append(np.concatenate([[0], np.cumsum(rounded)]).astype(np.uint32))
                start.append(start[-1] + len(left[-1]))
                bits -= use[c] * float(np.sum(pmf * np.log2(np.maximum(pmf, 1e-300))))
        tables = {
            "branch_left": branch_left,
            "first": first,
            "start": np.array(start, dtype=np.int64),
            "left": np.concatenate(left),
            "bits": np.array(bits),
        }
        return cls(model.trellis, tables)

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
        tables: dict[str, Array] = {key: value.numpy() for key, value in state.items()}
        for key in ("branch_left", "left"):
            if key in tables:
                tables[key] = tables[key].astype(np.uint32)
        return cls(trellis, tables)

    @property
    def fingerprint(self) -> bytes:
        """A digest of the tables and the trellis, 16 bytes: equal if and only if they are."""
        digest = hashlib.sha256()
        for key in ("branch_left", "first", "start", "left"):
            digest.update(self.tables[key].tobytes())
        for array in self.graph.arrays:
            digest.update(array.tobytes())
        return digest.digest()[:16]

    @property
    def bits_per_vector(self) -> float:
        """Entropy of the model in bits per vector of all rows."""
        return float(self.tables["bits"].item())

    def encode(self, points: Tensor) -> bytes:
        """Encode points.

        Arguments:
            points: lattice units, shape (count, rows, n).

        Returns:
            The stream; it does not know its own length in vectors.

        Raises:
            InputError: a point does not lie on the lattice.
        """
        values = points.detach().to("cpu", torch.float64).contiguous().numpy()
        words, failed = _encode(values, *self.graph.arrays, *self._arrays)
        if failed >= 0:
            raise InputError(f"vector {failed} is no point of the lattice; quantize it first")
        encoded: bytes = words.astype("<u4").tobytes()
        return encoded

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
        if len(stream) % 4:
            raise InputError(f"a stream of {len(stream)} bytes is damaged; expected multiples of 4")
        n = self.trellis.dimension
        if count * self.rows * n > LARGEST_CHUNK + self.rows * n:
            raise InputError(f"a stream of {count} vectors is larger than any that ltc writes")
        values = np.empty((count, self.rows, n))
        words = np.frombuffer(stream, dtype="<u4").astype(np.uint32)
        if not _decode(words, values, *self.graph.arrays, *self._arrays):
            raise InputError("the stream is damaged: no lattice points have it")
        return torch.from_numpy(values)

    def encode_chunks(self, points: Tensor, target: int = 1 << 16) -> list[tuple[int, bytes]]:
        """Encode points as independent streams, in parallel.

        Arguments:
            points: lattice units, shape (count, rows, n).
            target: bytes to aim for in a chunk; the division depends on the model and the count
                alone, so that the same points have the same streams whatever the machine.

        Returns:
            For each chunk the number of its vectors and its stream.
        """
        size = self.chunk_vectors(target)
        parts = points.split(size) if len(points) else []
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            return [
                (len(part), stream)
                for part, stream in zip(parts, pool.map(self.encode, parts), strict=True)
            ]

    def decode_chunks(self, chunks: list[tuple[int, bytes]]) -> list[Tensor]:
        """Undo `encode_chunks`, in parallel; a tensor of shape (count, rows, n) for each."""
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            return list(pool.map(lambda chunk: self.decode(chunk[1], chunk[0]), chunks))

    def chunk_vectors(self, target: int) -> int:
        """Return how many vectors a chunk of about `target` bytes holds."""
        most = LARGEST_CHUNK // (self.rows * self.trellis.dimension)
        wanted = 8 * target / max(self.bits_per_vector, 1e-9)
        return max(1, min(most, math.ceil(wanted)))

    @property
    def _arrays(self) -> tuple[Array, ...]:
        tables = self.tables
        return tables["branch_left"], tables["first"], tables["start"], tables["left"]


class _Graph:
    """A trellis as flat arrays: nodes are (section, state), branches grouped by where they start.

    Attributes:
        start: first branch of each node, shape (nodes + 1,).
        target: the node that each branch leads to, shape (branches,).
        coset: the coset on each branch, shape (branches,).
        offset, step: where each coset lies, shape (cosets,).
        tolerance: half the distance to the nearest other coset, by coset.
    """

    def __init__(self, trellis: Trellis) -> None:
        target, coset, degree = [], [], []
        offset: list[float] = []
        step: list[float] = []
        tolerance: list[float] = []
        node = 0
        self.first_node = [0]
        states = trellis.states
        for section, before in zip(trellis.sections, states, strict=False):
            after = len(section.previous)
            leave = section.previous.reshape(-1)
            order = np.argsort(leave, kind="stable")
            arrive = np.repeat(np.arange(after), section.previous.shape[1])
            target.append(node + before + arrive[order])
            coset.append(len(offset) + section.coset.reshape(-1)[order])
            degree.append(np.bincount(leave, minlength=before))
            ring = np.sort(np.mod(section.offset, section.step))
            spacing = np.diff(np.append(ring, ring[0] + section.step)).min()
            offset.extend(section.offset)
            step.extend([section.step] * len(section.offset))
            tolerance.extend([spacing / 2] * len(section.offset))
            node += before
            self.first_node.append(node)
        self.sections = trellis.dimension
        self.final_states = states[-1]
        self.target = np.concatenate(target).astype(np.int64)
        self.coset = np.concatenate(coset).astype(np.int64)
        self.start = np.concatenate([[0], np.cumsum(np.concatenate(degree))]).astype(np.int64)
        self.offset = np.array(offset)
        self.step = np.array(step)
        self.tolerance = np.array(tolerance)
        self.cosets_before = np.concatenate(
            [[0], np.cumsum([len(section.offset) for section in trellis.sections])]
        )

    @property
    def arrays(self) -> tuple[Array, ...]:
        """The arrays that the kernels walk along."""
        return self.start, self.target, self.coset, self.offset, self.step, self.tolerance

    def branch_probabilities(self, mass: Array) -> tuple[Array, Array]:
        """Return p(branch | node) and p(node).

        Arguments:
            mass: log mass of each coset, shape (n, cosets).
        """
        flat = np.concatenate(
            [
                mass[t, : self.cosets_before[t + 1] - self.cosets_before[t]]
                for t in range(self.sections)
            ]
        )
        nodes = len(self.start) - 1 + self.final_states
        completion = np.zeros(nodes)
        probability = np.empty(len(self.target))
        for t in range(self.sections - 1, -1, -1):
            low, high = self.first_node[t], self.first_node[t + 1]
            branches = slice(self.start[low], self.start[high])
            weight = flat[self.coset[branches]] + completion[self.target[branches]]
            starts = self.start[low:high] - self.start[low]
            completion[low:high] = np.logaddexp.reduceat(weight, starts)
            degree = np.diff(self.start[low : high + 1])
            probability[branches] = np.exp(weight - np.repeat(completion[low:high], degree))
        occupancy = np.zeros(nodes)
        occupancy[0] = 1
        for t in range(self.sections):
            low, high = self.first_node[t], self.first_node[t + 1]
            branches = slice(self.start[low], self.start[high])
            degree = np.diff(self.start[low : high + 1])
            flow = probability[branches] * np.repeat(occupancy[low:high], degree)
            np.add.at(occupancy, self.target[branches], flow)
        return probability, occupancy

    def entropy(self, probability: Array, occupancy: Array) -> float:
        """Return the entropy of the path in bits."""
        at = np.repeat(occupancy[: len(self.start) - 1], np.diff(self.start))
        return float(-np.sum(at * probability * np.log2(np.maximum(probability, 1e-300))))

    def coset_use(self, probability: Array, occupancy: Array) -> Array:
        """Return how often each coset is used in a point, on average."""
        at = np.repeat(occupancy[: len(self.start) - 1], np.diff(self.start))
        return np.bincount(self.coset, weights=at * probability, minlength=len(self.offset))


def _integer_probabilities(model: Exact, graph: _Graph, row: int) -> list[tuple[int, Array]]:
    """Return for each coset the first integer and p(z | coset), the escape's last."""
    found = []
    low, high = (end.numpy() for end in model.density.support())
    for t in range(graph.sections):
        channel = int(model.channel[row, t])
        for c in range(graph.cosets_before[t], graph.cosets_before[t + 1]):
            offset, step = graph.offset[c], graph.step[c]
            first = math.floor((low[channel] - offset) / step)
            integers = np.arange(first, math.ceil((high[channel] - offset) / step) + 1)
            value = torch.as_tensor(offset + step * integers)
            with torch.no_grad():
                log_density = model.density.log_density(
                    value, torch.full(value.shape, channel)
                ).numpy()
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
    start,
    target,
    coset,
    offset,
    step,
    tolerance,
    branch_left,
    first_integer,
    table_start,
    left,
):
    words, count = np.empty(1024, dtype=np.uint32), 0
    lower, width = np.uint64(0), ~np.uint64(0)
    pending, first = 0, np.uint64(0)
    vectors, rows, n = points.shape
    cosets = len(offset)
    for i in range(vectors):
        for row in range(rows):
            node = 0
            for t in range(n):
                value = points[i, row, t]
                best, integer, error = -1, 0.0, np.inf
                for b in range(start[node], start[node + 1]):
                    c = coset[b]
                    z = np.rint((value - offset[c]) / step[c])
                    distance = abs(value - (offset[c] + step[c] * z))
                    if distance < error:
                        best, integer, error = b, z, distance
                c = coset[best]
                if not error < 0.5 * tolerance[c] or abs(integer) > 2.0**52:
                    return words[:0], i
                if start[node + 1] - start[node] > 1:
                    words, count, lower, width, pending, first = put(
                        words, count, lower, width, pending, first,
                        branch_left[row, best, 0], branch_left[row, best, 1],
                    )  # fmt: skip
                table = table_start[row * cosets + c]
                size = table_start[row * cosets + c + 1] - table - 2  # integers in the table
                k = np.int64(integer) - first_integer[row, c]
                symbol = k if 0 <= k < size else size
                words, count, lower, width, pending, first = put(
                    words, count, lower, width, pending, first,
                    left[table + symbol], left[table + symbol + 1] - left[table + symbol],
                )  # fmt: skip
                if symbol == size:
                    # Elias gamma code of how far outside, after a bit that tells the side.
                    excess = int(-k if k < 0 else k - size + 1)
                    length = 0
                    while excess >> (length + 1):
                        length += 1
                    for position in range(2 * length + 2):
                        if position == 0:
                            bit = int(k < 0)
                        elif position <= length:
                            bit = 0
                        else:
                            bit = (excess >> (2 * length + 1 - position)) & 1
                        words, count, lower, width, pending, first = put(
                            words, count, lower, width, pending, first, bit * _HALF, _HALF
                        )
                node = target[best]
    words, count = finish(words, count, lower, width, pending, first)
    return words[:count], -1


@kernel
def _decode(  # type: ignore[no-untyped-def]
    words,
    points,
    start,
    target,
    coset,
    offset,
    step,
    tolerance,
    branch_left,
    first_integer,
    table_start,
    left,
):
    position, lower, width, point = start_decoder(words)
    vectors, rows, n = points.shape
    cosets = len(offset)
    for i in range(vectors):
        for row in range(rows):
            node = 0
            # The decoder reads at most one word beyond the last that the encoder wrote.
            if position > len(words) + 2:
                return False
            for t in range(n):
                b = start[node]
                if start[node + 1] - b > 1:
                    part = quantile(lower, width, point)
                    if part >= TOTAL:
                        return False
                    while part >= np.uint64(branch_left[row, b, 0]) + np.uint64(
                        branch_left[row, b, 1]
                    ):
                        b += 1
                    position, lower, width, point = get(
                        words, position, lower, width, point,
                        branch_left[row, b, 0], branch_left[row, b, 1],
                    )  # fmt: skip
                c = coset[b]
                table = table_start[row * cosets + c]
                size = table_start[row * cosets + c + 1] - table - 2
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
                k = low
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
                    k = -excess if below else size - 1 + excess
                points[i, row, t] = offset[c] + step[c] * np.float64(k + first_integer[row, c])
                node = target[b]
    return True
