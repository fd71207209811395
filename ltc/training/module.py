"""The training of a coder: rate + lmbda * (distortion + realism * W2^2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightning
import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor

from ltc.coder import LatticeTransformCoder
from ltc.errors import InputError
from ltc.training.fitting import costs, fit_noise

__all__ = ["CoderTraining", "TrainingDivergedError"]


class TrainingDivergedError(RuntimeError):
    """The loss is no longer a number."""


class CoderTraining(lightning.LightningModule):
    """Minimises `rate + lmbda * (distortion + realism * W2^2)` of a coder on batches of blocks.

    W2 is the sliced Wasserstein-2 distance between source and reconstruction.

    Arguments:
        coder: what is trained, in place.
        realism: weight of its square against the distortion.
        learning_rate: the highest step size of Adam, for the entropy model and the lattice's
            scale.
        transform_learning_rate: the highest step size for the transform.
        steps: training steps; the step sizes fall to zero along a cosine.
        gradient_clip: the largest norm of a gradient; 0: any.
        log_every: steps between logged values.
        noise: returns the generator of a step, with whose seed torch's own one on the CPU begins
            it: what is random in a step then depends on nothing before it. None: it is left as
            it is.
    """

    def __init__(
        self,
        coder: LatticeTransformCoder,
        realism: float = 0.0,
        learning_rate: float = 1e-2,
        transform_learning_rate: float = 1e-3,
        steps: int = 2500,
        gradient_clip: float = 1.0,
        log_every: int = 50,
        noise: Callable[[int], torch.Generator] | None = None,
    ) -> None:
        super().__init__()
        self.coder = coder
        self.realism = realism
        self.learning_rate = learning_rate
        self.transform_learning_rate = transform_learning_rate
        self.steps = steps
        self.gradient_clip = gradient_clip
        self.log_every = log_every
        self.noise = noise
        # Lightning's own loop around a step costs as much time as a step of E8.
        self.automatic_optimization = False

    def _step(self, x: Tensor, stage: str) -> Tensor:
        vectors = self.coder.vectors(x)
        try:
            if self.training:
                points, dither = self.coder.quantizer(vectors)
                bits = self.coder.entropy.bits(points, self.coder.table(points), dither)
                if self.coder.quantizer.dither == "shared" and self.coder.noise is not None:
                    fit_noise(self.coder, points, vectors)
            else:
                points = self.coder.quantizer.quantize(vectors)
                bits = self.coder.vector_bits(points)
            rate = bits.sum() / x.numel()
        except InputError as error:  # what is to be quantized is not finite; no input is wrong
            raise self._diverged(str(error)) from None
        except OverflowError as error:
            raise self._diverged(str(error)) from error
        distortion, cost = self._costs(points, x)
        loss = rate + self.coder.lmbda * cost
        if stage == "validation" or self.global_step % self.log_every == 0:
            if not torch.isfinite(loss):
                raise self._diverged(f"the loss is {loss.item()}")
            self.log_dict(  # for callbacks; Lightning's way to a logger adds a curve of its epochs
                {
                    f"{stage}/rate": rate.detach(),
                    f"{stage}/distortion": distortion.detach(),
                    f"{stage}/loss": loss.detach(),
                    f"{stage}/scale": self.coder.quantizer.scale.detach(),
                },
                logger=False,
                batch_size=len(x),
                sync_dist=True,  # the mean over devices
            )
        return loss

    def _costs(self, points: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        seed = int(torch.randint(2**62, ()).item()) if self.training and self.realism else 0
        return costs(self.coder, points, x, self.realism, seed)

    def _diverged(self, reason: str) -> TrainingDivergedError:
        return TrainingDivergedError(
            f"training diverged by step {self.global_step}: {reason}; lower learning_rate (now "
            f"{self.learning_rate:g}) or transform_learning_rate "
            f"(now {self.transform_learning_rate:g})"
        )

    def training_step(self, batch: Tensor, batch_index: int) -> None:
        """Take a step on blocks, shape (batch, *positions, d), under training's quantization."""
        if self.noise is not None:  # torch.manual_seed takes 100 times as long
            torch.default_generator.manual_seed(self.noise(self.global_step).initial_seed())
        loss = self._step(batch, "train")
        optimizer = self.optimizers()
        assert isinstance(optimizer, LightningOptimizer)
        optimizer.zero_grad()
        self.manual_backward(loss)
        if self.gradient_clip > 0:
            torch.nn.utils.clip_grad_norm_(self.parameters(), self.gradient_clip)
        optimizer.step()
        scheduler = self.lr_schedulers()
        assert isinstance(scheduler, torch.optim.lr_scheduler.CosineAnnealingLR)
        scheduler.step()

    def validation_step(self, batch: Tensor, batch_index: int) -> None:
        """Log the loss of blocks, shape (batch, *positions, d), under real quantization."""
        self._step(batch, "validation")

    @torch.no_grad()
    def validation_loss(self, blocks: Tensor) -> float:
        """Return the loss of blocks, (batch, *positions, d), as validated."""
        self.eval()  # what is random in training alone would depend on what was before it
        points = self.coder.quantizer.quantize(self.coder.vectors(blocks))
        rate = self.coder.bits(points).sum() / blocks.numel()
        return float(rate + self.coder.lmbda * self._costs(points, blocks)[1])

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Adam, with step sizes that fall to zero along a cosine."""
        transform = [p for p in self.coder.transform.parameters() if p.requires_grad]
        rest = [
            *[p for p in self.coder.entropy.parameters() if p.requires_grad],
            *[p for p in self.coder.quantizer.parameters() if p.requires_grad],
        ]
        groups: list[dict[str, Any]] = [
            {"params": parameters, "lr": rate}
            for parameters, rate in (
                (transform, self.transform_learning_rate),
                (rest, self.learning_rate),
            )
            if parameters
        ]
        optimizer = torch.optim.Adam(groups, fused=True)
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.steps)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }
