"""What every bitstream of lattice points offers."""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor

from ltc.codec.container import CHUNK, LARGEST_CHUNK
from ltc.errors import InputError
from ltc.threads import in_parallel

__all__ = ["Code"]

# Chunks that a thread decodes at a time.
TOGETHER = 64


class Code(ABC):
    """A way of writing lattice points as bytes.

    Attributes:
        shape: rows and coordinates of the vectors of a point.
    """

    shape: tuple[int, int]

    @property
    @abstractmethod
    def fingerprint(self) -> bytes:
        """A digest of all that a decoder needs, 8 bytes: equal if and only if that is."""

    @property
    def chunk(self) -> int:
        """Bytes after which a chunk ends."""
        return CHUNK

    @property
    def most_vectors(self) -> int:
        """How many vectors a chunk holds at most."""
        return max(1, LARGEST_CHUNK // math.prod(self.shape))

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """Return what a checkpoint has to hold beside the coder."""

    def encode(self, points: Tensor) -> bytes:
        """Encode points.

        Arguments:
            points: lattice units, shape (count, rows, n).

        Returns:
            The stream; it does not know its own length in vectors.

        Raises:
            InputError: a point is none that this code knows, or the shape is another.
        """
        return b"".join(stream for _, stream in self._encode(self._checked(points), 0, None))

    def decode(self, stream: bytes, count: int) -> Tensor:
        """Decode points.

        Arguments:
            stream: what `encode` returned.
            count: number of vectors.

        Returns:
            Points in lattice units, shape (count, rows, n), float64, on the CPU.

        Raises:
            InputError: no points have this stream.
        """
        return self.decode_chunks([(count, stream)])[0]

    def encode_chunks(self, points: Tensor, target: int | None = None) -> list[tuple[int, bytes]]:
        """Encode points as independent streams, in parallel.

        Arguments:
            points: lattice units, shape (count, rows, n).
            target: bytes after which a chunk ends; None: `chunk`. The division depends on the
                points alone, so that the same points have the same streams whatever the machine.

        Returns:
            For each chunk the number of its vectors and its stream.

        Raises:
            InputError: a point is none that this code knows, or the shape is another.
        """
        points, most = self._checked(points), self.most_vectors
        target = self.chunk if target is None else target
        return in_parallel(
            lambda start: self._encode(points[start : start + most], start, target),
            range(0, len(points), most),
        )

    def decode_chunks(self, chunks: list[tuple[int, bytes]]) -> list[Tensor]:
        """Undo `encode_chunks`, in parallel; a tensor of shape (count, rows, n) for each."""
        largest = max((count for count, _ in chunks), default=0)
        if largest > self.most_vectors:
            raise InputError(f"a stream of {largest} vectors is larger than any that ltc writes")
        pieces = [chunks[start : start + TOGETHER] for start in range(0, len(chunks), TOGETHER)]
        return in_parallel(self._decode, pieces)

    def lengths(self, points: Tensor) -> Tensor:
        """Return how long the stream of each vector alone is, in bits up to its last one.

        Arguments:
            points: lattice units, shape (count, rows, n).

        Returns:
            Shape (count,), float64, on the CPU; inf where there is no stream.
        """
        points = self._checked(points).cpu()

        def some(first: int) -> list[float]:
            return [self._length(point[None]) for point in points[first : first + TOGETHER]]

        found = in_parallel(some, range(0, len(points), TOGETHER))
        return torch.tensor(found, dtype=torch.float64)

    def _length(self, points: Tensor) -> float:
        try:
            stream = self._encode(points, 0, None)[0][1].rstrip(b"\0")
        except InputError:
            return math.inf
        return 8 * len(stream) - (stream[-1] & -stream[-1]).bit_length() + 1 if stream else 0

    def _checked(self, points: Tensor) -> Tensor:
        if points.shape[1:] != self.shape:
            raise InputError(
                f"got points of shape {tuple(points.shape)}; this code needs "
                f"(count, {self.shape[0]}, {self.shape[1]})"
            )
        return points.detach()

    @abstractmethod
    def _encode(self, points: Tensor, first: int, target: int | None) -> list[tuple[int, bytes]]:
        """Return chunks of `target` bytes each, or one; `first` is the number of the first."""

    @abstractmethod
    def _decode(self, chunks: list[tuple[int, bytes]]) -> list[Tensor]:
        """Return the points of each chunk, shape (count, rows, n)."""
