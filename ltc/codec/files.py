"""Arrays, pictures and sounds as `.ltc` files."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ltc.checks import digest
from ltc.codec.base import Code
from ltc.codec.container import Container
from ltc.codec.described import describe, described, described_sound
from ltc.coder import sequence
from ltc.errors import InputError
from ltc.media import LARGEST, SAMPLE_TYPES, Payload, Vectors, vector_count
from ltc.media.size import check_size

if TYPE_CHECKING:
    from ltc.coder import LatticeTransformCoder

__all__ = ["Aim", "FileCoder", "Payload", "silent", "taken"]

# Scalars that the transform maps at once, and that are decoded before it does.
PIECE = 1 << 18
GROUP = 1 << 21
# Beyond it squares are no numbers of 32 bits.
LARGEST_VALUE = 1e18


class Aim(NamedTuple):
    """What a file is to have.

    Attributes:
        name: `lmbda`, the weight of the distortion; of pictures `quality`, from 0 to 100, `bpp`,
            bits per pixel, or `psnr`, dB; of sounds `bps`, bits per sample, or `snr`, dB.
        value: of it.
    """

    name: str
    value: float


def silent(share: float) -> None:
    """Report nothing of what share of the work is done."""


def taken(payload: Payload) -> None:
    """Accept every payload."""


class FileCoder:
    """A trained coder at work on files, a piece at a time.

    Arguments:
        model: the coder.
        code: its frozen entropy model.
        facts: of the source: `dimension`; of pictures also `patch`, of sounds `sample_rate`, and
            `offset` and `gain` where they bring values to the scale of training.
    """

    def __init__(self, model: LatticeTransformCoder, code: Code, facts: dict[str, Any]) -> None:
        self.model = model
        self.code = code
        self.facts = facts

    @property
    def fingerprint(self) -> bytes:
        """A digest of everything that a decoder needs, 8 bytes."""
        parameters = (part for item in sorted(self.model.state_dict().items()) for part in item)
        facts = repr(sorted(self.facts.items()))
        return bytes.fromhex(digest(self.code.fingerprint, *parameters, facts))[:8]

    def compress(
        self,
        payload: Payload,
        progress: Callable[[float], None] = silent,
        aim: Aim | None = None,
        largest: int | None = None,
    ) -> bytes:
        """Return an `.ltc` file of a payload.

        Arguments:
            payload: what to compress.
            progress: told now and then what share is done, from 0 to 1.
            aim: None: a coder of vectors has the rate that it was trained for.
            largest: bytes that its numbers may take in memory; None: any, they are there already.

        Raises:
            InputError: there is an aim, it is larger, the model was not trained for this kind, or a
                number is not finite or too large for the model's lattice.
        """
        if aim is not None:
            raise InputError(
                f"{aim.name}={aim.value:g} asks for another rate than that of training, which "
                "models of source=images and source=sounds have; this one codes vectors at the "
                "lmbda of its training"
            )
        if largest is not None:
            check_size(sum(array.nbytes for array in payload.arrays.values()), largest)
        expected = self._kind
        if payload.kind not in ("array", expected):
            raise InputError(
                f"this model was trained on {expected} data, and cannot compress {payload.kind}"
            )
        if payload.kind == "audio" and payload.arrays["audio"].ndim == 2:
            raise InputError(
                f"this sound has {payload.arrays['audio'].shape[1]} channels; expected mono: "
                "convert it, for example with `ffmpeg -i IN -ac 1 OUT`, or train source=sounds"
            )
        if payload.kind == "audio" and payload.rate != self.facts["sample_rate"]:
            raise InputError(
                f"this sound has {payload.rate} samples per second, the model's training had "
                f"{self.facts['sample_rate']}; resample it first"
            )
        for name, array in payload.arrays.items():
            if array.dtype.kind not in "fiub" or array.dtype.itemsize > 8:
                raise InputError(f"{name} has type {array.dtype}; expected real numbers")
        metadata = describe(payload)
        if payload.kind == "audio":
            metadata |= {"rate": payload.rate, "subtype": payload.subtype}
        return Container(self.fingerprint, metadata, self._encode(payload, progress)).pack()

    def _encode(
        self, payload: Payload, progress: Callable[[float], None]
    ) -> list[tuple[int, bytes | None]]:
        """Return the chunks of a payload."""
        vectors = self._vectors(payload)
        # As many as a code takes at a time, for each thread: chunks end where they would anyway.
        group = self.code.most_vectors * torch.get_num_threads()
        chunks: list[tuple[int, bytes | None]] = []
        parts: list[Tensor] = []
        waiting = 0
        unit = sequence.unit(self.model)
        piece = sequence.piece(self.model, vectors.dimension, PIECE)
        total = math.ceil(len(vectors) / unit) * unit
        for first in range(0, total, piece):
            values = torch.from_numpy(vectors.get(first, min(first + piece, total)))
            if not (values.abs() < LARGEST_VALUE).all():
                raise self._too_large(payload)
            try:
                parts.append(sequence.encode(self.model, values, self.code.lengths))
                waiting += len(parts[-1])
                whole = waiting if first + piece >= total else waiting // group * group
                if whole:
                    points = torch.cat(parts)
                    chunks.extend(self.code.encode_chunks(points[:whole]))
                    parts, waiting = [points[whole:]], waiting - whole
            except InputError as error:
                raise self._too_large(payload) from error
            progress(min((first + piece) / total, 1.0))
        return chunks

    def decompress(
        self,
        data: bytes,
        salvage: bool = False,
        largest: int | None = None,
        progress: Callable[[float], None] = silent,
        accept: Callable[[Payload], object] = taken,
    ) -> tuple[Payload, list[int]]:
        """Return the payload of an `.ltc` file.

        Arguments:
            data: the file.
            salvage: whether what a damaged chunk held is filled with the decoded origin.
            largest: bytes that its numbers may take in memory; None: 2^30.
            progress: told now and then what share is done, from 0 to 1.
            accept: gets the payload before its numbers are decoded, and raises an error where
                nobody could use it.

        Returns:
            The payload and the numbers of the damaged chunks.

        Raises:
            InputError: the file is damaged, was written by another model, or is larger.
        """
        container = Container.unpack(data, salvage)
        container.check_model(self.fingerprint)
        if container.chunks and all(stream is None for _, stream in container.chunks):
            raise InputError(f"all {len(container.chunks)} chunks are damaged: nothing is left")
        shapes = described(container.metadata)
        kind, suffix = container.metadata["kind"], container.metadata["suffix"]
        if kind not in ("array", self._kind):
            raise InputError(f"the header's metadata has kind {kind!r}, which this model has not")
        rate, subtype = described_sound(container.metadata, self.facts.get("sample_rate"))
        if any(count > self.code.most_vectors for count, _ in container.chunks):
            raise InputError("the header is inconsistent: a chunk is larger than any")
        patch = self._patch(kind)
        counts = [vector_count(shape, self.facts["dimension"], patch) for _, shape, _ in shapes]
        units = math.ceil(sum(counts) / sequence.unit(self.model))
        total = units * sequence.vectors_of_unit(self.model)
        if total != sum(count for count, _ in container.chunks):
            raise InputError("the header is inconsistent: its chunks do not hold its arrays")
        size = sum(math.prod(shape) * dtype.itemsize for _, shape, dtype in shapes)
        check_size(size, LARGEST if largest is None else largest)
        arrays = {name: np.empty(shape, dtype) for name, shape, dtype in shapes}
        payload = Payload(kind, arrays, suffix, rate, subtype)
        accept(payload)
        self._decode(container.chunks, payload, progress)
        return payload, [i for i, (_, stream) in enumerate(container.chunks) if stream is None]

    def _decode(
        self,
        chunks: list[tuple[int, bytes | None]],
        payload: Payload,
        progress: Callable[[float], None],
    ) -> None:
        """Fill the arrays of a payload with what chunks hold; None is the origin."""
        vectors, size = self._vectors(payload), math.prod(self.code.shape)
        group = max(1, GROUP // size)
        piece = sequence.piece(self.model, vectors.dimension, PIECE)
        step = piece // sequence.unit(self.model) * sequence.vectors_of_unit(self.model)
        pending = torch.zeros(0, *self.code.shape)
        first = at = 0
        while at < len(chunks):
            begin, count = at, 0
            while at < len(chunks) and (at == begin or count + chunks[at][0] <= group):
                count += chunks[at][0]
                at += 1
            points = torch.cat([pending, *self._points(chunks[begin:at])])
            whole = len(points) if at == len(chunks) else len(points) // step * step
            pending = points[whole:]
            for part in points[:whole].split(step):
                values = sequence.decode(self.model, part)
                vectors.put(first, values.numpy())
                first += len(values)
            progress(at / len(chunks))

    def _points(self, chunks: list[tuple[int, bytes | None]]) -> list[Tensor]:
        """Return the lattice points of chunks, float32; zeros where a stream is None."""
        whole = [(count, stream) for count, stream in chunks if stream is not None]
        decoded = iter(self.code.decode_chunks(whole))
        return [
            torch.zeros(count, *self.code.shape) if stream is None else next(decoded).float()
            for count, stream in chunks
        ]

    @property
    def _kind(self) -> str:
        if "patch" in self.facts:
            return "image"
        return "audio" if "sample_rate" in self.facts else "array"

    def _patch(self, kind: str) -> int | None:
        return self.facts["patch"] if kind == "image" else None

    def _vectors(self, payload: Payload) -> Vectors:
        """Return the source vectors of a payload; arrays of a model of others are not scaled."""
        own = payload.kind == self._kind
        return Vectors(
            payload.arrays,
            self.facts["dimension"],
            self._patch(payload.kind),
            self.facts.get("offset", 0.0) if own else 0.0,
            self.facts.get("gain", 1.0) if own else 1.0,
            SAMPLE_TYPES[payload.subtype] if payload.kind == "audio" else None,
        )

    def _too_large(self, payload: Payload) -> InputError:
        """Return the error that says which number the lattice cannot hold."""
        largest = {
            name: max(abs(float(array.max())), abs(float(array.min())))
            for name, array in payload.arrays.items()
            if array.size
        }
        name = max(largest, key=lambda key: largest[key])
        gain = self.facts.get("gain", 1.0) if payload.kind == self._kind else 1.0
        cell = gain * self.model.quantizer.scale.item()
        return InputError(
            f"{name} holds numbers of up to {largest[name]:.3g}, too large for this model, whose "
            f"lattice has points about {cell:.2g} apart and computes with 7 digits; remove "
            "outliers, divide the numbers by their standard deviation, or train a model on "
            "numbers like them (source=array source.path=FILE.npy)"
        )
