"""Real bytes: lattice points as a bitstream, and the files that hold it."""

from ltc.codec.base import Code
from ltc.codec.code import LatticeCode
from ltc.codec.container import Container
from ltc.codec.files import Aim, FileCoder, Payload
from ltc.codec.fixed_rate import FixedRateCode
from ltc.codec.fixed_size import FixedSizeCode
from ltc.codec.select import code_for, grid_files, no_bitstream

__all__ = [
    "Aim",
    "Code",
    "Container",
    "FileCoder",
    "FixedRateCode",
    "FixedSizeCode",
    "LatticeCode",
    "Payload",
    "code_for",
    "grid_files",
    "no_bitstream",
]
