"""What a user would write outside the package: a transform that overlaps, and a distortion."""

import math

import torch
from torch import nn

from ltc.distortion import Distortion
from ltc.transforms import Transform


class Lapped(Transform):
    """The modulated lapped transform with a sine window, along the positions of a block.

    Princen and Bradley, *Analysis/synthesis filter bank design based on time domain aliasing
    cancellation*, IEEE Trans. Acoust. Speech Signal Process. 34, 1986. The block goes on
    periodically, so that the transform is orthonormal.

    Arguments:
        dimension: scalars per source vector, d; each has its own latents.
        stride: positions from one latent position to the next, N.
        learned: whether the synthesis is learned.
    """

    def __init__(self, dimension, stride=4, learned=False):
        super().__init__(dimension, dimension * stride)
        self.stride = stride
        time = torch.arange(2 * stride)[:, None] + 0.5
        frequency = torch.arange(stride) + 0.5
        window = (2 / stride) ** 0.5 * torch.sin(math.pi / (2 * stride) * time)
        wave = torch.cos(math.pi / stride * (time + stride / 2) * frequency)
        self.register_buffer("analysis_basis", window * wave)
        self.synthesis_basis = nn.Parameter((window * wave).clone(), requires_grad=learned)

    def analysis(self, x):
        ahead = torch.cat([x, x[:, : self.stride]], 1)
        return (ahead.unfold(1, 2 * self.stride, self.stride) @ self.analysis_basis).flatten(2)

    def synthesis(self, y):
        frames = y.unflatten(2, (self.dimension, self.stride)) @ self.synthesis_basis.T
        first, second = frames.chunk(2, -1)
        return (first + second.roll(1, 1)).transpose(2, 3).flatten(1, 2)


class FourthPower(Distortion):
    """The fourth power of the error."""

    name = "fourth_power"
    power = 4.0

    def cost(self, error):
        return error.square().square()
