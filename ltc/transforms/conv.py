"""A lapped transform of pictures whose synthesis has a second layer, which is not linear.

What the first layer makes of a colour of a picture, in units of the step of the quantizer, goes
through a convolution of 63 filters of 8 x 8 pixels, two apart. Their outputs z are divided by a
norm, `z_i / (1 + (b_i + sum_j g_ij |z_j|)^8)`, go through another convolution, and are subtracted.
Where all z are small, they are noise and pass; where one is large, they are part of the picture and
do not. At borders there are filters only where they fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import dct
from torch import Tensor
from torch.nn.functional import conv2d, conv_transpose2d

from ltc.compiled import compiled
from ltc.descent import gradient_descent
from ltc.threads import one_thread
from ltc.transforms.grid import Decoded
from ltc.transforms.lapped import STEPS, Lapped, colour_planes

__all__ = ["Conv"]

Plane = NDArray[np.float32]
# What is decoded of a plane and the plane, in units of the step, and the step.
Pair = tuple[Plane, Plane, float]

# Pixels along a side of a filter and from one place of it to the next; filters of each colour.
SIDE, STRIDE = 8, 2
FILTERS = SIDE * SIDE - 1
# The larger, the more abruptly a filter's output is taken for part of the picture.
POWER = 8
# Steps of Adam, squares of each, about how long a side of them is, and their margin.
LEARNED, PIECES, PIECE, MARGIN = 1200, 8, 96, SIDE - STRIDE
# Rates of Adam: of filters and of norms.
RATES = 1e-3, 3e-3
# Places of filters along a line at which the kernel works at once: their outputs fit a cache.
GROUP = 64


class Layer(NamedTuple):
    """The second layer of a synthesis, of one colour.

    Attributes:
        first: filters, shape (filters, 64).
        norms: what the magnitudes of outputs, in columns, take from each output, shape (filters,
            filters), not negative.
        bias: likewise, whatever the magnitudes are, shape (filters,).
        last: what is subtracted for each output, shape (filters, 64).
    """

    first: Tensor
    norms: Tensor
    bias: Tensor
    last: Tensor

    def applied(self, x: Tensor) -> Tensor:
        """Return planes with less noise, shape (batch, rows, columns), in units of the step."""
        z = conv2d(x[:, None], self._filters(self.first), stride=STRIDE)
        norm = conv2d(z.abs(), self.norms.abs()[..., None, None], self.bias.abs())
        noise = z / (1 + norm**POWER)
        return x - conv_transpose2d(noise, self._filters(self.last), stride=STRIDE)[:, 0]

    @staticmethod
    def _filters(matrix: Tensor) -> Tensor:
        return matrix.unflatten(1, (1, SIDE, SIDE))


class Conv(Lapped):
    """A lapped transform, a strided convolution each way, and a second layer of the synthesis.

    The second layer takes noise out, in the place of `ltc.transforms.denoising`, and is learned of
    what the coder makes of training pictures, from cosines of blocks. It is divisive normalization
    (Balle, Laparra and Simoncelli, *End-to-end optimized image compression*, ICLR 2017) in a form
    that all machines compute to the same bit; such a synthesis of two layers is that of Yang and
    Mandt (*Computationally-efficient neural image compression with shallow decoders*, ICCV 2023).

    The analysis is linear: what nonlinear ones are for, the search along the trellis does. One of
    the same form, added to the lapped one and learned through a quantizer that gradients pass,
    needed 5 % more bits; one that emphasises what the decoder takes for noise, or takes it out,
    from 0 to 0.7 % more.

    Arguments:
        dimension, stride, overlap: as of `Lapped`.
        denoise: whether there is the second layer.

    Raises:
        InputError: as of `Lapped`.

    Example: before it has learned, it is a lapped transform.
        >>> transform = Conv(3, stride=4)
        >>> x = torch.randn(1, 8, 12, 3, dtype=torch.float64)
        >>> torch.allclose(transform.synthesis(transform.analysis(x)), x)
        True
    """

    def __init__(
        self, dimension: int, stride: int = 8, overlap: str = "learned", denoise: bool = True
    ) -> None:
        super().__init__(dimension, stride, overlap, denoise)
        # Of the first colour, and of the others.
        for name, shape in (
            ("first", (FILTERS, SIDE * SIDE)), ("norms", (FILTERS, FILTERS)),
            ("bias", (FILTERS,)), ("last", (FILTERS, SIDE * SIDE)),
        ):  # fmt: skip
            self.register_buffer(name, torch.zeros(2, *shape))
        self.synthesis_steps = STEPS if self.denoise else ()

    def layer(self, other: int) -> Layer:
        """Return the second layer of the first colour, 0, or of the others, 1."""
        buffers = dict(self.named_buffers())
        return Layer(*(buffers[name][other] for name in Layer._fields))

    def learn_synthesis(self, decoded: Iterable[Decoded], report: Callable[[str], None]) -> None:
        """Learn the second layer, by Adam, to minimise the squared error of squares of pictures.

        All steps count the same, and at a step all pixels: where all pictures do, however flat they
        are, it is no better than `ltc.transforms.denoising`.

        Arguments:
            decoded: what the coder makes of training pictures.
            report: told what is done.
        """
        pairs: tuple[list[Pair], list[Pair]] = ([], [])
        for picture, planes, step in decoded:
            found = self.unlapped(planes)
            wanted = colour_planes(picture, self.colours.numpy(), 0).transpose(0, 2, 1)
            for colour, plane in enumerate(wanted):
                seen = found[colour, : plane.shape[0], : plane.shape[1]]
                missing = [(0, max(0, PIECE - size)) for size in plane.shape]
                x, y = (np.pad(one / step, missing, mode="symmetric") for one in (seen, plane))
                pairs[colour > 0].append((x, y, step))
        for other, some in enumerate(pairs):
            if some:
                with one_thread():  # several would wait for each other longer than they work
                    learned = _learned(some, ("the first colour", "the others")[other], report)
                for matrix, value in zip(self.layer(other), learned, strict=True):
                    matrix.copy_(value.detach())

    def cleaned(self, plane: Plane, colour: int, step: float) -> Plane:
        """Return a plane of one colour after the second layer; see `Lapped.cleaned`."""
        first, norms, bias, last = map(_whole, self.layer(int(colour > 0)))
        found: Plane = _second(plane, np.float32(step), first, norms, bias, last.T.copy())
        return found


def _whole(matrix: Tensor) -> Plane:
    """Return a matrix with zeros for filters that there are not, 64 along each axis."""
    found = np.zeros((SIDE * SIDE,) * matrix.ndim, np.float32)
    found[tuple(map(slice, matrix.shape))] = matrix.numpy()
    return found


def _start() -> Layer:
    """Return a layer that takes small cosines of blocks for noise."""
    cosines = dct(np.eye(SIDE), norm="ortho", axis=0)
    first = torch.from_numpy(np.kron(cosines, cosines)[1:]).float()
    norms = torch.full((FILTERS, FILTERS), 0.02 / POWER) + 8 / POWER * torch.eye(FILTERS)
    bias = torch.full((FILTERS,), 1 - 4 / POWER)
    return Layer(first, norms, bias, 0.6 * (STRIDE / SIDE) ** 2 * first)


def _learned(pairs: list[Pair], called: str, report: Callable[[str], None]) -> Layer:
    """Return a layer learned from pairs of planes; what they are called is reported."""
    rng = np.random.default_rng(0)
    errors: dict[float, list[float]] = {}
    for seen, wanted, step in pairs:
        errors.setdefault(step, []).append(float(np.square(seen - wanted).mean()))
    distance = {step: float(np.mean(some)) ** 0.5 + 1e-3 for step, some in errors.items()}
    layer = Layer(*(matrix.clone().requires_grad_() for matrix in _start()))
    groups = [[layer.first, layer.last], [layer.norms, layer.bias]]
    optimizer = torch.optim.Adam(
        [{"params": group, "lr": rate} for group, rate in zip(groups, RATES, strict=True)]
    )

    def clip(*_: object) -> None:
        torch.nn.utils.clip_grad_norm_(layer, 1.0)

    optimizer.register_step_pre_hook(clip)
    inside = (slice(None), slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN))

    def loss(number: int) -> Tensor:
        report(f"learning the second layer of {called}, {number / LEARNED:.0%}")
        squares, scales = [], []
        for at in rng.integers(len(pairs), size=PIECES):
            seen, wanted, step = pairs[at]
            top, left = (2 * int(rng.integers((n - PIECE) // 2 + 1)) for n in seen.shape)
            cut = (slice(top, top + PIECE), slice(left, left + PIECE))
            squares.append(np.stack([seen[cut], wanted[cut]]))
            scales.append(distance[step])
        x, y = torch.from_numpy(np.stack(squares, 1)).float()
        error = (layer.applied(x) - y)[inside] / torch.tensor(scales)[:, None, None]
        return error.square().mean()

    gradient_descent(optimizer, LEARNED, loss)
    return Layer(layer.first, layer.norms.abs(), layer.bias.abs(), layer.last)


@compiled()
def _second(plane, step, first, norms, bias, last):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return a plane after the second layer, shape (rows, columns); sums are in one order.

    Matrices have 64 rows and columns: what is missing is zero. Each column of what they multiply is
    a place of the filters.
    """
    rows, columns = plane.shape
    taken = plane.copy()
    places = (columns - SIDE) // STRIDE + 1
    shape = (SIDE * SIDE, GROUP)
    pixels, outputs, magnitudes, noise, minus = (
        np.zeros(shape, np.float32), np.zeros(shape, np.float32), np.zeros(shape, np.float32),
        np.zeros(shape, np.float32), np.zeros(shape, np.float32),
    )  # fmt: skip
    one = np.float32(1)
    for r in range(0, rows - SIDE + 1, STRIDE):
        for begin in range(0, places, GROUP):
            count = min(GROUP, places - begin)
            for i in range(SIDE):
                for j in range(SIDE):
                    for c in range(count):
                        pixels[SIDE * i + j, c] = plane[r + i, STRIDE * (begin + c) + j] / step
            _product(first, pixels, outputs)
            for f in range(SIDE * SIDE):
                for c in range(GROUP):
                    magnitudes[f, c] = abs(outputs[f, c])
            _product(norms, magnitudes, noise)
            for f in range(SIDE * SIDE):
                for c in range(GROUP):
                    norm = noise[f, c] + bias[f]
                    norm *= norm
                    norm *= norm
                    norm *= norm
                    noise[f, c] = outputs[f, c] / (one + norm)
            _product(last, noise, minus)
            for i in range(SIDE):
                for j in range(SIDE):
                    for c in range(count):
                        taken[r + i, STRIDE * (begin + c) + j] -= step * minus[SIDE * i + j, c]
    return taken


@compiled()
def _product(matrix, values, found):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Fill the product of a matrix and GROUP columns; the inner loop goes along columns."""
    for i in range(SIDE * SIDE):
        for c in range(GROUP):
            found[i, c] = 0
        for k in range(0, SIDE * SIDE, 4):
            one, two, three, four = (
                matrix[i, k],
                matrix[i, k + 1],
                matrix[i, k + 2],
                matrix[i, k + 3],
            )
            for c in range(GROUP):
                total = found[i, c] + one * values[k, c]
                total += two * values[k + 1, c]
                total += three * values[k + 2, c]
                found[i, c] = total + four * values[k + 3, c]
