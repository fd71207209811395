"""Whole pictures and sounds as `.ltc` files."""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ltc.checks import digest
from ltc.codec import grid_stream
from ltc.codec.container import Container
from ltc.codec.described import describe, described
from ltc.codec.files import Aim, silent, taken
from ltc.codec.range_coder import from_bytes, to_bytes
from ltc.coder.grid import LARGEST_STEP
from ltc.errors import InputError
from ltc.media import LARGEST, Payload
from ltc.media.size import check_size
from ltc.threads import each_in_parallel

if TYPE_CHECKING:
    from ltc.coder.grid import GridCoder

__all__ = ["GridFileCoder", "Written"]

# Steps tried for a size or an error that was asked for; octaves of the size, or dB, that are near
# enough to stop, and too far to be what was asked for.
TRIES, NEAR, FAR = 14, 0.005, 0.1
# By how much size, in octaves, and ratio, in dB, fall where the step doubles, about.
OCTAVES, DECIBELS = 0.8, 4.5
# What no error is taken as, dB: more than 24 bits can have.
LOSSLESS = 200.0
# Bytes that each number takes as latent, level and magnitude.
BYTES = 12

Planes = NDArray[np.float32]
Size = tuple[int, int, int]


class Written(NamedTuple):
    """A picture or a sound as a file.

    Attributes:
        data: the file.
        bits: the length of its streams by the tables.
        streams: uint32 each.
        metadata: what the header says.
    """

    data: bytes
    bits: float
    streams: list[NDArray[np.uint32]]
    metadata: dict[str, Any]


