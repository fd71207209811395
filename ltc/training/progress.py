"""The progress bar of training."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import lightning
import rich.progress
from lightning.pytorch.callbacks import Callback

if TYPE_CHECKING:
    from ltc.bounds import RateDistortion

__all__ = ["Progress"]


class Progress(Callback):
    """A bar with the current rate, distortion and gap.

    Arguments:
        bound: the source's rate-distortion function, or None.
        variance: the source's variance per scalar.
        every: steps between updates.
    """

    def __init__(self, bound: RateDistortion | None, variance: float, every: int = 50) -> None:
        self.bound = bound
        self.variance = variance
        self.every = every
        self.bar = rich.progress.Progress(
            rich.progress.TextColumn("training"),
            rich.progress.BarColumn(bar_width=30),
            rich.progress.MofNCompleteColumn(),
            rich.progress.TimeRemainingColumn(compact=True),
            rich.progress.TextColumn("{task.fields[status]}"),
            transient=True,
        )

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """Show the bar."""
        self.task = self.bar.add_task("training", total=trainer.max_steps, status="")
        self.bar.start()

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
            status = f"rate {rate:.3f}  distortion {distortion:.4g}"
            if self.bound is not None:
                lower = self.bound.estimate(distortion)
                if lower is not None and math.isfinite(lower):
                    status += f"  gap {rate - lower:.3f}"
        self.bar.update(self.task, completed=trainer.global_step, status=status)

    def teardown(
        self, trainer: lightning.Trainer, module: lightning.LightningModule, stage: str
    ) -> None:
        """Remove the bar, also after an error."""
        self.bar.stop()
