"""The progress of training."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import lightning
from lightning.pytorch.callbacks import Callback

from ltc.progress import Progress

if TYPE_CHECKING:
    from ltc.bounds import RateDistortion

__all__ = ["TrainingProgress"]


class TrainingProgress(Callback):
    """A bar with the current rate, distortion and gap.

    Arguments:
        bound: the source's rate-distortion function, or None.
        steps: training steps in all.
        every: steps between updates.
    """

    def __init__(self, bound: RateDistortion | None, steps: int, every: int = 50) -> None:
        self.bound = bound
        self.every = every
        self.progress = Progress("training", steps)

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """Show the bar."""
        self.progress.__enter__()

    def on_train_batch_end(
        self, trainer: lightning.Trainer, module: lightning.LightningModule, *_: Any
    ) -> None:
        """Move the bar on."""
        if trainer.global_step % self.every:
            return
        values = trainer.callback_metrics
        status = ""
        if "train/rate" in values:
            rate, distortion = float(values["train/rate"]), float(values["train/distortion"])
            status = f"rate {rate:.3f}  distortion {distortion:.4g}{self._gap(rate, distortion)}"
        self.progress.update(trainer.global_step, status)

    def _gap(self, rate: float, distortion: float) -> str:
        if self.bound is None:
            return ""
        try:
            lower = self.bound.estimate(distortion)
        except Exception:  # what is shown on the way is no reason to end a run
            return ""
        known = lower is not None and math.isfinite(lower)
        return f"  gap {rate - lower:.3f}" if known and lower is not None else ""

    def teardown(
        self, trainer: lightning.Trainer, module: lightning.LightningModule, stage: str
    ) -> None:
        """Remove the bar."""
        self.progress.__exit__()

    def on_exception(
        self,
        trainer: lightning.Trainer,
        module: lightning.LightningModule,
        exception: BaseException,
    ) -> None:
        """Remove the bar, also after Ctrl-C."""
        self.progress.__exit__()
