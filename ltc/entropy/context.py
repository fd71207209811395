"""The probability of a picture's latent, by the class of each coordinate's neighbours."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ltc.entropy.neighbourhood import CLASSES, FEATURES, related

__all__ = ["Context"]

# Bits of a probability, as the range coder has them.
PRECISION = 24
TOTAL = 1 << PRECISION
# Indices of levels that have a probability of their own, the escape among them.
INDICES = 48
# Kinds of indices that have a reconstruction of their own in a class: 0, 1, 2 and more.
KINDS = 4
# What a table is drawn to where few numbers speak for it, in numbers.
PRIOR = 20.0
# Reconstructions lie at multiples of 1/256 of a step.
FINE = 256

Array = NDArray[np.float64]
Integers = NDArray[np.integer]


class Context(nn.Module):
    """A table of probabilities for each class of neighbours and each union of cosets.

    What a coordinate costs is known to encoder and decoder alike: its class is a weighted sum of
    the magnitudes of its neighbours, in integers (see `ltc.entropy.neighbourhood`), and its table
    one of integers. Coordinates are in units of half the distance between the levels of a state, so
    that the tables serve every step. Luminance and the other colours have tables of their own.

    Arguments:
        frequencies: the colour and the frequencies u and v of each channel, shape (k, 3).

    Attributes:
        weights, bias: of the sum that says the class, shapes (k, 15) and (k,), in 1/1024.
        prediction: weights of the levels left, above, above left and above right by which a level
            is predicted, shape (k, 4), in 1/64; of channels other than the mean 0.
        left: sums of the probabilities before each index of a level, in 2^-24, shape
            (2, classes, 2, indices + 1).
        inward: how far within a level its reconstruction lies, shape (2, classes, 2, 4), in 1/256.

    Example: before it is fitted, small numbers are likely in low classes.
        >>> context = Context(torch.tensor([[0, 0, 0]]))
        >>> bool(context.bits[0, 0, 0, 0] < 0.3 < context.bits[0, 20, 0, 0])
        True
    """

    def __init__(self, frequencies: Tensor) -> None:
        super().__init__()
        count = len(frequencies)
        self.related = related(frequencies)
        self.group = (frequencies[:, 0] > 0).long().numpy()
        shape = (2, CLASSES, 2, INDICES)
        self.weights: Tensor
        self.bias: Tensor
        self.prediction: Tensor
        self.left: Tensor
        self.inward: Tensor
        self.register_buffer("weights", torch.full((count, FEATURES), 80, dtype=torch.int32))
        self.register_buffer("bias", torch.full((count,), 20, dtype=torch.int32))
        self.register_buffer("prediction", torch.zeros(count, 4, dtype=torch.int32))
        self.register_buffer("left", torch.zeros(2, CLASSES, 2, INDICES + 1, dtype=torch.int64))
        self.register_buffer("inward", torch.zeros(2, CLASSES, 2, KINDS, dtype=torch.int32))
        self.fit(np.zeros(shape), np.zeros((*shape[:3], KINDS, 2)))

    def fit(self, counts: Array, errors: Array) -> None:
        """Set tables and reconstructions to what was found.

        Arguments:
            counts: how often each index was chosen, shape (2, classes, 2, indices).
            errors: sums of how far within their levels coordinates lay, and how many they were,
                shape (2, classes, 2, 4, 2).
        """
        # Where little was found: as in the classes next to it, and at first geometric.
        mean = 2.0 ** (np.arange(CLASSES) / 4 - 4)[:, None] / 2
        geometric = (mean / (1 + mean)) ** np.arange(INDICES) + 1e-6
        near = counts.copy()
        near[:, 1:] += counts[:, :-1]
        near[:, :-1] += counts[:, 1:]
        likely = (
            near + 0.02 * near.sum(0) + 8 * (geometric / geometric.sum(1, keepdims=True))[:, None]
        )
        found = counts + PRIOR * likely / likely.sum(-1, keepdims=True)
        found = np.maximum(np.floor(found / found.sum(-1, keepdims=True) * TOTAL), 1)
        largest = found.argmax(-1)[..., None]
        rest = TOTAL - found.sum(-1, keepdims=True)
        np.put_along_axis(found, largest, np.take_along_axis(found, largest, -1) + rest, -1)
        self.left[..., 1:] = torch.from_numpy(found.cumsum(-1)).long()
        inward = np.rint(FINE * errors[..., 0] / (errors[..., 1] + 200))
        inward[..., 0] = 0
        self.inward.copy_(torch.from_numpy(np.clip(inward, -FINE, FINE)))

    def check(self) -> None:
        """Refuse tables that no decoder could walk along.

        Raises:
            ValueError: the probabilities of a table are not positive, or do not sum to one.
        """
        ends = (self.left[..., 0] == 0) & (self.left[..., -1] == TOTAL)
        if not ends.all() or not (torch.diff(self.left) > 0).all():
            raise ValueError("a table has no probabilities")

    @property
    def bits(self) -> NDArray[np.float32]:
        """The code length of each index with its sign, shape (2, classes, 2, indices)."""
        bits = PRECISION - torch.diff(self.left.double()).log2()
        bits[..., 1:] += 1
        bits[..., -1] += 1  # the escape's shortest code
        return bits.float().numpy()

    def arrays(self, count: int) -> tuple[Integers, Integers, Integers, Integers, Integers]:
        """Return what the kernels need to find the classes of the first planes.

        Arguments:
            count: of how many planes: of a grey picture not all.

        Returns:
            The planes related to each, weights, biases, predictions and groups.
        """
        weights, bias, prediction = (
            value.numpy()[:count] for value in (self.weights, self.bias, self.prediction)
        )
        return self.related[:count], weights, bias, prediction, self.group[:count]

    @property
    def reconstruction(self) -> Array:
        """How far within a level its reconstruction lies, in steps."""
        inward: Array = self.inward.double().numpy() / FINE
        return inward
