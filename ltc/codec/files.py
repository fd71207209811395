"""Arrays, pictures and sounds as `.ltc` files."""

from __future__ import annotations

import hashlib
import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import soundfile
import torch
from PIL import Image
from torch import Tensor

from ltc.codec.code import LatticeCode
from ltc.codec.container import Container
from ltc.codec.fixed_rate import FixedRateCode
from ltc.errors import InputError

if TYPE_CHECKING:
    from ltc.coder import LatticeTransformCoder

__all__ = ["FileCoder", "Payload"]

Array = npt.NDArray[Any]
IMAGES = (".png", ".jpg", ".jpeg")
SOUNDS = (".wav", ".flac")
ARRAYS = (".npy", ".npz")


@dataclass
class Payload:
    """What a file holds.

    Attributes:
        kind: `array`, `image` or `audio`.
        arrays: the numbers, by name. An image has one, of shape (height, width) or
            (height, width, 3) and 8 bits; a sound has one, of shape (samples,), from -1 to 1.
        suffix: the ending of the file to write.
        rate: samples per second of a sound.
    """

    kind: str
    arrays: dict[str, Array]
    suffix: str
    rate: int | None = None

    @property
    def scalars(self) -> int:
        """How many numbers it holds."""
        return sum(array.size for array in self.arrays.values())

    @property
    def peak(self) -> float | None:
        """The largest value that a number can have, for the PSNR of images."""
        return 255.0 if self.kind == "image" else None

    def distortion(self, other: Payload) -> float:
        """Return the mean squared error between two payloads of the same shapes."""
        errors = [
            np.square(array.astype(np.float64) - other.arrays[name].astype(np.float64)).sum()
            for name, array in self.arrays.items()
        ]
        return float(sum(errors)) / max(self.scalars, 1)

    def variance(self) -> float:
        """Return the variance of its numbers."""
        values = np.concatenate(
            [array.astype(np.float64).ravel() for array in self.arrays.values()]
        )
        return float(values.var())

    @classmethod
    def read(cls, data: bytes, suffix: str) -> Payload:
        """Read a file's bytes.

        Arguments:
            data: the file.
            suffix: its ending, which says what it is.

        Raises:
            InputError: it cannot be read as what the ending says.
        """
        stream = io.BytesIO(data)
        suffix = suffix.lower()
        try:
            if suffix in IMAGES:
                with Image.open(stream) as picture:
                    grey = picture.mode in ("1", "L", "LA", "I", "I;16", "F")
                    pixels = np.asarray(picture.convert("L" if grey else "RGB"))
                return cls("image", {"image": pixels}, ".png")
            if suffix in SOUNDS:
                sound, rate = soundfile.read(stream, dtype="float32")
                if sound.ndim != 1:
                    raise InputError(
                        f"this sound has {sound.shape[1]} channels; mix it to one first"
                    )
                return cls("audio", {"audio": sound}, suffix, rate)
            if suffix == ".npy":
                return cls("array", {"array": np.load(stream, allow_pickle=False)}, suffix)
            if suffix == ".npz":
                with np.load(stream, allow_pickle=False) as archive:
                    return cls("array", {name: archive[name] for name in archive.files}, suffix)
        except InputError:
            raise
        except Exception as error:
            raise InputError(f"the input is no valid {suffix} file: {error}") from error
        kinds = ", ".join((*ARRAYS, *IMAGES, *SOUNDS))
        raise InputError(
            f"cannot compress {suffix or 'a file without an ending'}; expected {kinds}"
        )

    def write(self, suffix: str | None = None) -> bytes:
        """Return the bytes of a file.

        Arguments:
            suffix: its ending; None: as the payload says.

        Raises:
            InputError: the ending does not suit the payload.
        """
        suffix = (suffix or self.suffix).lower()
        stream = io.BytesIO()
        if self.kind == "image" and suffix in IMAGES:
            form = "PNG" if suffix == ".png" else "JPEG"
            Image.fromarray(self.arrays["image"]).save(stream, form)
        elif self.kind == "audio" and suffix in SOUNDS:
            assert self.rate is not None
            soundfile.write(stream, self.arrays["audio"], self.rate, format=suffix[1:].upper())
        elif self.kind == "array" and suffix == ".npy" and len(self.arrays) == 1:
            np.save(stream, next(iter(self.arrays.values())), allow_pickle=False)
        elif self.kind == "array" and suffix == ".npz":
            np.savez(stream, **self.arrays)  # type: ignore[arg-type]
        else:
            raise InputError(f"cannot write {self.kind} as {suffix}; use {self.suffix}")
        return stream.getvalue()


