"""A coder of whole pictures or sounds: a transform that overlaps, a trellis, and contexts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ltc.coder.grid_search import search
from ltc.coder.levels import branches_of
from ltc.coder.means import paired, separated
from ltc.entropy.context import PREDICTORS, Context
from ltc.entropy.neighbourhood import BORDER, LARGEST, features, fit_weights, with_border
from ltc.errors import InputError
from ltc.lattices import Convolutional, Lattice
from ltc.threads import each_in_parallel
from ltc.transforms import GridTransform
from ltc.transforms.grid import Decoded

__all__ = ["FINEST", "LARGEST_STEP", "Encoded", "GridCoder"]

# Bits that an error of one step is worth where nothing but errors count.
NEAREST = 1e6
# Steps are multiples of 1/1024 of a value of the picture.
FINEST = 1024
# The largest step, in those units: 1,024 values of a pixel of 8 bits.
LARGEST_STEP = 1 << 20
# Coordinates by which the weights are fitted, at each step: of each plane, and of all at least.
SAMPLES, LEAST = 1000, 32_000
# Latents that these come from at most.
MOST = 128
# How often tables are fitted to what the encoder makes of those before: of a quarter of the
# pictures, of half, of all; three times of all would save 0.05 % of the rate.
ROUNDS = 3
# States of the convolutional code through which those with more are fitted.
FITTED_STATES = 8
# Training samples that a synthesis is learned of.
SOME = 64


class Encoded(NamedTuple):
    """What an encoder chose for a picture.

    Attributes:
        level: shape (k, R, C), integers.
        bits: the code length by the tables.
        place: what a decoder takes the levels for, in units of the step, shape (k, R, C).
        error: mean squared error of the latent, units of the picture.
        found: what the tables are fitted to, see `Context.fit`.
    """

    level: NDArray[np.int32]
    place: NDArray[np.float32]
    bits: float
    error: float
    found: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]


class GridCoder(nn.Module):
    """Analysis of a picture or a sound, levels along a trellis, contexts, synthesis.

    One set of tables serves every step: `lmbda`, the weight of the distortion, says the step.

    Arguments:
        transform: the transform.
        lattice: whose trellis runs along rows, see `ltc.coder.levels.branches_of`.
        context: the probabilities of levels.
        lmbda: weight of the distortion against the rate, per scalar of unit variance.
        gain: the deviation of the values of training.
        rdo: whether the encoder weighs error against rate, or takes the nearest levels.

    Raises:
        InputError: the lattice has no such trellis, or too many states.
    """

    def __init__(
        self,
        transform: GridTransform,
        lattice: Lattice,
        context: Context,
        lmbda: float,
        gain: float,
        rdo: bool = True,
    ) -> None:
        super().__init__()
        self.transform = transform
        self.context = context
        self.lmbda = lmbda
        self.gain = gain
        self.rdo = rdo
        self.branches = branches_of(lattice)
        self.endless = lattice.section is not None

    def step(self, lmbda: float) -> int:
        """Return the step of a weight of the distortion, in 1/1024 of a pixel's value.

        Raises:
            InputError: it is so small that there would be nothing but one level.
        """
        least = (FINEST * self.gain / LARGEST_STEP) ** 2 / self.transform.ratio
        if lmbda < least:
            raise InputError(
                f"lmbda={lmbda:g}; expected at least {least:.2g} for such data, at which "
                "hardly anything of them is left"
            )
        step = round(FINEST * self.gain / math.sqrt(self.transform.ratio * lmbda))
        return min(LARGEST_STEP, max(1, step))

    def unit(self, step: int) -> float:
        """Return the distance of two levels, in values of the picture.

        Steps are those of a lattice of the volume of the even integers, so that they mean the same
        for all lattices.

        Arguments:
            step: in 1/1024.
        """
        return 2 * step / (FINEST * self.branches.volume)

    @torch.no_grad()
    def planes(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the latent, shape (k, R, C), of what `GridTransform.planes` takes."""
        found = self.transform.planes(values)
        for channel in self.means(len(found)):
            found[channel] = paired(found[channel])
        return found

    def values(self, planes: NDArray[np.float32], step: float) -> NDArray[np.float32]:
        """Return the values of a latent, the same on every machine; the latent is overwritten.

        Arguments:
            planes: shape (k, R, C).
            step: of the quantizer, in units of the values.
        """
        for channel in self.means(len(planes)):
            planes[channel] = separated(planes[channel])
        return self.transform.exact_synthesis(planes, step)

    def encode(
        self,
        planes: NDArray[np.float32],
        step: int,
        progress: Callable[[float], None] = lambda share: None,
    ) -> Encoded:
        """Choose the levels of a latent.

        Arguments:
            planes: shape (k, R, C).
            step: in 1/1024.
            progress: told now and then what share is done, from 0 to 1.
        """
        count, rows, columns = planes.shape
        unit = self.unit(step)
        wanted = planes * np.float32(1 / unit)
        weight = (unit * FINEST / step) ** 2 / self.transform.ratio if self.rdo else NEAREST
        following, coset, _ = self.branches
        level, found = np.zeros(planes.shape, np.int32), self.context.nothing()
        arguments = (
            wanted, weight, following, coset, *self.context.arrays(count),
            self.context.branch_bits, self.context.value_bits, self.context.reconstruction,
            level, self.border(count, rows, columns), *found,
        )  # fmt: skip
        state, bits, error = 0, 0.0, 0.0
        for plane in range(count):
            length, missed, state = search(plane, state, *arguments)
            bits, error = bits + length, error + missed
            progress((plane + 1) / count)
        error *= unit**2 / planes.size
        return Encoded(level, wanted, bits, error, found)

    def fit(
        self,
        pictures: Sequence[NDArray[np.float32]],
        steps: Sequence[float],
        report: Callable[[str], None] = lambda status: None,
    ) -> None:
        """Fit colours, weights, tables and reconstructions to pictures.

        Arguments:
            pictures: or channels of sounds, each as `GridTransform.planes` takes it.
            steps: that the tables are to serve, in units of the values.
            report: told what is done.
        """
        if self.endless and len(self.branches.following) > FITTED_STATES:
            code = Convolutional(FITTED_STATES)
            simple = Context(self.transform.frequencies, branches_of(code).numbers)
            fitted = GridCoder(self.transform, code, simple, self.lmbda, self.gain, self.rdo)
            fitted.fit(pictures, steps, report)
            odd = (coder.branches.coset[1, :, 0] & 1 for coder in (fitted, self))
            self.context.take(simple, *odd)
            return
        self.transform.learn(pictures, report)
        latents = [self.planes(picture) for picture in pictures]
        multiples = [round(FINEST * step) for step in steps]
        self._fit_prediction(latents)
        report("fitting the weights of neighbours")
        self._fit_weights(latents[:: -(-len(latents) // MOST)], multiples[::2])
        for number in range(ROUNDS):
            part = latents[:: 1 << (ROUNDS - 1 - number)]
            tasks = [(planes, multiple) for planes in part for multiple in multiples]
            found = self.context.nothing()
            every = each_in_parallel(lambda task: self.encode(*task).found, tasks)
            for at, one in enumerate(every):
                report(f"round {number + 1} of {ROUNDS}, {at / len(tasks):.0%}")
                for counts, more in zip(found, one, strict=True):
                    np.add(counts, more, out=counts)
            self.context.fit(*found)
        if self.transform.synthesis_steps:
            chosen = list(zip(pictures, latents, strict=True))[:: -(-len(latents) // SOME)]
            report("decoding")
            decoded = each_in_parallel(lambda task: self._decoded(*task), enumerate(chosen))
            self.transform.learn_synthesis((one for some in decoded for one in some), report)

    def _decoded(
        self, number: int, sample: tuple[NDArray[np.float32], NDArray[np.float32]]
    ) -> list[Decoded]:
        """Return a training sample and its latent decoded at every second of some steps."""
        found = []
        for step in self.transform.synthesis_steps[number % 2 :: 2]:
            multiple = round(FINEST * step)
            planes = self.encode(sample[1], multiple).place * np.float32(self.unit(multiple))
            for channel in self.means(len(planes)):
                planes[channel] = separated(planes[channel])
            found.append(Decoded(sample[0], planes, step))
        return found

    def _fit_prediction(self, latents: list[NDArray[np.float32]]) -> None:
        """Fit the prediction of the sums of the means of blocks by least squares."""
        for channel in self.means(len(self.context.related)):
            planes = [planes[channel] for planes in latents if len(planes) > channel]
            known = np.concatenate([_near(plane).reshape(-1, PREDICTORS) for plane in planes])
            wanted = np.concatenate([plane[::2, ::2][1:, 1:-1].ravel() for plane in planes])
            found = np.linalg.lstsq(known, wanted, rcond=None)[0]
            self.context.prediction[channel] = torch.from_numpy(np.rint(64 * found))

    def _fit_weights(self, latents: list[NDArray[np.float32]], steps: list[int]) -> None:
        """Fit the weights to magnitudes of a plain quantization with a dead zone."""
        rng = np.random.default_rng(0)
        count = len(self.context.related)
        samples = max(SAMPLES, LEAST // count)
        # Of each place in a square of two by two, and each channel.
        seen: list[list[list[NDArray[np.int32]]]] = [[[] for _ in range(count)] for _ in range(4)]
        wanted: list[list[list[NDArray[np.int32]]]] = [[[] for _ in range(count)] for _ in range(4)]
        for planes in latents:
            channels, rows, columns = planes.shape
            places = (2 * (np.arange(rows)[:, None] & 1) + (np.arange(columns) & 1)).ravel()
            residual = self._residual(planes)
            for step in steps:
                magnitude = self.border(channels, rows, columns)
                inside = magnitude[:, BORDER:-BORDER, BORDER:-BORDER]
                rest = residual / self.unit(step)
                inside[:] = np.minimum(2 * np.floor(np.abs(rest) / 2 + 0.35), LARGEST)
                found = features(magnitude, self.context.related[:channels])
                for place in range(4):
                    there = np.flatnonzero(places == place)
                    number = min(len(there), -(-samples // (4 * len(latents))))
                    at = rng.choice(there, number, replace=False)
                    known = found.reshape(*found.shape[:2], -1)[..., at]
                    own = inside.reshape(channels, -1)[:, at]
                    for channel in range(channels):
                        seen[place][channel].append(known[:, channel])
                        wanted[place][channel].append(own[channel])
        n = self.transform.group
        for first in range(0, count, n):  # colours may have different numbers of pictures
            colour = range(first, first + n)
            weights, bias = fit_weights(
                np.stack([np.concatenate([part for place in seen for part in place[channel]], 1)
                          for channel in colour], 1),
                np.stack([np.concatenate([part for place in wanted for part in place[channel]])
                          for channel in colour]),
            )  # fmt: skip
            self.context.weights[first : first + n] = torch.from_numpy(weights)[:, None]
            self.context.bias[first : first + n] = torch.from_numpy(bias)[:, None]
            for place in range(4 * self.transform.with_means):  # they are of different kinds
                known = np.concatenate(seen[place][first], 1)[:, None]
                if known.size > 0:
                    weights, bias = fit_weights(known, np.concatenate(wanted[place][first])[None])
                    self.context.weights[first, place] = torch.from_numpy(weights[0])
                    self.context.bias[first, place] = int(bias[0])

    def _residual(self, planes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return a latent less what is predicted of it."""
        rest = planes.copy()
        for channel in self.means(len(planes)):
            weights = self.context.prediction[channel].numpy() / 64
            rest[channel, ::2, ::2][1:, 1:-1] -= _near(planes[channel]) @ weights
        return rest

    def means(self, count: int) -> range:
        """Return which of the first planes are the means of blocks."""
        return range(0, count if self.transform.with_means else 0, self.transform.group)

    def border(self, planes: int, rows: int, columns: int) -> NDArray[np.int32]:
        """Return zeros for the magnitudes of a latent, with a border."""
        return with_border(planes, rows, columns, self.transform.joined)


def _near(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what sums of means are predicted from, borders apart: see `predicted`.

    Returns:
        Of the sums in `plane[::2, ::2][1:, 1:-1]`, the six in the last axis.
    """
    sums, right, below = plane[::2, ::2], plane[::2, 1::2], plane[1::2, ::2]
    inside = max(sums.shape[1] - 2, 0)
    beside = [sums[1:, :-2], right[1:, :inside], sums[:-1, 1:-1], below[: len(sums) - 1, 1:-1]]
    return np.stack([*beside, sums[:-1, :-2], sums[:-1, 2:]], -1)
