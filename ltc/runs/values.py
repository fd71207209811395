"""Values of a configuration: numbers checked before anything is loaded, and all by name."""

from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ltc.checks import choice, integer, number
from ltc.errors import InputError

__all__ = ["check_values", "dotted"]


def check_values(config: DictConfig) -> None:
    """Refuse numbers that no run can use; integers written as 1e6 become integers.

    It loads no torch, so that a command can answer at once.

    Arguments:
        config: the configuration of `ltc-train`, changed in place.

    Raises:
        InputError: a value cannot be used.

    Example:
        >>> numbers = {"lmbda": 8, "learning_rate": 0.01, "transform_learning_rate": 0.001}
        >>> numbers |= {"gradient_clip": 1, "steps": 1e3, "batch": None, "seed": 0}
        >>> groups = {"evaluate": {"samples": 1e6, "bitstream": True}, "refine": {"samples": None}}
        >>> groups["trainer"] = {"val_check_interval": 500}
        >>> config = OmegaConf.create(numbers | groups)
        >>> check_values(config)
        >>> config.steps
        1000
    """
    for key in ("refine", "evaluate", "trainer"):
        if not OmegaConf.is_dict(config.get(key)):
            raise InputError(f"{key}={config.get(key)}; expected a group, of which keys are set")
    for key in ("lmbda", "learning_rate", "transform_learning_rate"):
        number(key, config[key])
    for key in ("steps", "evaluate.samples", "batch", "refine.samples"):
        value = OmegaConf.select(config, key)
        if value is not None or key in ("steps", "evaluate.samples"):
            OmegaConf.update(config, key, integer(key, value))
    integer("seed", config.seed, 0, 2**32 - 1)
    number("gradient_clip", config.gradient_clip, closed=True)
    number("realism", config.get("realism", 0), closed=True)
    integer("trainer.val_check_interval", config.trainer.val_check_interval)
    choice("evaluate.bitstream", config.evaluate.bitstream, (True, False))


def dotted(values: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield plain values within each other under dotted names, as they are typed.

    Example:
        >>> dict(dotted({"quantizer": {"lattice": {"states": 8}, "rdo": True}}))
        {'quantizer.lattice.states': 8, 'quantizer.rdo': True}
    """
    if isinstance(values, dict) and values:
        for key, value in values.items():
            yield from dotted(value, f"{name}.{key}" if name else str(key))
    else:
        yield name, values
