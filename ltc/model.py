"""The lattice transform coder and its training."""

from __future__ import annotations

import math
from typing import Any

import lightning
import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor

from ltc import rdo
from ltc.entropy import EntropyModel, Exact, PointTable
from ltc.lattices import Lattice
from ltc.quantizers import LatticeQuantizer, Layout
from ltc.transforms import Transform

__all__ = ["LatticeTransformCoder", "TrainingDivergedError"]


class TrainingDivergedError(RuntimeError):
    """The loss is no longer a number."""


class LatticeTransformCoder(lightning.LightningModule):
    """Analysis, lattice quantization with an entropy model, synthesis (Lei, Hassani and Saeedi
    Bidokhti, *Approaching rate-distortion limits in neural compression with lattice transform
    coding*, ICLR 2025).

    Arguments:
        transform: analysis and synthesis.
        quantizer: the lattice and its scale.
        layout: how lattice vectors lie in the latent.
        entropy: the probability of lattice points.
        lmbda: weight of the distortion in the loss `rate + lmbda * distortion`.
        learning_rate: the highest step size of Adam, for the entropy model and the lattice's
            scale; transforms learn at `transform_learning_rate`.
        transform_learning_rate: the highest step size for the transform.
        steps: training steps; the step sizes fall to zero along a cosine.
        gradient_clip: the largest norm of a gradient; 0: any.
        log_every: steps between logged values.

    Attributes:
        step: length of the lattice of each row of lattice vectors, relative to the quantizer's
            scale, shape (rows, 1).
        shift: how far from each lattice point its reconstruction point lies, lattice units;
            None without `rdo`.

    Example:
        >>> from ltc.entropy import Exact
        >>> from ltc.lattices import E8
        >>> from ltc.transforms import Linear
        >>> layout = Layout(8, 8)
        >>> model = LatticeTransformCoder(
        ...     Linear(8), LatticeQuantizer(E8()), layout, Exact(E8(), layout.channel), lmbda=8
        ... )
        >>> x = torch.randn(10, 1, 8, generator=torch.Generator().manual_seed(0))
        >>> points = model.encode(x)
        >>> model.decode(points).shape, model.bits(points).shape
        (torch.Size([10, 1, 8]), torch.Size([10]))
    """  # noqa: D205 (the summary names the paper)

    def __init__(
        self,
        transform: Transform,
        quantizer: LatticeQuantizer,
        layout: Layout,
        entropy: EntropyModel,
        lmbda: float,
        learning_rate: float = 1e-2,
        transform_learning_rate: float = 1e-3,
        steps: int = 2500,
        gradient_clip: float = 1.0,
        log_every: int = 50,
    ) -> None:
        super().__init__()
        self.transform = transform
        self.quantizer = quantizer
        self.layout = layout
        self.entropy = entropy
        self.lmbda = lmbda
        self.learning_rate = learning_rate
        self.transform_learning_rate = transform_learning_rate
        self.steps = steps
        self.gradient_clip = gradient_clip
        self.log_every = log_every
        self.step: Tensor
        self.register_buffer("step", torch.ones(len(layout.channel), 1))
        self.shift: PointTable | None = None
        if quantizer.rdo and isinstance(entropy, Exact):
            entropy.correct()
            self.shift = entropy.point_table()
        # Lightning's own loop around a step costs as much time as a step of E8.
        self.automatic_optimization = False

    def use(self, lattice: Lattice) -> None:
        """Quantize on another lattice of the same dimension and the same cosets from here on."""
        self.quantizer.lattice = lattice
        if isinstance(self.entropy, Exact):
            assert lattice.trellis is not None
            self.entropy.trellis = lattice.trellis

    @torch.no_grad()
    def initialise(self, samples: Tensor) -> None:
        """Start from samples of the source.

        The transform starts as it chooses, the scale at the cells whose distortion the
        high-rate theory asks for at this lmbda, `1 / (2 ln 2 lmbda)`, and the entropy model at
        the distribution of the latents.

        Arguments:
            samples: training blocks, shape (count, block, d).
        """
        self.transform.initialise(samples.flatten(0, 1))
        variance = float(samples.var())
        latents = self.layout.split(self.transform.analysis(samples))
        distortion = min(1 / (2 * math.log(2) * self.lmbda), 0.5 * variance)
        self.quantizer.initialise(distortion, latents)
        self.entropy.initialise(self.vectors(samples).flatten(0, 1))

    def vectors(self, x: Tensor) -> Tensor:
        """Return what the lattice quantizes.

        Arguments:
            x: blocks, shape (batch, block, d).

        Returns:
            Lattice units, shape (batch, repeats, rows, n).
        """
        return self.layout.split(self.transform.analysis(x) / self.quantizer.scale) / self.step

    def encode(self, x: Tensor) -> Tensor:
        """Return the lattice points of blocks: the nearest, or with `rdo` the best.

        Arguments:
            x: blocks, shape (batch, block, d).

        Returns:
            Lattice units, shape (batch, repeats, rows, n).
        """
        if self.quantizer.rdo:
            return rdo.encode(self, x)
        return self.quantizer.quantize(self.vectors(x))

    def decode(self, points: Tensor) -> Tensor:
        """Return the reconstruction of blocks.

        Arguments:
            points: lattice units, shape (batch, repeats, rows, n).

        Returns:
            Blocks, shape (batch, block, d).
        """
        return self.transform.synthesis(self.latent(points))

    def latent(self, points: Tensor) -> Tensor:
        """Return the latents that lattice points stand for.

        Arguments:
            points: lattice units, shape (batch, repeats, rows, n).

        Returns:
            Latents, shape (batch, block, k).
        """
        return self.layout.join(self.reconstruct(points) * self.step) * self.quantizer.scale

    def reconstruct(self, points: Tensor) -> Tensor:
        """Return the reconstruction points of lattice points, shape (..., rows, n) both."""
        if self.shift is None:
            return points
        assert isinstance(self.entropy, Exact)
        return points + self.shift(points, self.entropy.row)

    def bits(self, points: Tensor) -> Tensor:
        """Return the code length of blocks.

        Arguments:
            points: lattice units, shape (batch, repeats, rows, n).

        Returns:
            Bits per block, shape (batch,).
        """
        return self.entropy.bits(points).sum((-1, -2))

    def _step(self, x: Tensor, stage: str) -> Tensor:
        vectors = self.vectors(x)
        if self.training:
            points, dither = self.quantizer(vectors)
        else:
            points, dither = self.quantizer.quantize(vectors), None
        try:
            rate = self.entropy.bits(points, dither).sum() / x.numel()
        except OverflowError as error:
            raise self._diverged(str(error)) from error
        distortion = (self.decode(points) - x).square().mean()
        loss = rate + self.lmbda * distortion
        if stage == "validation" or self.global_step % self.log_every == 0:
            if not torch.isfinite(loss):
                raise self._diverged(f"the loss is {loss.item()}")
            self.log_dict(
                {
                    f"{stage}/rate": rate.detach(),
                    f"{stage}/distortion": distortion.detach(),
                    f"{stage}/loss": loss.detach(),
                    f"{stage}/scale": self.quantizer.scale.detach(),
                },
                batch_size=len(x),
            )
        return loss

    def _diverged(self, reason: str) -> TrainingDivergedError:
        return TrainingDivergedError(
            f"training diverged by step {self.global_step}: {reason}; lower learning_rate (now "
            f"{self.learning_rate:g}) or transform_learning_rate "
            f"(now {self.transform_learning_rate:g})"
        )

    def training_step(self, batch: Tensor, batch_index: int) -> None:
        """Take a step on blocks, shape (batch, block, d), under training's quantization."""
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
        """Log the loss of blocks, shape (batch, block, d), under real quantization."""
        self._step(batch, "validation")

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Adam, with step sizes that fall to zero along a cosine."""
        transform = [p for p in self.transform.parameters() if p.requires_grad]
        rest = [
            *[p for p in self.entropy.parameters() if p.requires_grad],
            *[p for p in self.quantizer.parameters() if p.requires_grad],
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
