"""Trellis codes of fixed rate to compare with: no entropy coding, an exact number of bits a sample.

The bitshift trellis has the last bits of the stream as its states, and computed numbers.
"""

import math
from typing import Any

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ltc.checks import choice, integer
from ltc.errors import InputError
from ltc.lattices import Convolutional
from ltc.lattices.backend import in_parallel

Array = NDArray[Any]

# Iterations of the generalised Lloyd algorithm at most, and the share by which each has to help.
ITERATIONS, LEAST_FALL = 40, 1e-4


class TrellisCodedQuantizer:
    """Trellis-coded quantization (Marcellin and Fischer, *Trellis coded quantization of memoryless
    and Gauss-Markov sources*, IEEE Trans. Commun. 38, 1990).

    A codebook of `2^(rate + 1)` numbers, twice as many as a scalar quantizer of this rate has, is
    dealt out in order to four subsets. From each state of Ungerboeck's code leave two branches,
    each with a subset: one bit a sample says which branch, `rate - 1` which number of the subset.
    Every block starts in state 0.

    Arguments:
        rate: bits per sample.
        states: of the code, as of `ltc.lattices.Convolutional`.

    Attributes:
        codebook: the numbers, ascending, shape (2^(rate + 1),).

    Raises:
        InputError: the rate is no integer from 1 to 8.

    Example:
        >>> quantizer = TrellisCodedQuantizer(rate=2, states=8)
        >>> x = torch.randn(500, 200, generator=torch.Generator().manual_seed(0))
        >>> quantizer.fit(x)
        >>> index = quantizer.encode(x)
        >>> error = quantizer.decode(index) - x
        >>> bool(index.max() < 4), bool(10.4 < -10 * error.square().mean().log10() < 10.8)
        (True, True)
    """  # noqa: D205 (the summary names the paper)

    def __init__(self, rate: int = 2, states: int = 256) -> None:
        self.rate = integer("rate", rate, 1, 8)
        self.states = states
        section = Convolutional(states).section
        # Which branch leaves a state: the bit that enters the register is the lowest of the next.
        self._previous = torch.as_tensor(section.previous, dtype=torch.int64)
        self._subset = torch.as_tensor(section.coset, dtype=torch.int64)
        size = 1 << (self.rate + 1)
        levels = (torch.arange(size, dtype=torch.float64) + 0.5) / size
        self.codebook = torch.erfinv(2 * levels - 1) * math.sqrt(2)

    def fit(self, samples: Tensor) -> None:
        """Move the numbers to the means of the samples that they stand for, in turn with encoding.

        Arguments:
            samples: training blocks, shape (count, n).
        """
        x, last = samples.double(), math.inf
        for _ in range(ITERATIONS):
            chosen = self._chosen(self.encode(x))
            error = float((self.codebook[chosen] - x).square().mean())
            if not error < last * (1 - LEAST_FALL):
                break
            last, flat = error, chosen.flatten()
            number = torch.bincount(flat, minlength=len(self.codebook))
            sums = torch.bincount(flat, x.flatten(), minlength=len(self.codebook))
            self.codebook = torch.where(number > 0, sums / number.clamp(min=1), self.codebook)

    def encode(self, x: Tensor) -> Tensor:
        """Return the indices of blocks by the Viterbi algorithm.

        Arguments:
            x: blocks, shape (count, n).

        Returns:
            Integers below 2^rate, same shape: `rate` bits a sample.
        """
        subsets = self.codebook.to(x).reshape(-1, 4).T.contiguous()  # (4, numbers of each)
        distance, number = (x[..., None, None] - subsets).square().min(-1)
        trellis = Convolutional(self.states).of_length(x.shape[1]).trellis
        used = trellis.shortest_path(distance)
        # The lattice's cosets are half as far apart as their numbers.
        bit = trellis.states_after(used.to(x) / 2).long() & 1
        return bit << (self.rate - 1) | number.gather(-1, used.unsqueeze(-1))[..., 0]

    def decode(self, index: Tensor) -> Tensor:
        """Return the numbers of indices; shape (count, n) in and out."""
        return self.codebook.to(index.device)[self._chosen(index)].float()

    def _chosen(self, index: Tensor) -> Tensor:
        """Return which number of the codebook each index stands for, shape (count, n)."""
        previous, subset = self._previous.to(index.device), self._subset.to(index.device)
        states = len(previous)
        # subset_of[state, bit]: of the branch that leaves a state with this bit.
        target = torch.arange(states, device=index.device)[:, None].expand_as(previous)
        subset_of = torch.empty(states, 2, dtype=torch.int64, device=index.device)
        subset_of[previous, target & 1] = subset
        bits = index >> (self.rate - 1)
        register = torch.zeros_like(index[:, 0])
        found = []
        for t in range(index.shape[1]):
            found.append(subset_of[register, bits[:, t]])
            register = (2 * register + bits[:, t]) % states
        numbers = index & ((1 << (self.rate - 1)) - 1)
        return 4 * numbers + torch.stack(found, 1)


