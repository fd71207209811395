"""Which code writes the points of a coder."""

from collections.abc import Mapping
from typing import Any

from ltc.codec.base import Code
from ltc.codec.code import LatticeCode
from ltc.codec.fixed_rate import FixedRateCode
from ltc.codec.fixed_size import FixedSizeCode
from ltc.codec.grid_files import GridFileCoder
from ltc.codec.picture_files import PictureFileCoder
from ltc.codec.sound_files import SoundFileCoder
from ltc.coder import LatticeTransformCoder
from ltc.coder.grid import GridCoder
from ltc.errors import InputError
from ltc.quantizers import NestedQuantizer

__all__ = ["code_for", "grid_files", "no_bitstream"]

GRID_FILES = {"image": PictureFileCoder, "audio": SoundFileCoder}


def grid_files(coder: GridCoder, facts: dict[str, Any]) -> GridFileCoder:
    """Return what codes whole pictures or sounds as files.

    Arguments:
        coder: the coder.
        facts: of the source, see `ltc.runs.run.facts`.
    """
    return GRID_FILES[facts["whole"]](coder, facts)


def no_bitstream(config: Any) -> InputError:
    """Return what to say of a configuration whose coder writes no files."""
    shared = config["quantizer"].get("dither") == "shared"
    which = "quantizer.dither=shared" if shared else f"entropy={config['name']['entropy']}"
    other = "; use dither=private or none" if shared else ""
    return InputError(f"{which} has no bitstream{other}")


def code_for(coder: LatticeTransformCoder, state: Mapping[str, Any] | None = None) -> Code | None:
    """Return the bitstream of a trained coder.

    Arguments:
        coder: the coder.
        state: what `state` of its code returned when it was frozen; None: freeze it now.

    Returns:
        The code; None where the entropy model has no bitstream, and under a shared dither.

    Raises:
        InputError: the state belongs to another coder.
    """
    channel, entropy = coder.layout.channel, coder.entropy
    if isinstance(coder.quantizer, NestedQuantizer):
        return FixedRateCode(coder.quantizer, len(channel))
    if entropy.trellis is None or coder.quantizer.dither == "shared":
        return None
    if state is not None and not isinstance(state, Mapping):
        raise InputError("its frozen code is no table")
    code = LatticeCode.of(entropy, channel, coder.endless, state)
    return code if coder.size is None else FixedSizeCode(code, coder.size // 8)
