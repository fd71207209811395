"""Trellis codes of any length over the integers modulo 4."""

import functools

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ltc.checks import choice, integer
from ltc.errors import InputError
from ltc.lattices.base import Lattice
from ltc.lattices.trellis import Section, Trellis

__all__ = ["Convolutional"]

# Coordinates of a block; more would fill the memory and lose no less.
LONGEST = 1 << 16

# Parity-check polynomials (h1, h0), octal, of Ungerboeck's codes for one-dimensional signals
# (*Channel coding with multilevel/phase signals*, IEEE Trans. Inform. Theory 28, 1982, table I;
# 128 and 256 states: *Trellis-coded modulation*, IEEE Commun. Mag. 25(2), 1987, part II).
CODES = {
    4: ("2", "5"),
    8: ("04", "13"),
    16: ("04", "23"),
    32: ("10", "45"),
    64: ("024", "103"),
    128: ("126", "235"),
    256: ("362", "515"),
    # Found by scripts/search_codes.py; second moments 0.06059(1), 0.06016(1), 0.05984(2) and
    # 0.05973(2), measured with 6 million samples and 2 million that the search had not seen.
    1024: ("1466", "3227"),
    4096: ("6706", "14035"),
    16384: ("22456", "50545"),
    32768: ("30504", "104617"),
}


class Convolutional(Lattice):
    """A union of cosets of 4 Z^n given by a convolutional code: a lattice whose trellis goes on.

    The coset of coordinate t is 2 z1 + z0, where the bits z1 and z0 obey the parity check
    `sum_i h1_i z1[t - i] + h0_i z0[t - i] = 0` modulo 2. The code starts in state 0 and may end
    in any state. It is linear over bits but not over integers, so it has no generator matrix;
    all that is computed on trellises holds.

    Arguments:
        states: number of states: 4, 8, 16, 32, 64, 128, 256, 1024, 4096, 16384 or 32768.
        length: coordinates of a block, n, at least 8.

    Raises:
        InputError: there is no code with so many states, or the length is less than 8.

    Example:
        >>> lattice = Convolutional(states=8, length=16)
        >>> lattice.trellis.states[:6]
        [1, 2, 4, 8, 8, 8]
        >>> x = lattice.closest_point(torch.randn(5, 16))
        >>> bool(torch.equal(lattice.closest_point(x), x))
        True
    """

    runs_across = True

    def __init__(self, states: int = 8, length: int = 256) -> None:
        self.states = choice("quantizer.states", states, CODES)
        self.length = integer("quantizer.length", length, 8, LONGEST)
        self.name = f"trellis-{states}"

    @property
    def dimension(self) -> int:
        """Coordinates of a block, n."""
        return self.length

    @property
    def determinant(self) -> float:
        """The square of the volume per point, 1."""
        return 1.0

    @property
    def generator_matrix(self) -> npt.NDArray[np.float64]:
        """None: sums of points are no points in general."""
        raise InputError(
            "a trellis code is not closed under addition: it has no generator matrix; use it with "
            "entropy=exact, and another lattice where a matrix is needed"
        )

    @functools.cached_property
    def trellis(self) -> Trellis:  # type: ignore[override]
        """The trellis, of unit volume per point: there are 2 points in 4 at each coordinate."""
        return _trellis(self.states, self.length)

    def of_length(self, length: int) -> "Convolutional":
        """Return the lattice of the same code with another number of coordinates.

        One path, whose state goes on from the first coordinate to the last; a path of millions of
        coordinates takes no more memory than its vectors, and is decoded in pieces. Once all
        states are reached the sections are the same object, for this and every other length.

        Example:
            >>> long = Convolutional(states=8, length=16).of_length(100_000)
            >>> x = torch.randn(100_000, generator=torch.Generator().manual_seed(0))
            >>> points = long.closest_point(x)
            >>> bool((points - x).square().mean() < 0.066)
            True
            >>> int(long.trellis.states_after(points)[-1]) < 8
            True
        """
        if not isinstance(length, int) or length < 1:
            raise InputError(f"got a trellis of length {length!r}; expected a positive integer")
        other = Convolutional(self.states)
        other.length = length  # which may be shorter than the blocks that are worth training
        return other

    @property
    def section(self) -> Section:
        """The section that repeats, from as many states to as many."""
        return beginning(*CODES[self.states])[-1]

    @property
    def surrogate(self) -> Lattice:
        """The code of at most 64 states: what is learned through it is the same."""
        return self if self.states <= 64 else Convolutional(64, self.length)

    def with_shared_zero(self, values: Tensor) -> Tensor:
        """Insert a zero between -1/2 and 1/2, the values of least magnitude of half the states.

        So that no state has to send something, as in dependent quantization (Schwarz, Nguyen,
        Marpe and Wiegand, *Hybrid video coding with trellis-coded quantization*, Data
        Compression Conference 2019; Marcellin, *On entropy-constrained trellis coded
        quantization*, IEEE Trans. Commun. 42, 1994). What was 1/2 becomes 0, 3/2 becomes 1/2,
        and so on; the states are those of the lattice point.
        """
        odd = (values > 0) & (values % 1 == 0.5)
        return torch.where(odd, (values - 1).clamp_min(0), values)

    def _closest_point(self, x: Tensor) -> Tensor:
        return self.trellis.closest_point(x)

    def sample_shift(
        self, count: int, generator: torch.Generator, dtype: torch.dtype = torch.float32
    ) -> Tensor:
        """Draw points uniformly from a period of the code, arguments as of any lattice."""
        shape = (count, self.length)
        period = self.section.step
        return period * torch.rand(shape, generator=generator, device=generator.device, dtype=dtype)

    def sample_dither(
        self, count: int, generator: torch.Generator, dtype: torch.dtype = torch.float32
    ) -> Tensor:
        """Draw one shift for all coordinates of a block, shape (count, 1).

        Along a path of many coordinates each has the noise that it would have under shifts of
        their own, and the sections of the trellis stay alike.
        """
        period = self.trellis.sections[0].step
        u = torch.rand(count, 1, generator=generator, device=generator.device, dtype=dtype)
        return period * (u - 0.5)


@functools.lru_cache(maxsize=4)
def _trellis(states: int, length: int) -> Trellis:
    return Trellis(beginning(*CODES[states]), length)


@functools.lru_cache(maxsize=16)
def beginning(h1: str, h0: str) -> tuple[Section, ...]:
    """Return the sections of a code up to the first that repeats.

    A shift register, whose lowest bit is the newest: a sequence of free bits u gives z1 = h0 u
    and z0 = h1 u, which obey the parity check.
    """
    check1, check0 = int(h1, 8), int(h0, 8)
    memory = check0.bit_length() - 1
    full = 1 << memory
    parity = np.array([word.bit_count() % 2 for word in range(2 * full)])
    offset = np.array([0.0, 0.5, 1.0, 1.5])  # 2 points in a period of 4: halved, the volume is 1
    sections: list[Section] = []
    for t in range(memory + 1):
        # What the register holds on arrival in each state: its bits, and the one that leaves.
        register = np.arange(min(2 << t, full))[:, None]
        if t == memory:
            register = register + np.array([0, full])
        coset = 2 * parity[register & check0] + parity[register & check1]
        sections.append(Section(register >> 1, coset, offset, 2.0))
    return tuple(sections)
