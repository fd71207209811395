"""Trellis codes of fixed rate: an exact number of bits for each sample, no entropy coding."""

import math

import torch
from torch import Tensor

from ltc.checks import integer
from ltc.lattices import Convolutional

__all__ = ["TrellisCodedQuantizer"]

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
