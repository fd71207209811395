"""Checkpoints: a coder, its frozen code and all that a decoder needs, in one file."""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from ltc.checks import integer, number, refuse_interpolations
from ltc.codec import FileCoder, grid_files, no_bitstream
from ltc.codec.grid_files import GridFileCoder
from ltc.errors import InputError
from ltc.files import config_directories
from ltc.runs.build import (
    build,
    build_coder,
    build_distortion,
    build_grid_coder,
    build_quantizer,
    plain,
)
from ltc.runs.run import Run, load_parameters, restored

__all__ = ["check_targets", "load", "load_coder", "read", "rebuild"]


def load(checkpoint: str | Path) -> Run:
    """Rebuild a run, its source and its bound from its checkpoint, on the CPU.

    Arguments and errors as of `read`.
    """
    config, state = read(checkpoint)
    run, _ = rebuild(config, state, f"ckpt={checkpoint}", torch.device("cpu"))
    return run


def rebuild(
    config: DictConfig, state: dict[str, Any], name: str, device: torch.device
) -> tuple[Run, torch.device]:
    """Build a run as its configuration says, with what was trained.

    Arguments:
        config: that of the checkpoint, or one that differs in the source, the bound, the seed,
            or the evaluation.
        state: the contents of the checkpoint.
        name: of the checkpoint, for messages.
        device: where a coder is to be.

    Returns:
        The run, and the device on which it is.

    Raises:
        InputError: a value cannot be used, or they do not fit each other.
    """
    run = build(config, state["source"])
    try:
        return run, run.restore(state, device)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error


def load_coder(checkpoint: str | Path) -> FileCoder | GridFileCoder:
    """Rebuild what codes files from a checkpoint; the source's data is not needed.

    Arguments and errors as of `read`; it also raises one where there is no bitstream.
    """
    config, state = read(checkpoint)
    try:
        if state["source"].get("whole"):
            whole = build_grid_coder(config, state["source"])
            load_parameters(whole, state)
            return grid_files(whole, state["source"])
        quantizer, distortion = build_quantizer(config), build_distortion(config)
        coder = build_coder(config, quantizer, state["source"]["dimension"], distortion)
        code = restored(coder, state)
    except InputError as error:
        raise InputError(f"ckpt={checkpoint}: {error}") from error
    if code is None:
        raise InputError(f"ckpt={checkpoint}: {no_bitstream(config)}")
    return FileCoder(coder.eval(), code, state["source"])


def read(checkpoint: str | Path) -> tuple[DictConfig, dict[str, Any]]:
    """Return the configuration and the contents of a checkpoint; nothing in it is executed.

    Only what a file in `conf/`, or in the folder of `--config-dir`, names will be built from it.

    Arguments:
        checkpoint: a checkpoint file, or the folder of a run (its best checkpoint).

    Raises:
        InputError: the file is missing, or is no checkpoint of ltc.
    """
    path = Path(checkpoint)
    if not str(checkpoint):
        raise InputError("ckpt= is empty; expected the folder of a run, or a checkpoint file")
    if path.is_dir():
        path = path / "checkpoints" / "best.ckpt"
        if not path.exists() and path.with_name("last.ckpt").exists():
            raise InputError(
                f"ckpt={checkpoint}: training did not finish; ltc-train resume={checkpoint} goes on"
            )
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if "pytorch-lightning_version" in state:
            raise ValueError("training did not finish: go on with ltc-train resume=RUN")
        config = OmegaConf.create(state["config"])
        if not isinstance(config, DictConfig) or not isinstance(state["source"], dict):
            raise TypeError("its parts have other types")
        refuse_interpolations(config)
        known = state["source"]
        dimension, offset = known.get("dimension"), known.get("offset", 0.0)
        integer("the source's dimension", dimension)
        offsets = offset if isinstance(offset, list) else [offset]
        for each in offsets:
            number("the source's offset", each, -math.inf)
        if len(offsets) not in (1, dimension):
            raise ValueError(f"it has {len(offsets)} offsets for {dimension} numbers")
        number("the source's gain", known.get("gain", 1.0))
    except FileNotFoundError as error:
        raise InputError(f"ckpt={checkpoint}: there is no file {path}") from error
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        if "weights_only" in str(error):  # torch's advice is to trust it
            reason = "it holds something else than numbers, texts and tensors"
        raise InputError(
            f"ckpt={checkpoint}: not a checkpoint that ltc-train wrote ({reason})"
        ) from error
    check_targets(config, f"ckpt={checkpoint}")
    return config, state


def check_targets(config: DictConfig, name: str) -> None:
    """Refuse to build what no file of the configuration names.

    Arguments:
        config: of a run, which may come from anybody.
        name: what it is of, for the message.

    Raises:
        InputError: it names such a class or function, or lacks a group.
    """
    for group in ("name", "source", "transform", "quantizer", "entropy", "distortion", "bound"):
        if not OmegaConf.is_dict(config.get(group)):
            raise InputError(f"{name}: its configuration has no {group}; it is not of ltc-train")
    known = {"ltc.entropy.FixedRate"}
    for directory in config_directories():
        for file in directory.rglob("*.yaml"):
            known.update(re.findall(r"_target_:\s*(\S+)", file.read_text(encoding="utf-8")))
    groups = ("source", "transform", "quantizer", "entropy", "distortion", "bound", "logger")
    for target in _targets({group: plain(config).get(group) for group in groups}):
        if target not in known:
            raise InputError(
                f"{name}: it asks for {target}, which no configuration names; if you "
                "trust it, give the folder with a file that does: --config-dir DIR"
            )


def _targets(values: Any) -> Iterator[str]:
    """Yield every `_target_` in a configuration of plain values, and how else it is called."""
    if isinstance(values, dict):
        yield from sorted(values.keys() & {"_partial_", "_args_"})
        if "_target_" in values:
            yield str(values["_target_"])
        values = list(values.values())
    if isinstance(values, list):
        for value in values:
            yield from _targets(value)
