"""What training needs to go on after it was ended, at any moment, as if it had not been."""

from __future__ import annotations

import copy
import math
import time
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import Callback

from ltc.errors import InputError
from ltc.files import write_state

__all__ = ["Saved", "WholeFiles"]


class WholeFiles(TorchCheckpointIO):
    """Checkpoints that are whole or absent, and of which nothing is executed."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write a checkpoint."""
        write_state(checkpoint, path)

    def load_checkpoint(  # its arguments differ between versions
        self, path: str | Path, *_: Any, **__: Any
    ) -> dict[str, Any]:
        """Return a checkpoint, its tensors on the CPU."""
        return torch.load(path, map_location="cpu", weights_only=True)


class Saved(Callback):
    """The best state so far, and a checkpoint of all that training needs, after each validation.

    Arguments:
        path: of the checkpoint; where it exists when training starts, training goes on from it.
        choices: of the run, plain values by their dotted keys: a checkpoint is gone on with under
            those that it was written with.

    Raises:
        InputError: it exists and is broken, or is that of other choices.

    Attributes:
        step: how many steps the checkpoint has behind it.
        loss: the least validation loss.
        best: the state of the module that had it.
        seconds: what training took before it was ended.
    """

    def __init__(self, path: Path, choices: dict[str, Any] | None = None) -> None:
        self.path = path
        self.choices = choices or {}
        self.step, self.loss, self.seconds = 0, math.inf, 0.0
        self.best: dict[str, Any] = {}
        self._began = time.perf_counter()
        if path.exists():
            try:
                found = torch.load(path, map_location="cpu", weights_only=True)
                self.step = found["global_step"]
                before = found["callbacks"][self.state_key].get("choices", self.choices)
            except Exception as error:  # torch raises whatever it stumbles over
                raise InputError(
                    f"{path} is no checkpoint that training can go on from; remove it, and the run "
                    "begins again"
                ) from error
            keys = sorted(before.keys() | self.choices.keys())
            changed = [key for key in keys if before.get(key) != self.choices.get(key)]
            if choices is not None and changed:
                raise InputError(
                    f"{path} was trained with other values of {', '.join(changed)}: put them back, "
                    "or start another run"
                )

    @property
    def start(self) -> str | None:
        """The checkpoint to go on from, if there is one."""
        return str(self.path) if self.step else None

    def on_validation_end(
        self, trainer: lightning.Trainer, module: lightning.LightningModule
    ) -> None:
        """Keep the state of the module, if it is the best, and write the checkpoint."""
        loss = float(trainer.callback_metrics["validation/loss"])
        if loss < self.loss:
            self.loss, self.best = loss, copy.deepcopy(module.state_dict())
        trainer.save_checkpoint(self.path)

    def state_dict(self) -> dict[str, Any]:
        """Return what of this goes into the checkpoint."""
        seconds = self.seconds + time.perf_counter() - self._began
        return {
            "loss": self.loss,
            "best": self.best,
            "seconds": seconds,
            "choices": self.choices,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take it from a checkpoint."""
        self.loss, self.best, self.seconds = state["loss"], state["best"], state["seconds"]