class FileCoder:
    """A trained coder at work on files.

    Arguments:
        model: the coder.
        code: its frozen entropy model.
        facts: of the source: `dimension`; of pictures also `patch`, of sounds `sample_rate`, and
            of both `offset` and `gain`, which bring values to the scale of training.
    """

    def __init__(
        self,
        model: LatticeTransformCoder,
        code: LatticeCode | FixedRateCode,
        facts: dict[str, Any],
    ) -> None:
        self.model = model
        self.code = code
        self.facts = facts

    @property
    def fingerprint(self) -> bytes:
        """A digest of everything that a decoder needs, 16 bytes."""
        digest = hashlib.sha256(self.code.fingerprint)
        for name, value in sorted(self.model.state_dict().items()):
            digest.update(name.encode() + value.cpu().numpy().tobytes())
        digest.update(repr(sorted(self.facts.items())).encode())
        return digest.digest()[:16]

    def compress(self, payload: Payload) -> bytes:
        """Return an `.ltc` file of a payload.

        Arguments:
            payload: what to compress.

        Raises:
            InputError: the model was not trained for this kind, or a number is not finite.
        """
        expected = self._kind
        if payload.kind not in ("array", expected):
            raise InputError(
                f"this model was trained on {expected} data, and cannot compress {payload.kind}"
            )
        if payload.kind == "audio" and payload.rate != self.facts["sample_rate"]:
            raise InputError(
                f"this sound has {payload.rate} samples per second, the model's training had "
                f"{self.facts['sample_rate']}; resample it first"
            )
        rows = []
        for name, array in payload.arrays.items():
            if array.dtype.kind not in "fiub" or array.dtype.itemsize > 8:
                raise InputError(f"{name} has type {array.dtype}; expected real numbers")
            if not np.isfinite(array).all():
                raise InputError(f"{name} holds NaN or infinity, which have no distortion")
            rows.append(self._rows(array, payload.kind))
        samples = torch.cat(rows) if rows else torch.zeros(0, self.facts["dimension"])
        block = self.model.layout.block
        missing = -len(samples) % block
        samples = torch.cat([samples, samples[-1:].expand(missing, -1)])
        blocks = samples.unflatten(0, (-1, block)) if len(samples) else samples[:, None]
        with torch.no_grad():
            parts = blocks.split(max(1, (1 << 18) // (block * samples.shape[1])))
            points = [self.model.encode(part).flatten(0, 1) for part in parts if len(part)]
        metadata: dict[str, Any] = {
            "kind": payload.kind,
            "suffix": payload.suffix,
            "arrays": [[n, list(a.shape), a.dtype.str] for n, a in payload.arrays.items()],
        }
        if payload.rate is not None:
            metadata["rate"] = payload.rate
        chunks = self.code.encode_chunks(torch.cat(points)) if points else []
        return Container(self.fingerprint, metadata, list(chunks)).pack()

    def decompress(self, data: bytes, salvage: bool = False) -> tuple[Payload, list[int]]:
        """Return the payload of an `.ltc` file.

        Arguments:
            data: the file.
            salvage: whether what a damaged chunk held is filled with the decoded origin.

        Returns:
            The payload and the numbers of the damaged chunks.

        Raises:
            InputError: the file is damaged, or was written by another model.
        """
        container = Container.unpack(data, salvage)
        if container.fingerprint != self.fingerprint:
            raise InputError(
                f"the file was written by model {container.fingerprint.hex()}, this is model "
                f"{self.fingerprint.hex()}; give the checkpoint that compressed it"
            )
        shapes = _shapes(container.metadata)
        kind = container.metadata.get("kind")
        if kind not in ("array", self._kind):
            raise InputError(f"the header's metadata has kind {kind!r}, which this model has not")
        rows = [self._row_count(shape, kind) for _, shape, _ in shapes]
        layout = self.model.layout
        vectors = math.ceil(sum(rows) / layout.block) * layout.repeats
        if vectors != sum(count for count, _ in container.chunks):
            raise InputError("the header is inconsistent: its chunks do not hold its arrays")
        damaged = [i for i, (_, stream) in enumerate(container.chunks) if stream is None]
        whole = [(count, stream) for count, stream in container.chunks if stream is not None]
        decoded = iter(self.code.decode_chunks(whole))
        tail = layout.channel.shape
        points = [
            torch.zeros(count, *tail, dtype=torch.float64) if stream is None else next(decoded)
            for count, stream in container.chunks
        ]
        samples = torch.zeros(0, self.facts["dimension"])
        if points:
            values = torch.cat(points).float().unflatten(0, (-1, layout.repeats))
            with torch.no_grad():
                parts = values.split(max(1, (1 << 18) // values[0].numel()))
                samples = torch.cat([self.model.decode(part).flatten(0, 1) for part in parts])
        arrays = {}
        for (name, shape, dtype), part in zip(
            shapes, samples[: sum(rows)].split(rows) if rows else [], strict=True
        ):
            arrays[name] = self._array(part, shape, dtype, kind)
        suffix, rate = container.metadata.get("suffix"), container.metadata.get("rate")
        if suffix not in (*ARRAYS, *IMAGES, *SOUNDS) or not isinstance(rate, int | None):
            raise InputError("the header's metadata is inconsistent")
        return Payload(kind, arrays, suffix, rate), damaged

    @property
    def _kind(self) -> str:
        if "patch" in self.facts:
            return "image"
        return "audio" if "sample_rate" in self.facts else "array"

    def _rows(self, array: Array, kind: str) -> Tensor:
        """Cut an array into source vectors, shape (rows, d)."""
        values = torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
        if kind == "image":
            p = self.facts["patch"]
            planes = values.reshape(*values.shape[:2], -1).permute(2, 0, 1)
            planes = torch.nn.functional.pad(
                planes[None], (0, -values.shape[1] % p, 0, -values.shape[0] % p), mode="replicate"
            )[0]
            rows = planes.unfold(1, p, p).unfold(2, p, p).reshape(-1, p * p)
        else:
            d = self.facts["dimension"]
            flat = values.reshape(-1)
            last = flat[-1:] if len(flat) else flat
            rows = torch.cat([flat, last.expand(-len(flat) % d)]).reshape(-1, d)
        if kind != "array":
            rows = (rows - self.facts["offset"]) / self.facts["gain"]
        return rows

    def _row_count(self, shape: tuple[int, ...], kind: str) -> int:
        if kind == "image":
            p = self.facts["patch"]
            return math.prod(shape[2:]) * -(-shape[0] // p) * -(-shape[1] // p)
        return -(-math.prod(shape) // self.facts["dimension"])

    def _array(
        self, rows: Tensor, shape: tuple[int, ...], dtype: np.dtype[Any], kind: str
    ) -> Array:
        """Undo `_rows`."""
        if kind != "array":
            rows = rows * self.facts["gain"] + self.facts["offset"]
        if kind == "image":
            p = self.facts["patch"]
            high, wide = -(-shape[0] // p), -(-shape[1] // p)
            planes = rows.reshape(-1, high, wide, p, p).transpose(2, 3)
            planes = planes.reshape(-1, high * p, wide * p)[:, : shape[0], : shape[1]]
            values = planes.permute(1, 2, 0).reshape(shape)
        else:
            values = rows.reshape(-1)[: math.prod(shape)].reshape(shape)
        array: Array = values.numpy().astype(np.float64)
        if dtype.kind in "iub":
            low, high_value = (0, 1) if dtype.kind == "b" else _limits(dtype)
            array = np.clip(np.rint(array), low, high_value)
        if kind == "audio":
            array = np.clip(array, -1, 1)
        return array.astype(dtype)


def _limits(dtype: np.dtype[Any]) -> tuple[float, float]:
    limits = np.iinfo(dtype)
    # The largest 64-bit integers are not representable in float64.
    return float(limits.min), float(np.nextafter(float(limits.max), 0))


def _shapes(metadata: dict[str, Any]) -> list[tuple[str, tuple[int, ...], np.dtype[Any]]]:
    """Return the checked names, shapes and types of the arrays in a header."""
    shapes = []
    entries = metadata.get("arrays")
    wrong = InputError("the header's metadata does not describe arrays")
    if not isinstance(entries, list):
        raise wrong
    for entry in entries:
        if not isinstance(entry, list) or len(entry) != 3:
            raise wrong
        name, shape, kind = entry
        sane = isinstance(name, str) and isinstance(kind, str) and isinstance(shape, list)
        if not sane or not all(isinstance(n, int) and 0 <= n < 2**40 for n in shape):
            raise wrong
        if metadata.get("kind") == "image" and (len(shape) not in (2, 3) or 0 in shape):
            raise wrong
        try:
            dtype = np.dtype(kind)
        except TypeError as error:
            raise wrong from error
        if dtype.kind not in "fiub" or dtype.itemsize > 8:
            raise wrong
        shapes.append((name, tuple(shape), dtype))
    return shapes
