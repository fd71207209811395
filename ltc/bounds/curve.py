"""What every rate-distortion function offers: a bracket at any distortion."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ltc.errors import InputError

__all__ = ["Bracket", "Narrowest", "Progress", "RateDistortion", "checked"]

Array = NDArray[np.float64]

# Called with a line of text and the share, 0 to 1, of the work on a slope that is done; with 1 when
# a bracket is done.
Progress = Callable[[str, float], None]

# Bits by which quadrature and rounding may put a lower bound above an upper one.
ROUNDING = 1e-6


class Bracket(NamedTuple):
    """Bounds on R(D) at one distortion, bits per scalar; None where none is known."""

    lower: float | None
    upper: float | None


class RateDistortion(ABC):
    """The rate-distortion function of a source, as far as it is known.

    Rates are bits per scalar of the source, distortions are means per scalar.

    Attributes:
        name: how the numbers came about, as shown in tables and figures.
        names: the same of the lower and of the upper bound, where they differ.
        about: what was done, in a line.
        note: why a bracket may be wider than what was asked for, or lack an end, and what to do.
    """

    name: str
    names: tuple[str, str] | None = None
    about: str = ""
    note: str = ""

    @abstractmethod
    def bracket(self, distortion: float, tolerance: float | None = None) -> Bracket:
        """Return bounds on R(D).

        Arguments:
            distortion: D >= 0, per scalar. At zero a bound is the entropy of a discrete source,
                infinite for a density, and None where neither is known.
            tolerance: how far apart the bounds may be, bits per scalar; None: the accuracy that
                the object was made for. Closed forms ignore it.

        Raises:
            InputError: `distortion` is negative or not finite.
        """

    def limits(self, distortion: float, tolerance: float | None = None) -> dict[str, float]:
        """Return every limit of R(D) that is known, bits per scalar, as tables and figures show it.

        The name of a lower limit begins with ≥, of an upper one with ≤. Arguments as in `bracket`.
        """
        names = self.names or (self.name, self.name)
        named = zip("≥≤", names, self.bracket(distortion, tolerance), strict=True)
        return {f"{sign} {name}": value for sign, name, value in named if value is not None}

    def dispersion(self, distortion: float) -> float | None:
        """Return the rate dispersion V(D), bits squared per scalar; None where R(D) is zero.

        The variance of the d-tilted information: n scalars in one block of fixed rate, whose
        distortion is above D with probability eps at most, need
        R(D) + sqrt(V(D) / n) Q^-1(eps) bits each, but for terms of the order log(n) / n (Kostina
        and Verdu, *Fixed-length lossy compression in the finite blocklength regime*, IEEE Trans.
        Inform. Theory 58, 2012). Its theorem leaves the sign of those terms open, so they are
        left out.

        Raises:
            InputError: it is not known, as of samples, or `distortion` is not a positive number.
        """
        raise InputError(
            f"the rate dispersion, which n asks for, is not known of a source of which there are "
            f"samples only ({self.name}); leave n out"
        )

    def at_perception(self, perception: float, common_bits: float) -> "RateDistortion":
        """Return R(D, P), where it is known; otherwise R(D), which is a lower limit of it.

        Arguments:
            perception: squared Wasserstein-2 distance of reconstruction and source per scalar, P.
            common_bits: bits per scalar of randomness that encoder and decoder share.
        """
        return self

    def estimate(self, distortion: float) -> float | None:
        """Return a lower bound that is cheap enough for a progress bar, or None."""
        return self.bracket(distortion, 0.05).lower if 0 <= distortion < math.inf else None

    def curve(self, distortions: ArrayLike, tolerance: float | None = 0.02) -> tuple[Array, Array]:
        """Return lower and upper bounds at many distortions, shapes (count,); NaN where unknown.

        The tolerance is as in `bracket`; by default what a figure can show.
        """
        brackets = [self.bracket(float(value), tolerance) for value in np.asarray(distortions)]
        lower, upper = np.array(brackets, dtype=float).reshape(-1, 2).T
        return lower, upper


def checked(lower: float | None, upper: float | None, name: str, proof: bool) -> Bracket:
    """Return a bracket whose ends, bits per scalar, do not contradict each other.

    Raises:
        RuntimeError: the lower end is above the upper one though both are proof.
        InputError: and they are confidence limits.

    Example:
        >>> checked(0.5, 0.5 - 1e-12, "example", True)
        Bracket(lower=0.499999999999, upper=0.499999999999)
    """
    if lower is not None and upper is not None:
        if lower > upper + ROUNDING:
            found = f"{name}: the lower end {lower:.6f} is above the upper end {upper:.6f}"
            if proof:
                raise RuntimeError(f"{found}: a bug in ltc")
            raise InputError(
                f"{found}; the rows are few or not independent: use more of them, or bound=auto"
            )
        lower = min(lower, upper)
    return Bracket(lower, upper)


class Narrowest(RateDistortion):
    """The largest lower and the smallest upper limit of several bounds of one source.

    Arguments:
        bounds: at least one.
        proof: all of them are proof; otherwise some are confidence limits (see `checked`).

    Example:
        >>> from ltc.bounds import ReverseWaterFilling
        >>> two = Narrowest([ReverseWaterFilling([[v]], exact=False) for v in (1.0, 2.0)])
        >>> two.bracket(0.25)
        Bracket(lower=None, upper=1.0)
    """

    def __init__(self, bounds: Sequence[RateDistortion], proof: bool = True) -> None:
        self.bounds = list(bounds)
        self.proof = proof
        self.note, self.about = bounds[0].note, bounds[0].about
        self.name = " or ".join(dict.fromkeys(bound.name for bound in bounds))

    def bracket(self, distortion: float, tolerance: float | None = None) -> Bracket:
        """Return the narrowest bracket."""
        brackets = [bound.bracket(distortion, tolerance) for bound in self.bounds]
        lower = max((b.lower for b in brackets if b.lower is not None), default=None)
        upper = min((b.upper for b in brackets if b.upper is not None), default=None)
        return checked(lower, upper, self.name, self.proof)

    def limits(self, distortion: float, tolerance: float | None = None) -> dict[str, float]:
        """Return the limits of all bounds."""
        limits = [bound.limits(distortion, tolerance) for bound in self.bounds]
        return {name: value for known in limits for name, value in known.items()}

    def estimate(self, distortion: float) -> float | None:
        """Return the largest lower bound that is cheap, or None."""
        found = (bound.estimate(distortion) for bound in self.bounds)
        return max((value for value in found if value is not None), default=None)
