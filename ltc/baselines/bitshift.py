"""The bitshift trellis: states are the last bits of the stream, and have computed numbers."""

import math
from typing import Any

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ltc.checks import choice, integer
from ltc.errors import InputError
from ltc.lattices.backend import in_parallel

__all__ = ["BitshiftQuantizer", "mad1", "three_inst"]

Array = NDArray[Any]


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
