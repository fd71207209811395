"""The rate-distortion-perception function of a Gaussian source."""

import math

from ltc.bounds.curve import Bracket, RateDistortion
from ltc.checks import number

__all__ = ["GaussianPerception"]


class GaussianPerception(RateDistortion):
    """R(D, P) of i.i.d. Gaussian scalars under squared error, P a squared Wasserstein-2 distance.

    With randomness that encoder and decoder share without limit, in closed form (Zhang, Qian, Chen
    and Khisti, *Universal rate-distortion-perception representations for lossy compression*,
    NeurIPS 2021, theorem 1).

    With B bits per scalar of it, and a reconstruction whose blocks are distributed as those of the
    source (P = 0), the message M has `R = I(X; M)`, and the reconstruction may know of it
    `I(M; Y) = R + B`, so that the correlation of source and reconstruction is
    `1 - D / (2 v) = sqrt((1 - 4^-R) (1 - 4^-(R + B)))`; with none, `D = 2 v 4^-R` (Saldi, Linder
    and Yuksel, IEEE Trans. Inform. Theory 61, 2015; Wagner, arXiv 2202.04147). A decoder that is P
    away becomes one that is not, by a map of its own which costs sqrt(P) at most, so that
    `R((sqrt(D) + sqrt(P))^2, 0)` is a lower limit; `R(D, 0)` is an upper one.

    Arguments:
        variance: of the source, v.
        perception: P.
        common_bits: bits per scalar of randomness that both sides share, B; by default any.

    Raises:
        InputError: the variance is not positive, or another number is negative.

    Example: at one bit a reconstruction distributed as the source costs 0.3 dB and 3 dB.
        >>> shared, private = GaussianPerception(1.0), GaussianPerception(1.0, common_bits=0)
        >>> round(shared.bracket(2 - 3**0.5).lower, 9), private.bracket(0.5).lower
        (1.0, 1.0)
    """

    name = "R(D, P) of a Gaussian"
    about = "closed form"

    def __init__(
        self, variance: float, perception: float = 0.0, common_bits: float = math.inf
    ) -> None:
        self.variance = number("the variance", variance)
        self.perception = number("the perception", perception, closed=True)
        self.common_bits = common_bits

    def bracket(self, distortion: float, tolerance: float | None = None) -> Bracket:
        """Return R(D, P), between limits where the shared randomness is limited and P is not 0."""
        if number("distortion", distortion, closed=True) == 0:
            return Bracket(math.inf, math.inf)
        shared = self._shared(distortion)
        if self.common_bits == math.inf:
            return Bracket(shared, shared)
        away = (math.sqrt(distortion) + math.sqrt(self.perception)) ** 2
        return Bracket(max(shared, self._limited(away)), self._limited(distortion))

    def _shared(self, distortion: float) -> float:
        """Return R(D, P) of unlimited shared randomness."""
        v, sigma, root = self.variance, math.sqrt(self.variance), math.sqrt(self.perception)
        if root >= sigma - math.sqrt(abs(v - distortion)):  # the best estimate is near enough
            return max(0.0, 0.5 * math.log2(v / distortion))
        w = (sigma - root) ** 2
        covariance = (v + w - distortion) / 2
        if covariance <= 0:
            return 0.0
        return 0.5 * math.log2(v * w / (v * w - covariance**2))

    def _limited(self, distortion: float) -> float:
        """Return R(D, 0), solving `(1 - t) (1 - k t) = correlation^2` for t = 4^-R, k = 4^-B."""
        correlation = 1 - distortion / (2 * self.variance)
        if correlation <= 0:
            return 0.0
        rest, k = 1 - correlation**2, 4**-self.common_bits
        t = 2 * rest / (1 + k + math.sqrt((1 + k) ** 2 - 4 * k * rest))
        return -0.5 * math.log2(t)
