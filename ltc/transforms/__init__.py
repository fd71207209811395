"""Analysis and synthesis transforms."""

from ltc.transforms.base import Transform, principal_axes
from ltc.transforms.conv import Conv
from ltc.transforms.grid import GridTransform
from ltc.transforms.identity import Identity
from ltc.transforms.klt import KLT
from ltc.transforms.lapped import Lapped
from ltc.transforms.linear import Linear
from ltc.transforms.mdct import MDCT
from ltc.transforms.mlp import MLP

__all__ = [
    "KLT",
    "MDCT",
    "MLP",
    "Conv",
    "GridTransform",
    "Identity",
    "Lapped",
    "Linear",
    "Transform",
    "principal_axes",
]
