"""Whole pictures as `.ltc` files."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ltc.codec.files import Aim
from ltc.codec.grid_files import GridFileCoder, Planes, Size
from ltc.coder.grid import FINEST
from ltc.errors import InputError
from ltc.media import Payload

__all__ = ["PictureFileCoder", "quality_step"]


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


class PictureFileCoder(GridFileCoder):
    """A trained coder of whole pictures at work on files.

    A picture is one stream: of a damaged one nothing can be saved. The facts of the source are the
    `offset` that pixels lie around, in values of 8 bits.
    """

    kind, called = "image", "picture"
    size_aim, error_aim, other_aims = "bpp", "psnr", ("quality", "lmbda")

    def check(self, payload: Payload) -> None:
        """Refuse what is no picture of 8 or 16 bits."""
        pixels = payload.arrays["image"]
        if pixels.dtype not in (np.uint8, np.uint16) or (
            0 in pixels.shape or pixels.ndim not in (2, 3) or pixels.shape[2:] not in ((), (3,))
        ):
            raise InputError(
                f"an array of shape {pixels.shape} and type {pixels.dtype} is no picture; expected "
                "uint8 or uint16, shape (height, width) or (height, width, 3)"
            )

    def latents(self, payload: Payload) -> tuple[list[Planes], dict[str, Any]]:
        """Return one latent."""
        return [self.model.planes(*self.values(payload.arrays["image"]))], {}

    def sizes(self, shape: tuple[int, ...]) -> list[Size]:
        """Return the shape of the latent, in whole blocks."""
        n = self.model.transform.stride
        return [(n * n * math.prod(shape[2:]), -(-shape[0] // n), -(-shape[1] // n))]

    def joined(
        self, latents: list[Planes], shape: tuple[int, ...], metadata: dict[str, Any]
    ) -> NDArray[Any]:
        """Return the pixels."""
        dtype = np.dtype(metadata["arrays"][0][2])
        values = self.model.values(latents[0], metadata["step"] / FINEST)[: shape[0], : shape[1]]
        values = np.rint((values + np.float32(self.facts["offset"])) * self._unit(dtype))
        pixels: NDArray[Any] = np.clip(values, 0, np.iinfo(dtype).max).astype(dtype)
        return pixels.reshape(shape)

    def step_of(self, aim: Aim) -> int:
        """Return the step of a quality or a lmbda."""
        return quality_step(aim.value) if aim.name == "quality" else self.model.step(aim.value)

    def power(self, payload: Payload) -> float:
        """Return the square of the largest value that a pixel can have."""
        assert payload.peak is not None
        return payload.peak**2

    def units(self, shape: tuple[int, ...]) -> int:
        """Return the number of pixels."""
        return math.prod(shape[:2])

    @staticmethod
    def _unit(dtype: np.dtype[Any]) -> np.float32:
        """Return how many steps of a pixel make one of 8 bits."""
        return np.float32(np.iinfo(dtype).max / 255)

    def values(self, array: NDArray[Any]) -> list[NDArray[np.float32]]:
        """Return pixels about zero, in steps of 8 bits, one array of shape (height, width, d)."""
        values = array.astype(np.float32) / self._unit(array.dtype) - np.float32(
            self.facts["offset"]
        )
        return [values if values.ndim == 3 else values[..., None]]
