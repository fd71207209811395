"""Trellis codes of any length over the integers modulo 4."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ltc.errors import InputError
from ltc.lattices.base import Lattice
from ltc.lattices.trellis import Section, Trellis

__all__ = ["Convolutional"]

# By states and period: the generator polynomials of z0 and z1, octal, for each coordinate of a
# period. Those of period 1 are Ungerboeck's parity-check polynomials (h1, h0) for one-dimensional
# signals (*Channel coding with multilevel/phase signals*, IEEE Trans. Inform. Theory 28, 1982,
# table I; 128 and 256 states: *Trellis-coded modulation*, IEEE Commun. Mag. 25(2), 1987, part II).
CODES = {
    (4, 1): ("2", "5"),
    (8, 1): ("04", "13"),
    (16, 1): ("04", "23"),
    (32, 1): ("10", "45"),
    (64, 1): ("024", "103"),
    (128, 1): ("126", "235"),
    (256, 1): ("362", "515"),
    # Found by scripts/search_codes.py; second moments 0.06057 and 0.0601.
    (1024, 1): ("1466", "3227"),
    (4096, 1): ("6706", "14035"),
    # Found by the same script; Lagrangian at lmbda 1.1.
    (64, 2): ("143", "25", "37", "57"),
    (256, 2): ("575", "403", "246", "134"),
    (4096, 2): ("17131", "5521", "3321", "1604"),
}


class Convolutional(Lattice):
    """A union of cosets of a cubic lattice given by a convolutional code: its trellis goes on.

    The coset of coordinate t is 2 z1 + z0 modulo 4, in units of a quarter of the cube. The bits
    z1 and z0 are sums modulo 2 of the last bits of a free sequence, which goes on by one bit every
    `period` coordinates: the fewer, the better at low rates, where a code of period 1 can only
    share time between half a bit and nothing. The register starts at zero and may end in any
    state. The code is linear over bits but not over integers, so it has no generator matrix; all
    that is computed on trellises holds.

    Arguments:
        states: number of states: 4, 8, 16, 32, 64, 128, 256, 1024 or 4096.
        length: coordinates of a block, n, at least 8.
        period: coordinates for each free bit: 1, or 2 for less than half a bit per coordinate.

    Raises:
        InputError: there is no code with so many states and this period, or the length is less
            than 8.

    Example:
        >>> lattice = Convolutional(states=8, length=16)
        >>> lattice.trellis.states[:6]
        [1, 2, 4, 8, 8, 8]
        >>> x = lattice.closest_point(torch.randn(5, 16))
        >>> bool(torch.equal(lattice.closest_point(x), x))
        True
    """

    runs_across = True

    def __init__(self, states: int = 8, length: int = 256, period: int = 1) -> None:
        if (states, period) not in CODES:
            known = [f"{key[0]}" for key in CODES if key[1] == period]
            if not known:
                raise InputError(f"quantizer.period={period}; expected 1 or 2")
            raise InputError(f"quantizer.states={states}; expected one of {', '.join(known)}")
        if not isinstance(length, int) or length < 8:
            raise InputError(f"quantizer.length={length}; expected an integer of at least 8")
        self.states = states
        self.length = length
        self.period = period
        self.code = CODES[states, period]
        self.name = f"trellis-{states}" + (f"-period-{period}" if period > 1 else "")

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
        """The trellis, of unit volume per point."""
        return Trellis(code_sections(self.code, self.length))

    @property
    def surrogate(self) -> Lattice:
        """The code of at most 64 states: what is learned through it is the same."""
        return self if self.states <= 64 else Convolutional(64, self.length, self.period)

    def with_shared_zero(self, values: Tensor) -> Tensor:
        """Move values next to zero to zero, so that fewer states have to send something.

        With period 1, a zero between -1/2 and 1/2, the values of least magnitude of half the
        states, as in dependent quantization (Schwarz, Nguyen, Marpe and Wiegand, *Hybrid video
        coding with trellis-coded quantization*, Data Compression Conference 2019; Marcellin, *On
        entropy-constrained trellis coded quantization*, IEEE Trans. Commun. 42, 1994): what was
        1/2 becomes 0, 3/2 becomes 1/2, and so on. With longer periods both even cosets get one
        zero: a second would cost rate and bring nothing. The states are those of the lattice
        point.
        """
        unit = self.trellis.spacing[0]
        index = torch.round(values / unit)
        if self.period > 1:
            return values.masked_fill(index == 2, 0.0)
        odd = (index > 0) & (index % 2 == 1)
        return torch.where(odd, (values - 2 * unit).clamp_min(0), values)

    def _closest_point(self, x: Tensor) -> Tensor:
        return self.trellis.closest_point(x)

    def sample_voronoi(
        self, count: int, generator: torch.Generator, dtype: torch.dtype = torch.float32
    ) -> Tensor:
        """Draw quantization errors of uniform noise.

        Arguments:
            count: number of errors.
            generator: where the randomness comes from.
            dtype: floating-point type.

        Returns:
            Errors, shape (count, n), on the generator's device.
        """
        shape = (count, self.length)
        period = self.trellis.sections[0].step
        x = period * torch.rand(shape, generator=generator, device=generator.device, dtype=dtype)
        return x - self._closest_point(x)


def code_sections(code: tuple[str, ...], length: int) -> list[Section]:
    """Return the sections of a code as a shift register, whose lowest bit is the newest.

    Arguments:
        code: the generator polynomials of z0 and z1 for each coordinate of a period, octal; bit
            i weighs the free bit that came i bits ago.
        length: number of coordinates, n.
    """
    generators = [int(polynomial, 8) for polynomial in code]
    period = len(generators) // 2
    memory = max(generators).bit_length() - 1
    free = -(-length // period)
    # 2^free points in a cube of (4 unit)^n: of unit volume each.
    step = 2.0 ** (free / length)
    offset = np.arange(4) * (step / 4)
    parity = np.array([word.bit_count() % 2 for word in range(2 << memory)])
    sections: list[Section] = []
    before, full = 1, 1 << memory
    for t in range(length):
        if t >= period * (memory + 1):
            sections.append(sections[-period])  # from here on nothing changes
            continue
        phase = t % period
        after = min(2 * before, full) if phase == 0 else before
        # What was in the register on arrival: the state, and before it a bit that has left.
        register = np.arange(after)[:, None]
        if phase == 0 and before == full:
            register = register + np.array([0, full])
        z0, z1 = (parity[register & g] for g in generators[2 * phase : 2 * phase + 2])
        sections.append(Section(register >> (phase == 0), 2 * z1 + z0, offset, step))
        before = after
    return sections
