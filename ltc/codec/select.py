"""Which code writes the points of a coder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ltc.codec.base import Code
from ltc.codec.code import LatticeCode
from ltc.codec.fixed_rate import FixedRateCode
from ltc.coder import LatticeTransformCoder
from ltc.errors import InputError
from ltc.quantizers import NestedQuantizer

__all__ = ["code_for"]


def code_for(coder: LatticeTransformCoder, state: Mapping[str, Any] | None = None) -> Code | None:
    """Return the bitstream of a trained coder.

    Arguments:
        coder: the coder.
        state: what `state` of its code returned when it was frozen; None: freeze it now.

    Returns:
        The code; None where the entropy model has no bitstream.

    Raises:
        InputError: the state belongs to another coder.
    """
    channel, entropy = coder.layout.channel, coder.entropy
    if isinstance(coder.quantizer, NestedQuantizer):
        return FixedRateCode(coder.quantizer, len(channel))
    if entropy.trellis is None:
        return None
    if state is not None and not isinstance(state, Mapping):
        raise InputError("its frozen code is no table")
    return LatticeCode.of(entropy, channel, coder.endless, state)
