"""The probability of a picture's latent, by the class of each coordinate's neighbours."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ltc.checks import number
from ltc.entropy.neighbourhood import CLASSES, FEATURES, low_bits, related
from ltc.errors import InputError

__all__ = ["Context", "in_units"]

# Bits of a probability, as the range coder has them.
PRECISION = 24
TOTAL = 1 << PRECISION
# Ranks of levels in a coset that have a probability of their own, the escape among them; ranks
# that have a reconstruction of their own, 0, 1, 2 and more.
RANKS, PLACES = 32, 3
# Levels from which one is predicted, see `ltc.coder.grid_search.predicted`.
PREDICTORS = 6
# Kinds of cosets, see `ltc.coder.levels`.
KINDS = 4
# What a table is drawn to where few numbers speak for it, in numbers.
PRIOR = 20.0
# Reconstructions lie at multiples of 1/256 of a step.
FINE = 256

Array = NDArray[np.float64]
Counts = NDArray[np.int64]
Integers = NDArray[np.integer]


class Context(nn.Module):
    """Probabilities of cosets and of the levels in them, for each class of neighbours.

    What a coordinate costs is known to encoder and decoder alike: its class is a weighted sum of
    the magnitudes of its neighbours, in integers (see `ltc.entropy.neighbourhood`), which says the
    probability of each branch that the trellis offers in a state, and of each level in its coset
    (see `ltc.coder.levels`). Coordinates are in units of half the distance between the levels of a
    state, so that the tables serve every step. Luminance and the other colours have tables of their
    own.

    Arguments:
        frequencies: the colour and the frequencies u and v of each channel, shape (k, 3).
        branches: how many each state of the trellis offers, shape (states,).
        steps: of the quantizer, which the tables are fitted to, in values of a pixel of 8 bits, of
            sounds in 1/64 of the deviation of training samples.

    Raises:
        InputError: `steps` are no positive numbers.

    Attributes:
        weights, bias: of the sum that says the class, shapes (k, 4, 15) and (k, 4), in 1/1024; for
            each place in a square of two by two, which differ where the channel is of means.
        prediction: weights of the levels by which a sum of means is predicted, shape (k, 6), in
            1/64, see `ltc.coder.grid_search.predicted`; of other channels 0.
        branch: sums of the probabilities before each branch of a state, in 2^-24, shape
            (2, classes, states, branches + 1).
        left: sums of the probabilities before each rank in a coset, in 2^-24, shape
            (2, classes, kinds, ranks + 1).
        inward: how far within a level its reconstruction lies, shape (2, classes, kinds, 3), in
            1/256.

    Example: before it is fitted, small numbers are likely in low classes.
        >>> context = Context(torch.tensor([[0, 0, 0]]), branches=[2, 2, 2, 2])
        >>> bool(context.value_bits[0, 0, 0, 0] < 0.2 < context.value_bits[0, 30, 0, 0])
        True
    """

    def __init__(
        self, frequencies: Tensor, branches: Sequence[int], steps: Sequence[float] = (4.0, 16.0)
    ) -> None:
        super().__init__()
        if not steps:
            raise InputError("entropy.steps=[]; expected one step at least")
        self.steps = [number("entropy.steps", step, 1e-2, 1e3) for step in steps]
        count = len(frequencies)
        self.related = related(frequencies)
        self.group = (frequencies[:, 0] > 0).long().numpy()
        self.weights: Tensor
        self.bias: Tensor
        self.prediction: Tensor
        self.branch: Tensor
        self.left: Tensor
        self.inward: Tensor
        tables, states, most = (2, CLASSES), len(branches), max(branches)
        self.offered = np.arange(most) < np.array(branches)[:, None]
        self.register_buffer("weights", torch.full((count, 4, FEATURES), 80, dtype=torch.int32))
        self.register_buffer("bias", torch.full((count, 4), 20, dtype=torch.int32))
        self.register_buffer("prediction", torch.zeros(count, PREDICTORS, dtype=torch.int32))
        self.register_buffer("branch", torch.zeros(*tables, states, most + 1, dtype=torch.int64))
        self.register_buffer("left", torch.zeros(*tables, KINDS, RANKS + 1, dtype=torch.int64))
        self.register_buffer("inward", torch.zeros(*tables, KINDS, PLACES, dtype=torch.int32))
        self.fit(*self.nothing())
        check = self.register_load_state_dict_post_hook  # what a checkpoint brings may be anybody's
        check(lambda module, _: module.check())  # type: ignore[no-untyped-call]

    def nothing(self) -> tuple[Counts, Counts, Array]:
        """Return zeros to count in: branches, ranks, and how far within levels coordinates lay."""
        return (
            np.zeros((*self.branch.shape[:3], self.branch.shape[3] - 1), np.int64),
            np.zeros((*self.left.shape[:3], RANKS), np.int64),
            np.zeros((*self.inward.shape, 2)),
        )

    def fit(self, branches: Counts, values: Counts, errors: Array) -> None:
        """Set probabilities and reconstructions to what was found.

        Arguments:
            branches: how often each branch was, shape (2, classes, states, branches).
            values: how often each rank was, shape (2, classes, kinds, ranks).
            errors: sums of how far within their levels coordinates lay, and how many they were,
                shape (2, classes, kinds, 3, 2).
        """
        # Where little was found: as in the classes next to it, and at first geometric.
        classes = np.arange(CLASSES)
        low = np.array([low_bits(number, 0) for number in range(CLASSES)])
        mean = 2.0 ** (classes / 4 - 4 - low)[:, None] / 4
        geometric = (mean / (1 + mean)) ** np.arange(RANKS) + 1e-6
        geometric = (geometric / geometric.sum(1, keepdims=True))[:, None]
        likely = 0.02 * _near(values).sum(0) + 8 * geometric
        self.left[..., 1:] = _sums(values, np.broadcast_to(likely, values.shape))
        self.branch[..., 1:] = _sums(branches, np.broadcast_to(1.0 * self.offered, branches.shape))
        inward = np.rint(FINE * errors[..., 0] / (errors[..., 1] + 200))
        self.inward.copy_(torch.from_numpy(np.clip(inward, -FINE, FINE)))

    @torch.no_grad()
    def take(self, other: "Context", odd: NDArray[np.int64], own: NDArray[np.int64]) -> None:
        """Take the tables of a code with fewer states, whose parity says how likely cosets are.

        Arguments:
            other: tables for the same channels.
            odd: which of the other states offer odd levels, shape (other states,).
            own: which of its own states do, shape (states,).
        """
        state = other.state_dict()
        mean = [state["branch"][..., odd == parity, :].double().mean(-2) for parity in (0, 1)]
        state["branch"] = torch.stack(mean, -2).round().long()[..., torch.from_numpy(own), :]
        self.load_state_dict(state)

    def check(self) -> None:
        """Refuse tables that no decoder could walk along, and reconstructions beyond their levels.

        Raises:
            ValueError: the probabilities of a table are not positive, or do not sum to one.
        """
        for sums, there in ((self.left, True), (self.branch, torch.from_numpy(self.offered))):
            positive = (torch.diff(sums) > 0) == there
            if not ((sums[..., 0] == 0) & (sums[..., -1] == TOTAL) & positive.all(-1)).all():
                raise ValueError("a table has no probabilities")
        if (self.inward.abs() > FINE).any():
            raise ValueError("a reconstruction lies beyond its level")

    @property
    def branch_bits(self) -> NDArray[np.float32]:
        """The code length of each branch, shape (2, classes, states, branches)."""
        return _code_lengths(self.branch)

    @property
    def value_bits(self) -> NDArray[np.float32]:
        """The code length of each rank without its sign, shape (2, classes, kinds, ranks)."""
        return _code_lengths(self.left)

    @property
    def probabilities(self) -> tuple[Counts, Counts]:
        """What the range coder needs: `branch` and `left`."""
        return self.branch.numpy(), self.left.numpy()

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


def _code_lengths(sums: Tensor) -> NDArray[np.float32]:
    """Return code lengths from sums of probabilities along the last axis."""
    bits = PRECISION - torch.diff(sums.double()).clamp(min=1).log2()
    found: NDArray[np.float32] = bits.float().numpy()
    return found


def _near(counts: Counts) -> Counts:
    """Return the counts of each class and of those next to it."""
    near = counts.copy()
    near[:, 1:] += counts[:, :-1]
    near[:, :-1] += counts[:, 1:]
    return near


def in_units(probability: Array, least: NDArray[np.bool_] | int = 1) -> Counts:
    """Return probabilities in 2^-24, `least` at least; the largest of a row takes the rest."""
    found = np.maximum(np.floor(probability * TOTAL), least).astype(np.int64)
    largest = found.argmax(-1, keepdims=True)
    rest = TOTAL - found.sum(-1, keepdims=True)
    np.put_along_axis(found, largest, np.take_along_axis(found, largest, -1) + rest, -1)
    return found


def _sums(counts: Counts, likely: Array) -> Tensor:
    """Return sums of probabilities along the last axis in 2^-24, to the end of each symbol.

    Arguments:
        counts: how often what was found, shape (2, classes, ...).
        likely: added to what was found in the classes next to it, of which `PRIOR` numbers are
            drawn; 0 where there is no such symbol.
    """
    likely = _near(counts) + likely
    found = counts + PRIOR * likely / likely.sum(-1, keepdims=True)
    found = in_units(found / found.sum(-1, keepdims=True), likely > 0)
    return torch.from_numpy(found.cumsum(-1))