def mad1(states: int = 1 << 16) -> Tensor:
    """Return the numbers that states have by one multiplication and addition, `1mad`.

    The sum of the four bytes of `34038481 s + 76625530` modulo 2^32, brought to mean zero and
    variance one (Tseng, Sun, Hou and De Sa, *QTIP*, arXiv 2406.11235, algorithm 1).

    Arguments:
        states: how many, s from 0.

    Example:
        >>> mad1(2).tolist()
        [-1.25..., -0.83...]
    """
    word = (34038481 * torch.arange(states) + 76625530) % (1 << 32)
    total = sum((word >> shift) & 255 for shift in (0, 8, 16, 24))
    return (torch.as_tensor(total) - 510).float() / 147.800537109375


def three_inst(states: int = 1 << 16) -> Tensor:
    """Return the numbers that states have by three instructions, `3inst`.

    The sum of two halves of `89226354 s + 64248484` modulo 2^32 as numbers of 16 bits, whose sign,
    last two bits of the exponent and mantissa are free, and taken by exclusive or to the bits of
    0.922 (the same, algorithm 2).

    Arguments:
        states: how many, s from 0.
    """
    word = (89226354 * torch.arange(states) + 64248484) % (1 << 32)
    half = 0b1000_1111_1111_1111
    free = half << 16 | half
    magic = int(np.float16(0.922).view(np.uint16))
    bits = (word & free ^ (magic << 16 | magic)).numpy()
    halves = [(bits >> shift & 0xFFFF).astype(np.uint16).view(np.float16) for shift in (16, 0)]
    return torch.from_numpy(halves[0] + halves[1]).float()


CODEBOOKS = {"1mad": mad1, "3inst": three_inst}


