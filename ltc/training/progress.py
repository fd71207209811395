"""The progress of training: a bar, and curves in the log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback

from ltc.progress import Progress

__all__ = ["TrainingProgress"]


class TrainingProgress(Callback):
    """A bar with the current rate, distortion and gap, and the same as curves in the log.

    A point of a curve stands at the last step that it has seen, so that what a run that goes on
    logs again begins where its checkpoint ended.

    Arguments:
        standing: returns what rate and distortion say of how far the run is from its aim, by name:
            quick to compute, and what is not known is missing.
        steps: training steps in all.
        every: steps between updates.
    """

    def __init__(
        self, standing: Callable[[float, float], dict[str, float]], steps: int, every: int = 50
    ) -> None:
        self.standing = standing
        self.every = every
        self.progress = Progress("training", steps)

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """Show the bar."""
        self.progress.__enter__()

    def on_train_batch_end(
        self, trainer: lightning.Trainer, module: lightning.LightningModule, *_: Any
    ) -> None:
        """Move the bar on, and the curves."""
        if (trainer.global_step - 1) % self.every == 0:
            values = self._log(trainer, "train", "train")
            status = f"rate {values['rate']:.3f}  distortion {values['distortion']:.4g}"
            gap = f"  gap {values['gap_bits']:.3f}" if "gap_bits" in values else ""
            self.progress.update(trainer.global_step, status + gap)

    def on_validation_end(
        self, trainer: lightning.Trainer, module: lightning.LightningModule
    ) -> None:
        """Log what was validated, under a name that TensorBoard lists before `train`."""
        self._log(trainer, "validation", "evaluation")

    def _log(self, trainer: lightning.Trainer, stage: str, name: str) -> dict[str, float]:
        values = {
            key.removeprefix(f"{stage}/"): float(value)
            for key, value in trainer.callback_metrics.items()
            if key.startswith(f"{stage}/")
        }
        values |= self.standing(values["rate"], values["distortion"])
        for logger in trainer.loggers:
            named = {f"{name}/{key}": value for key, value in values.items()}
            logger.log_metrics(named, trainer.global_step - 1)
            logger.save()
        return values

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
