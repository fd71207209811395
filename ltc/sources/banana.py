"""The banana-shaped source of the neural compression literature."""

import math

import numpy as np
import scipy.stats
import torch
from numpy.typing import NDArray
from torch import Tensor

from ltc.sources.base import Source

__all__ = ["Banana"]

# Standard deviations of the Gaussian that is bent, how much it is bent, and how far turned.
DEVIATION_1, DEVIATION_2 = 3.0, 0.5
BEND = 0.1
ANGLE = math.radians(240)

# With z1 ~ N(0, v1) and z2 ~ N(0, v2): E [z2 + b z1^2] = b v1, and because E z1^3 = 0 and
# Var z1^2 = 2 v1^2 the bent vector has the covariance diag(v1, v2 + 2 b^2 v1^2).
MEAN_2 = BEND * DEVIATION_1**2
VARIANCE_1 = DEVIATION_1**2
VARIANCE_2 = DEVIATION_2**2 + 2 * BEND**2 * DEVIATION_1**4
SCALE = math.sqrt((VARIANCE_1 + VARIANCE_2) / 2)
ROTATION = np.array([[math.cos(ANGLE), -math.sin(ANGLE)], [math.sin(ANGLE), math.cos(ANGLE)]])


class Banana(Source):
    """A two-dimensional Gaussian, bent: optimal quantization cells follow the curve.

    (z1, z2) is Gaussian with standard deviations 3 and 0.5; (z1, z2 + 0.1 z1^2) is centred,
    turned by 240 degrees and divided by its overall standard deviation, so that the variance
    per scalar is one. All constants are in closed form. Up to reflection, shift and scale it is
    the source of the paper's published code, so that rates at equal SNR compare.

    Reference:
        Ballé, Chou, Minnen, Singh, Johnston, Agustsson, Hwang, Toderici: Nonlinear Transform
        Coding. IEEE Journal of Selected Topics in Signal Processing 15 (2021).

    Example:
        >>> import torch
        >>> source = Banana()
        >>> x = source.sample(100_000, torch.Generator().manual_seed(0))
        >>> x.shape, round(float(x.square().mean()), 1)
        (torch.Size([100000, 2]), 1.0)
    """

    name = "banana"
    dimension = 2

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw vectors, shape (count, 2)."""
        z = torch.randn(count, 2, generator=generator, device=generator.device)
        z1, z2 = DEVIATION_1 * z[:, 0], DEVIATION_2 * z[:, 1]
        bent = torch.stack([z1, z2 + BEND * z1.square() - MEAN_2], dim=1)
        return bent @ torch.tensor(ROTATION.T / SCALE, dtype=z.dtype, device=z.device)

    def log_density(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the logarithm of the density, exactly, by the change of variables.

        Arguments:
            x: points, shape (..., 2).

        Returns:
            Nats, shape (...).

        Example:
            >>> import numpy as np
            >>> axis = np.linspace(-16, 16, 400)
            >>> grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1)
            >>> cell = (axis[1] - axis[0]) ** 2
            >>> round(float(np.exp(Banana().log_density(grid)).sum() * cell), 6)
            1.0
        """
        # Bending and turning keep the area; only the scale changes it.
        bent = SCALE * np.asarray(x) @ ROTATION
        z1 = bent[..., 0]
        z2 = bent[..., 1] + MEAN_2 - BEND * z1**2
        constant = math.log(SCALE**2 / (2 * math.pi * DEVIATION_1 * DEVIATION_2))
        return constant - 0.5 * ((z1 / DEVIATION_1) ** 2 + (z2 / DEVIATION_2) ** 2)

    def support(self) -> NDArray[np.float64]:
        """Return the box outside which the probability is below 1e-9.

        Returns:
            One interval (low, high) per axis, shape (2, 2).

        Example:
            >>> Banana().support().round(1)
            array([[ -1.8,  17.8],
                   [-14.9,   2.5]])
        """
        # |z1| and |z2| stay below r deviations but for 4 Q(r) = 1e-9 at most. The image of that
        # rectangle is bounded by two parabolas; a linear function c1 b1 + c2 b2 of b = (b1, b2)
        # is extreme at their ends or where its derivative along them vanishes.
        r = float(scipy.stats.norm.isf(1e-9 / 4))
        box = np.empty((2, 2))
        for axis, (c1, c2) in enumerate(ROTATION):
            b1 = np.array([-1.0, 1.0, -c1 / (2 * BEND * c2) / (r * DEVIATION_1)])
            b1 = r * DEVIATION_1 * np.clip(b1, -1, 1)
            b2 = BEND * b1**2 - MEAN_2
            extremes = np.add.outer(c1 * b1 + c2 * b2, c2 * r * DEVIATION_2 * np.array([-1, 1]))
            box[axis] = extremes.min() / SCALE, extremes.max() / SCALE
        return box

    @property
    def covariance(self) -> Tensor:
        """The covariance, shape (2, 2), in closed form; its trace is 2."""
        bent = np.diag([VARIANCE_1, VARIANCE_2])
        return torch.from_numpy(ROTATION @ bent @ ROTATION.T / SCALE**2)