class GridFileCoder(ABC):
    """A trained coder of whole pictures or sounds at work on files.

    Arguments:
        model: the coder.
        facts: of the source, see `ltc.runs.run.facts`.

    Attributes:
        kind: of the payloads.
        called: what they are called in messages.
        size_aim, error_aim: what a file can be asked to have beside `lmbda`: bits per pixel or per
            sample, and a ratio in dB.
        other_aims: others, which say the step.
    """

    kind: str
    called: str
    size_aim: str
    error_aim: str
    other_aims: tuple[str, ...] = ("lmbda",)

    def __init__(self, model: GridCoder, facts: dict[str, Any]) -> None:
        self.model = model
        self.facts = facts

    @abstractmethod
    def check(self, payload: Payload) -> None:
        """Raise an InputError where a payload of the right kind cannot be coded."""

    @abstractmethod
    def values(self, array: NDArray[Any]) -> list[NDArray[np.float32]]:
        """Return what `GridTransform.planes` takes of an array."""

    @abstractmethod
    def latents(self, payload: Payload) -> tuple[list[Planes], dict[str, Any]]:
        """Return what is coded, a latent for each stream, and what the header says beside."""

    @abstractmethod
    def sizes(self, shape: tuple[int, ...]) -> list[Size]:
        """Return the shape of each latent of an array."""

    @abstractmethod
    def joined(
        self, latents: list[Planes], shape: tuple[int, ...], metadata: dict[str, Any]
    ) -> NDArray[Any]:
        """Return the array of latents, which may be overwritten, in units of the values."""

    def rate_and_type(self, metadata: dict[str, Any], shape: tuple[int, ...]) -> dict[str, Any]:
        """Return what a payload has beside its array, of a checked header: of a picture nothing.

        Raises:
            InputError: the header is not of this model.
        """
        return {}

    @abstractmethod
    def step_of(self, aim: Aim) -> int:
        """Return the step of one of the `other_aims`."""

    @abstractmethod
    def power(self, payload: Payload) -> float:
        """Return what the error is compared with."""

    @abstractmethod
    def units(self, shape: tuple[int, ...]) -> int:
        """Return how many pixels or samples an array has."""

    @property
    def fingerprint(self) -> bytes:
        """A digest of everything that a decoder needs, 8 bytes."""
        parameters = (part for item in sorted(self.model.state_dict().items()) for part in item)
        facts = repr((sorted(self.facts.items()), self.model.transform.denoise))
        following, coset, volume = self.model.branches
        return bytes.fromhex(digest(following, coset, repr(volume), *parameters, facts))[:8]

    def compress(
        self,
        payload: Payload,
        progress: Callable[[float], None] = silent,
        aim: Aim | None = None,
        largest: int | None = None,
    ) -> bytes:
        """Return an `.ltc` file of a picture or a sound.

        Arguments:
            payload: what to compress.
            progress: told now and then what share is done, from 0 to 1.
            aim: the size or the quality that it is to have; None: the lmbda of training.
            largest: bytes that its numbers may take in memory; None: 2^30.

        Raises:
            InputError: it is of another kind, is larger, or has no such size or quality.
        """
        return self.encode(payload, progress, aim, largest).data

    def encode(
        self,
        payload: Payload,
        progress: Callable[[float], None] = silent,
        aim: Aim | None = None,
        largest: int | None = None,
    ) -> Written:
        """Return what `compress` writes, and its length by the tables; arguments as there."""
        if payload.kind != self.kind:
            raise InputError(
                f"this model was trained on {self.called}s, and cannot compress {payload.kind}"
            )
        self.check(payload)
        (array,) = payload.arrays.values()
        self._check_size(array.shape, largest)
        if aim is not None and aim.name not in (self.size_aim, self.error_aim, *self.other_aims):
            known = ", ".join((self.size_aim, self.error_aim, *self.other_aims))
            raise InputError(
                f"{aim.name}= is not asked of a {self.called}; expected one of {known}"
            )
        latents, metadata = self.latents(payload)
        metadata = {**describe(payload), **metadata}
        start = self.model.step(self.model.lmbda)
        if aim is None or aim.name in self.other_aims:
            step = start if aim is None else self.step_of(aim)
            return self._written(metadata, latents, step, progress)
        count = max(self.units(array.shape), 1)
        wanted = math.log2(aim.value) if aim.name == self.size_aim else aim.value
        power = self.power(payload)
        tried: dict[int, tuple[float, Written]] = {}

        def excess(octave: float) -> float:
            """Return by how much a step misses: octaves of the size, or dB; it falls with it."""
            step = round(2.0**octave)
            if step not in tried:
                written = self._written(
                    metadata,
                    latents,
                    step,
                    lambda part: progress(1 - 0.75 ** (len(tried) + part)),
                )
                if aim.name == self.size_aim:
                    found = math.log2(8 * len(written.data) / count)
                else:
                    decoded = self._decoded(written.streams, written.metadata, array.shape)
                    error = np.square(decoded.astype(float) - array).mean() if array.size else 0.0
                    found = 10 * math.log10(max(power / error, 1e-20)) if error > 0 else LOSSLESS
                tried[step] = found - wanted, written
            miss = tried[step][0]
            return 0.0 if abs(miss) < NEAR else miss

        fall = OCTAVES if aim.name == self.size_aim else DECIBELS
        at = math.log2(start)
        miss, stride = excess(at), 0.02
        while miss:  # onto the other side, from where there are few steps to go
            stride = max(2 * stride, 1.1 * abs(miss) / fall)
            beyond = at + math.copysign(stride, miss)
            beyond = min(max(beyond, 0.0), math.log2(LARGEST_STEP))
            if beyond == at:
                break  # there are no others
            found = excess(beyond)
            if miss * found < 0:
                import scipy.optimize  # not above: it is slow to import, and few files ask for it

                scipy.optimize.brentq(excess, at, beyond, xtol=1e-4, maxiter=TRIES, disp=False)
                break
            at, miss = beyond, found
        miss, best = min(tried.values(), key=lambda one: (abs(one[0]), len(one[1].data)))
        better = [one for one in tried.values() if one[0] > 0 and aim.name == self.error_aim]
        if abs(miss) > FAR and better:  # nothing smaller is as good as asked: a flat picture
            miss, best = min(better, key=lambda one: (one[0], len(one[1].data)))
        elif abs(miss) > FAR:
            nearest = f"{2 ** (wanted + miss) if aim.name == self.size_aim else wanted + miss:.4g}"
            raise InputError(
                f"{aim.name}={aim.value:g} cannot be reached for this {self.called}; the nearest "
                f"is {'without loss' if wanted + miss == LOSSLESS else nearest}"
            )
        return best

    def _written(
        self,
        metadata: dict[str, Any],
        latents: list[Planes],
        step: int,
        progress: Callable[[float], None],
    ) -> Written:
        """Return the file of latents at a step."""
        progresses = _shared(progress, len(latents))

        def one(task: tuple[Planes, Callable[[float], None]]) -> tuple[float, NDArray[np.uint32]]:
            encoded = self.model.encode(task[0], step, task[1])
            return encoded.bits, grid_stream.encode(self.model, encoded.level)

        found = list(each_in_parallel(one, zip(latents, progresses, strict=True)))
        metadata = {**metadata, "step": step}
        streams = [words for _, words in found]
        chunks: list[tuple[int, bytes | None]] = [(1, to_bytes(words)) for words in streams]
        data = Container(self.fingerprint, metadata, chunks).pack()
        return Written(data, sum(bits for bits, _ in found), streams, metadata)

    def decompress(
        self,
        data: bytes,
        salvage: bool = False,
        largest: int | None = None,
        progress: Callable[[float], None] = silent,
        accept: Callable[[Payload], object] = taken,
    ) -> tuple[Payload, list[int]]:
        """Return the payload of an `.ltc` file; arguments and errors as of `FileCoder`."""
        container = Container.unpack(data, salvage)
        container.check_model(self.fingerprint)
        streams = [stream for _, stream in container.chunks]
        if streams and all(stream is None for stream in streams):
            raise InputError(f"the {self.called} is damaged: nothing is left")
        ((name, shape, dtype),) = described(container.metadata)
        if container.metadata["kind"] != self.kind:
            raise InputError(
                f"the header's metadata has kind {container.metadata['kind']!r}, which this model "
                "has not"
            )
        more = self.rate_and_type(container.metadata, shape)
        step = container.metadata.get("step")
        self._check_size(shape, largest)  # before its pieces are counted
        whole = type(step) is int and 0 < step <= LARGEST_STEP
        if not whole or len(streams) != len(self.sizes(shape)):
            raise InputError(
                f"the header's metadata describes no {self.called} that this model codes"
            )
        suffix = container.metadata["suffix"]
        accept(Payload(self.kind, {name: np.empty(shape, dtype)}, suffix, **more))
        words = [None if stream is None else from_bytes(stream) for stream in streams]
        array = self._decoded(words, container.metadata, shape, progress)
        payload = Payload(self.kind, {name: array}, suffix, **more)
        return payload, [i for i, stream in enumerate(streams) if stream is None]

    def _check_size(self, shape: tuple[int, ...], largest: int | None) -> None:
        """Refuse what takes more memory than allowed, in whole blocks."""
        largest = LARGEST if largest is None else largest
        check_size(BYTES * math.prod(shape), largest)  # before its pieces are counted
        check_size(BYTES * sum(map(math.prod, self.sizes(shape))), largest)

    def _decoded(
        self,
        streams: Sequence[NDArray[np.uint32] | None],
        metadata: dict[str, Any],
        shape: tuple[int, ...],
        progress: Callable[[float], None] = silent,
    ) -> NDArray[Any]:
        """Return the array of streams, the same on every machine; of a missing one zeros."""
        tasks = zip(streams, self.sizes(shape), _shared(progress, len(streams)), strict=True)
        latents = list(each_in_parallel(lambda task: self._latent(*task), tasks))
        for latent in latents:
            latent *= np.float32(self.model.unit(metadata["step"]))
        return self.joined(latents, shape, metadata)

    def _latent(
        self, words: NDArray[np.uint32] | None, size: Size, progress: Callable[[float], None]
    ) -> Planes:
        """Return the latent of a stream, in units of the step."""
        if words is None:
            return np.zeros(size, np.float32)
        return grid_stream.decode(self.model, words, size, progress)[1]


def _shared(progress: Callable[[float], None], count: int) -> list[Callable[[float], None]]:
    """Return what each of several tasks tells its share to."""
    shares = [0.0] * count

    def told(task: int, share: float) -> None:
        shares[task] = share
        progress(sum(shares) / count)

    return [functools.partial(told, task) for task in range(count)]
