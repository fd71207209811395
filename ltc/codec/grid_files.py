"""Whole pictures as `.ltc` files."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ltc.checks import digest
from ltc.codec import grid_stream
from ltc.codec.container import Container
from ltc.codec.described import describe, described
from ltc.codec.files import Aim, silent, taken
from ltc.codec.range_coder import from_bytes, to_bytes
from ltc.coder.grid import FINEST, LARGEST_STEP
from ltc.errors import InputError
from ltc.media import LARGEST, Payload
from ltc.media.size import check_size

if TYPE_CHECKING:
    from ltc.coder.grid import GridCoder

__all__ = ["GridFileCoder", "Written", "quality_step"]

# Steps tried for a size or a PSNR that was asked for; octaves of the size, or dB, that are near
# enough to stop, and too far to be what was asked for.
TRIES, NEAR, FAR = 14, 0.005, 0.1
# What the PSNR of no error is taken as, dB: more than 16 bits can have.
LOSSLESS = 200.0
# Bytes that each number of a picture takes as latent, level and magnitude.
BYTES = 12


class Written(NamedTuple):
    """A picture as a file.

    Attributes:
        data: the file.
        bits: the length of its stream by the tables.
        words: its stream, uint32.
    """

    data: bytes
    bits: float
    words: NDArray[np.uint32]


def quality_step(quality: float) -> int:
    """Return the step of a quality, in 1/1024 of a pixel's value: halved by every 12.5.

    Raises:
        InputError: it is not between 0 and 100.

    Example: 50 is a step of 16, about 35 dB.
        >>> quality_step(50) / 1024, quality_step(100) / 1024
        (16.0, 1.0)
    """
    if not 0 <= quality <= 100:
        raise InputError(f"quality={quality:g}; expected a number from 0 to 100")
    return round(FINEST * 2 ** (8 - quality / 12.5))


class GridFileCoder:
    """A trained coder of whole pictures at work on files.

    Arguments:
        model: the coder.
        facts: of the source: the `offset` that pixels lie around.
    """

    def __init__(self, model: GridCoder, facts: dict[str, Any]) -> None:
        self.model = model
        self.facts = facts

    @property
    def fingerprint(self) -> bytes:
        """A digest of everything that a decoder needs, 8 bytes."""
        parameters = (part for item in sorted(self.model.state_dict().items()) for part in item)
        facts = repr((sorted(self.facts.items()), self.model.transform.denoise))
        return bytes.fromhex(digest(*self.model.branches[:2], *parameters, facts))[:8]

    def compress(
        self,
        payload: Payload,
        progress: Callable[[float], None] = silent,
        aim: Aim | None = None,
        largest: int | None = None,
    ) -> bytes:
        """Return an `.ltc` file of a picture.

        Arguments:
            payload: what to compress.
            progress: told now and then what share is done, from 0 to 1.
            aim: the size or the quality that it is to have; None: the lmbda of training.
            largest: bytes that its numbers may take in memory; None: 2^30.

        Raises:
            InputError: it is no picture, is larger, or has no such size or quality.
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
        if payload.kind != "image":
            raise InputError(
                f"this model was trained on pictures, and cannot compress {payload.kind}"
            )
        pixels = payload.arrays["image"]
        if pixels.dtype not in (np.uint8, np.uint16) or (
            0 in pixels.shape or pixels.ndim not in (2, 3) or pixels.shape[2:] not in ((), (3,))
        ):
            raise InputError(
                f"an array of shape {pixels.shape} and type {pixels.dtype} is no picture; expected "
                "uint8 or uint16, shape (height, width) or (height, width, 3)"
            )
        self._check_size(pixels.shape, largest)
        latent = self.model.planes(self.values(pixels))
        start = self.model.step(self.model.lmbda)
        if aim is None:
            return self._written(payload, latent, start, progress)
        if aim.name in ("lmbda", "quality"):
            lmbda = aim.value
            step = self.model.step(lmbda) if aim.name == "lmbda" else quality_step(lmbda)
            return self._written(payload, latent, step, progress)
        count = math.prod(pixels.shape[:2])
        peak = float(np.iinfo(pixels.dtype).max)
        wanted = math.log2(aim.value) if aim.name == "bpp" else aim.value
        tried: dict[int, tuple[float, Written]] = {}

        def excess(octave: float) -> float:
            """Return by how much a step misses: octaves of the size, or dB; it falls with it."""
            step = round(2.0**octave)
            if step not in tried:
                written = self._written(
                    payload, latent, step, lambda part: progress((len(tried) + part) / (TRIES + 3))
                )
                if aim.name == "bpp":
                    found = math.log2(8 * len(written.data) / count)
                else:
                    decoded = self._pixels(written.words, step, pixels.shape, pixels.dtype)
                    error = np.square(decoded - pixels.astype(float)).mean()
                    found = 10 * math.log10(peak**2 / error) if error > 0 else LOSSLESS
                tried[step] = found - wanted, written
            miss = tried[step][0]
            return 0.0 if abs(miss) < NEAR else miss

        low = high = math.log2(start)
        while excess(low) < 0 and low > 1:
            low -= 1
        while excess(high) > 0 and high < math.log2(LARGEST_STEP) - 1:
            high += 1
        if excess(low) > 0 > excess(high):
            import scipy.optimize  # not above: it is slow to import, and few files ask for it

            scipy.optimize.brentq(excess, low, high, xtol=1e-4, maxiter=TRIES, disp=False)
        miss, best = min(tried.values(), key=lambda one: (abs(one[0]), len(one[1].data)))
        # At more than the PSNR that was asked for, nothing smaller is to be had: a flat picture.
        if abs(miss) > FAR and not (aim.name == "psnr" and miss > 0):
            nearest = f"{2 ** (wanted + miss) if aim.name == 'bpp' else wanted + miss:.4g}"
            raise InputError(
                f"{aim.name}={aim.value:g} cannot be reached for this picture; the nearest is "
                f"{'without loss' if wanted + miss == LOSSLESS else nearest}"
            )
        return best

    def _written(
        self,
        payload: Payload,
        latent: NDArray[np.float32],
        step: int,
        progress: Callable[[float], None],
    ) -> Written:
        """Return the file of a latent at a step."""
        encoded = self.model.encode(latent, step, progress)
        words = grid_stream.encode(self.model, encoded.level)
        metadata = {**describe(payload), "step": step}
        data = Container(self.fingerprint, metadata, [(1, to_bytes(words))]).pack()
        return Written(data, encoded.bits, words)

    def decompress(
        self,
        data: bytes,
        salvage: bool = False,
        largest: int | None = None,
        progress: Callable[[float], None] = silent,
        accept: Callable[[Payload], object] = taken,
    ) -> tuple[Payload, list[int]]:
        """Return the picture of an `.ltc` file; arguments and errors as of `FileCoder`.

        A picture is one chunk: of a damaged one nothing can be saved.
        """
        container = Container.unpack(data, salvage)
        container.check_model(self.fingerprint)
        if any(stream is None for _, stream in container.chunks):
            raise InputError("the picture is damaged, and one stream: nothing is left")
        ((name, shape, dtype),) = described(container.metadata)
        if container.metadata["kind"] != "image":
            raise InputError(
                f"the header's metadata has kind {container.metadata['kind']!r}, which this model "
                "has not"
            )
        step = container.metadata.get("step")
        if type(step) is not int or not 0 < step <= LARGEST_STEP or len(container.chunks) != 1:
            raise InputError("the header's metadata describes no picture that this model codes")
        self._check_size(shape, largest)
        suffix = container.metadata["suffix"]
        accept(Payload("image", {name: np.empty(shape, dtype)}, suffix))
        stream = container.chunks[0][1]
        assert stream is not None
        pixels = self._pixels(from_bytes(stream), step, shape, dtype, progress)
        return Payload("image", {name: pixels}, suffix), []

    def _check_size(self, shape: tuple[int, ...], largest: int | None) -> None:
        """Refuse a picture whose numbers, in whole blocks, take more memory than allowed."""
        n = self.model.transform.stride
        numbers = math.prod(shape[2:]) * math.prod(size + -size % n for size in shape[:2])
        check_size(BYTES * numbers, LARGEST if largest is None else largest)

    def _pixels(
        self,
        words: NDArray[np.uint32],
        step: int,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        progress: Callable[[float], None] = silent,
    ) -> NDArray[Any]:
        """Return the picture of a stream, the same on every machine."""
        n = self.model.transform.stride
        size = n * n * math.prod(shape[2:]), -(-shape[0] // n), -(-shape[1] // n)
        _, place = grid_stream.decode(self.model, words, size, progress)
        place *= np.float32(self.model.unit(step))
        values = self.model.picture(place, step / FINEST)[: shape[0], : shape[1]]
        unit, largest = self._unit(dtype), np.iinfo(dtype).max
        values = np.rint((values + np.float32(self.facts["offset"])) * unit)
        pixels: NDArray[Any] = np.clip(values, 0, largest).astype(dtype).reshape(shape)
        return pixels

    @staticmethod
    def _unit(dtype: np.dtype[Any]) -> np.float32:
        """Return how many steps of a pixel make one of 8 bits."""
        return np.float32(np.iinfo(dtype).max / 255)

    def values(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        """Return pixels about zero, in steps of 8 bits, shape (height, width, d)."""
        values = pixels.astype(np.float32) / self._unit(pixels.dtype) - np.float32(
            self.facts["offset"]
        )
        return values if values.ndim == 3 else values[..., None]
