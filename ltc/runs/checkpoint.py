"""Checkpoints: a coder, its frozen code and all that a decoder needs, in one file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from ltc.codec import Code, FileCoder, code_for
from ltc.coder import LatticeTransformCoder
from ltc.errors import InputError
from ltc.files import config_directories
from ltc.runs.build import build, build_coder, build_quantizer, plain
from ltc.runs.run import LatticeRun

__all__ = ["load", "load_coder"]


def load(checkpoint: str | Path) -> LatticeRun:
    """Rebuild a run, its source and its bound from its checkpoint.

    Arguments:
        checkpoint: a checkpoint file, or the folder of a run (its best checkpoint).

    Raises:
        InputError: the file is missing, or is no checkpoint of ltc.
    """
    config, state = _read(checkpoint)
    run = build(config)
    if not isinstance(run, LatticeRun):
        raise InputError(f"ckpt={checkpoint}: only runs with a lattice have checkpoints")
    run.code = _restore(run.coder, state, checkpoint)
    return run


def load_coder(checkpoint: str | Path) -> FileCoder:
    """Rebuild what codes files from a checkpoint; the source's data is not needed.

    Arguments:
        checkpoint: a checkpoint file, or the folder of a run (its best checkpoint).

    Raises:
        InputError: the file is missing, is no checkpoint of ltc, or has no bitstream.
    """
    config, state = _read(checkpoint)
    quantizer, distortion = build_quantizer(config), instantiate(config.distortion)
    coder = build_coder(config, quantizer, state["source"]["dimension"], distortion)
    code = _restore(coder, state, checkpoint)
    if code is None:
        raise InputError(f"ckpt={checkpoint}: entropy={config.name.entropy} has no bitstream")
    return FileCoder(coder.eval(), code, state["source"])


def _read(checkpoint: str | Path) -> tuple[DictConfig, dict[str, Any]]:
    """Return the configuration and the contents of a checkpoint; nothing in it is executed.

    Only what a file in `conf/`, or in the folder of `--config-dir`, names will be built from it.
    """
    path = Path(checkpoint)
    if not str(checkpoint):
        raise InputError("ckpt= is empty; expected the folder of a run, or a checkpoint file")
    if path.is_dir():
        path = path / "checkpoints" / "best.ckpt"
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if "pytorch-lightning_version" in state:
            raise ValueError("training did not finish: use best.ckpt of a whole run")
        config = OmegaConf.create(state["config"])
        if not isinstance(config, DictConfig) or not isinstance(state["source"], dict):
            raise TypeError("its parts have other types")
    except FileNotFoundError as error:
        raise InputError(f"ckpt={checkpoint}: there is no file {path}") from error
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        if "weights_only" in str(error):  # torch's advice is to trust it
            reason = "it holds something else than numbers, texts and tensors"
        raise InputError(
            f"ckpt={checkpoint}: not a checkpoint that ltc-train wrote ({reason})"
        ) from error
    # What is built is named in the checkpoint, which may come from anybody.
    known = {"ltc.entropy.FixedRate"}
    for directory in config_directories():
        for file in directory.rglob("*.yaml"):
            known.update(re.findall(r"_target_:\s*(\S+)", file.read_text(encoding="utf-8")))
    groups = ("source", "transform", "quantizer", "entropy", "distortion", "bound")
    for target in _targets({group: plain(config).get(group) for group in groups}):
        if target not in known:
            raise InputError(
                f"ckpt={checkpoint}: it asks for {target}, which no configuration names; if you "
                "trust it, give the folder with a file that does: --config-dir DIR"
            )
    return config, state


def _targets(values: Any) -> Iterator[str]:
    """Yield every `_target_` in a configuration of plain values."""
    if isinstance(values, dict):
        if "_target_" in values:
            yield str(values["_target_"])
        values = list(values.values())
    if isinstance(values, list):
        for value in values:
            yield from _targets(value)


def _restore(
    coder: LatticeTransformCoder, state: dict[str, Any], checkpoint: str | Path
) -> Code | None:
    try:
        coder.load_state_dict(state["coder"])
    except (KeyError, RuntimeError, TypeError, AttributeError) as error:
        raise InputError(
            f"ckpt={checkpoint}: its parameters do not fit its configuration"
        ) from error
    if state.get("code") is None:
        return None
    try:
        return code_for(coder, state["code"])
    except InputError as error:
        raise InputError(f"ckpt={checkpoint}: {error}") from error