class BitshiftQuantizer:
    """Trellis-coded quantization on the bitshift trellis (Tseng, Sun, Hou and De Sa, *QTIP:
    Quantization with trellises and incoherence processing*, NeurIPS 2024, arXiv 2406.11235).

    The state at a sample is the last L bits of the stream, of which `rate` are new; its number is
    computed from it. A block is tail-biting: its first L - rate bits are its last, so that it
    takes `rate` bits a sample exactly and no start.

    Arguments:
        rate: bits per sample, k.
        memory: bits of a state, L.
        codebook: `1mad` or `3inst`.
        gain: by which the codebook is multiplied; see `fit`.

    Raises:
        InputError: the rate or the memory is no integer in its range, or the codebook unknown.

    Example:
        >>> quantizer = BitshiftQuantizer(rate=2, memory=10)
        >>> x = torch.randn(10, 64, generator=torch.Generator().manual_seed(0))
        >>> states = quantizer.encode(x)
        >>> bool((states[:, 1:] >> 2 == states[:, :-1] & 0xFF).all())
        True
        >>> bool((states[:, 0] >> 2 == states[:, -1] & 0xFF).all())
        True
    """  # noqa: D205 (the summary names the paper)

    def __init__(
        self, rate: int = 2, memory: int = 16, codebook: str = "1mad", gain: float = 1.0
    ) -> None:
        self.rate = integer("rate", rate, 1, 8)
        self.memory = integer("memory", memory, self.rate + 1, 20)
        self.gain = gain
        self._numbers = CODEBOOKS[choice("codebook", codebook, CODEBOOKS)](1 << self.memory)

    @property
    def codebook(self) -> Tensor:
        """The number of each state, shape (2^L,), float32."""
        return self.gain * self._numbers

    def fit(self, samples: Tensor, rounds: int = 4) -> None:
        """Choose the gain that samples want, in turn with encoding.

        Arguments:
            samples: training blocks, shape (count, n).
            rounds: of encoding.
        """
        deviation = float(samples.square().mean().sqrt())
        self.gain = deviation * math.sqrt(1 - 4.0**-self.rate) / float(self._numbers.std())
        for _ in range(rounds):
            numbers = self._numbers.to(samples.device)[self.encode(samples)]
            self.gain = float((numbers * samples).mean() / numbers.square().mean())

    def encode(self, x: Tensor) -> Tensor:
        """Return the states of blocks, by the Viterbi algorithm in two passes.

        The first is of the block turned by half, free at its ends; the bits where the block begins
        in it are held in the second (the paper, algorithm 4).

        Arguments:
            x: blocks, shape (count, n), of at least L samples.

        Returns:
            Integers below 2^L, same shape, of which the lowest `rate` bits are new.

        Raises:
            InputError: blocks are shorter than a state.
        """
        n = x.shape[1]
        if self.rate * n < self.memory:
            raise InputError(
                f"blocks of {n} samples have {self.rate * n} bits, fewer than a state of "
                f"{self.memory}; use longer blocks"
            )
        half = n // 2
        free = torch.full((len(x),), -1, dtype=torch.int64, device=x.device)
        turned = self._states(torch.roll(x, half, 1), free)
        return self._states(x, turned[:, half] >> self.rate)

    def decode(self, states: Tensor) -> Tensor:
        """Return the numbers of states, shape (count, n) in and out."""
        return self.codebook.to(states.device)[states]

    def _states(self, x: Tensor, overlap: Tensor) -> Tensor:
        """Return the states of least squared error, shape (count, n).

        Arguments:
            x: blocks, shape (count, n).
            overlap: the L - rate bits that a block begins and ends with, shape (count,); -1: any.
        """
        states = torch.empty(x.shape, dtype=torch.int64)
        values, held = (array.cpu().numpy() for array in (x.float().contiguous(), overlap))
        codebook = self.codebook.numpy()
        in_parallel(_viterbi, len(x), 1, values, held, codebook, self.rate, states.numpy())
        return states.to(x.device)


@numba.njit(cache=True, nogil=True)
def _viterbi(
    begin: int, end: int, x: Array, overlap: Array, codebook: Array, k: int, states: Array
) -> None:
    """Write the states of blocks `begin` to `end`, arguments as of `_states`.

    The predecessors of state s are s >> k and one of 2^k higher bits: states of the same s >> k,
    a group, share the best of them.
    """
    n, size = x.shape[1], len(codebook)
    groups, branches = size >> k, 1 << k
    origin = np.empty((n, groups), np.uint8)
    total, least = np.empty(size, np.float32), np.empty(groups, np.float32)
    # As wide as the numbers that it is chosen by: loops over both are four times as fast.
    here = np.empty(groups, np.int32)
    for i in range(begin, end):
        held = overlap[i]
        for s in range(size):
            difference = x[i, 0] - codebook[s]
            total[s] = difference * difference
            if held >= 0 and s >> k != held:
                total[s] = np.inf
        for t in range(1, n):
            value = x[i, t]
            for g in range(groups):
                least[g] = total[g]
                here[g] = 0
            for b in range(1, branches):
                other = total[b * groups : (b + 1) * groups]
                for g in range(groups):
                    found = other[g]
                    here[g] = b if found < least[g] else here[g]
                    least[g] = found if found < least[g] else least[g]
            for g in range(groups):
                origin[t, g] = here[g]
            for s in range(size):
                difference = value - codebook[s]
                total[s] = least[s >> k] + difference * difference
        s = 0
        if held >= 0:
            s = held
            for b in range(branches):
                if total[held + b * groups] < total[s]:
                    s = held + b * groups
        else:
            s = int(np.argmin(total))
        for t in range(n - 1, -1, -1):
            states[i, t] = s
            s = origin[t, s >> k] * groups + (s >> k)
