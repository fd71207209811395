"""Models of the probability of lattice points."""

from ltc.entropy.base import EntropyModel
from ltc.entropy.context import Context
from ltc.entropy.exact import Exact
from ltc.entropy.fixed_rate import FixedRate
from ltc.entropy.mixture import GaussianMixture
from ltc.entropy.monte_carlo import MonteCarlo
from ltc.entropy.point_table import PointTable

__all__ = [
    "Context",
    "EntropyModel",
    "Exact",
    "FixedRate",
    "GaussianMixture",
    "MonteCarlo",
    "PointTable",
]
