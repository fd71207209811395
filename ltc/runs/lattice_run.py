"""A run of a lattice transform coder."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ltc.codec import Code, FileCoder, code_for, no_bitstream
from ltc.coder import LatticeTransformCoder, sequence
from ltc.measurement import Measured
from ltc.runs.evaluate import measure, perceived
from ltc.runs.run import Run, facts, restored

if TYPE_CHECKING:  # not needed to code files
    from ltc.bounds import RateDistortion

__all__ = ["LatticeRun"]

log = logging.getLogger("ltc")


@dataclass
class LatticeRun(Run):
    """A run of a lattice transform coder.

    Attributes:
        coder: the coder.
        code: the frozen entropy model, once trained; None where there is no bitstream.
    """

    coder: LatticeTransformCoder
    code: Code | None = None

    @property
    def device(self) -> torch.device:
        """Where the coder is."""
        return self.coder.quantizer.scale.device

    def fit(self, minimise: Callable[[LatticeRun], torch.device]) -> torch.device:
        """Minimise rate + lmbda * distortion by gradient."""
        return minimise(self)

    def state(self) -> dict[str, Any]:
        """Freeze the entropy model and return it with the coder's parameters."""
        self.code = code_for(self.coder)
        return {
            "coder": {key: value.cpu() for key, value in self.coder.state_dict().items()},
            "code": None if self.code is None else self.code.state(),
        }

    def restore(self, state: dict[str, Any], device: torch.device) -> torch.device:
        """Take the coder and its frozen entropy model from a checkpoint."""
        self.code = restored(self.coder, state)
        self.coder.to(device)
        return device

    @property
    def files(self) -> FileCoder:
        """What codes files."""
        if self.code is None:
            raise no_bitstream(self.config)
        return FileCoder(self.coder, self.code, facts(self.source))

    @torch.no_grad()
    def measure(self, device: torch.device) -> Measured:
        """Encode and decode held-out blocks, and write them as a file where that is asked for."""
        coder, blocks = self.coder, self.held_out(device)
        measurement, written = measure(
            coder, blocks, self.code, write=self.config["evaluate"]["bitstream"]
        )
        points = coder.encode(blocks[:1000])
        bias = float(coder.entropy.bias(points, coder.table(points)).sum((-1, -2)).mean())
        if bias:
            log.info(
                "the logarithm of a Monte Carlo mean makes the rate too high by about %.2g bits",
                bias / blocks[0].numel(),
            )
        dithered = coder.quantizer.dither != "none"
        more = {"perception": perceived(coder, blocks)} if dithered else {}
        return Measured(measurement, blocks.numel(), written, more)

    def limit(self, measured: Measured) -> RateDistortion | None:
        """Return R(D); under a dither R(D, P) where it is known, with the randomness shared."""
        if self.bound is None or "perception" not in measured.more:
            return self.bound
        common = self.coder.quantizer.common_bits
        return self.bound.at_perception(measured.more["perception"], common)

    def cells(self, blocks: Tensor) -> Tensor:
        """Return the lattice points."""
        return self.coder.encode(blocks).flatten(1)

    def reconstruct(self, vectors: Tensor) -> Tensor:
        """Return what the decoder makes of vectors; the last is repeated to fill a block."""
        missing = -len(vectors) % sequence.unit(self.coder)
        whole = torch.cat([vectors, vectors[-1:].expand(missing, -1)])
        points = sequence.encode(self.coder, whole, self.code.lengths if self.code else None)
        return sequence.decode(self.coder, points)[: len(vectors)]

    def latents(self, blocks: Tensor) -> Tensor:
        """Return what the lattice quantizes, joined to latents."""
        return self.coder.layout.join(self.coder.vectors(blocks)).flatten(0, -2)
