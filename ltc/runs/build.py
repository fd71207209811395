"""The parts of a run from its configuration."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from ltc.coder import LatticeTransformCoder
from ltc.errors import InputError
from ltc.quantizers import LatticeQuantizer, Layout

if TYPE_CHECKING:  # neither is needed to code files
    from ltc.bounds import RateDistortion
    from ltc.codec import Code
    from ltc.sources import Source

__all__ = [
    "Run",
    "build",
    "build_coder",
    "build_quantizer",
    "build_source",
    "check",
    "generator",
    "plain",
]

log = logging.getLogger("ltc")

# Bits per sample, and coordinates of a block, beyond which training would not end.
MOST_BITS = 12
LONGEST = 1 << 16

# Streams of random numbers that never meet: each use of the seed has its own.
STREAMS = {"initialise": 1, "train": 2, "validation": 3, "held_out": 4, "figures": 5, "refine": 6}


def generator(seed: int, stream: str, device: torch.device | str = "cpu") -> torch.Generator:
    """Return the generator of one of the `STREAMS` of a run's seed.

    Example:
        >>> a, b = generator(0, "train"), generator(0, "held_out")
        >>> bool((torch.rand(1, generator=a) == torch.rand(1, generator=b)).item())
        False
    """
    return torch.Generator(device).manual_seed((seed << 8) + STREAMS[stream])


@dataclass
class Run:
    """The parts of a run.

    Attributes:
        config: the resolved configuration, plain values.
        source: the source.
        coder: the coder.
        bound: the source's rate-distortion function, or None.
        code: the frozen entropy model, once trained; None where there is no bitstream.
    """

    config: dict[str, Any]
    source: Source
    coder: LatticeTransformCoder
    bound: RateDistortion | None
    code: Code | None = None

    def blocks(self, samples: Tensor) -> Tensor:
        """Cut samples, shape (count, d), into blocks, shape (count // block, block, d)."""
        block = self.coder.layout.block
        if len(samples) < block:
            raise InputError(
                f"{len(samples)} held-out vectors do not fill one block of {block}; "
                "set a smaller source.block (of trellis codes quantizer.length) or use more data"
            )
        return samples[: len(samples) // block * block].unflatten(0, (-1, block))

    def held_out(self, device: torch.device) -> Tensor:
        """Return held-out blocks, shape (count, block, d)."""
        config = self.config
        dimension = self.source.dimension * self.coder.layout.block
        count = math.ceil(config["evaluate"]["samples"] / dimension) * self.coder.layout.block
        rng = generator(config["seed"], "held_out", device)
        return self.blocks(self.source.held_out(count, rng))


def _positive(config: DictConfig, key: str, integer: bool = False) -> None:
    value = OmegaConf.select(config, key)
    if integer and isinstance(value, float) and value.is_integer():  # 1e6
        value = int(value)
        OmegaConf.update(config, key, value)
    number = isinstance(value, int if integer else int | float) and not isinstance(value, bool)
    if not number or not 0 < value < math.inf:
        kind = "a positive integer" if integer else "a positive number"
        raise InputError(f"{key}={value}; expected {kind}")


def build(config: DictConfig) -> Run:
    """Build the parts of a run.

    Arguments:
        config: the configuration of `ltc-train`.

    Raises:
        InputError: a value cannot be used.
    """
    check(config)
    torch.manual_seed(config.seed)
    quantizer = build_quantizer(config)
    config = config.copy()
    suitable = quantizer.suitable_entropy(config.entropy._target_)
    if suitable is not None:
        name, config.entropy = suitable
        if config.name.entropy not in ("exact", name):
            log.info("quantizer=%s goes with entropy=%s", config.name.quantizer, name)
        config.name.entropy = name
    config.name.quantizer = quantizer.name
    lattice = quantizer.lattice
    source = build_source(config, 1 if lattice.runs_across else lattice.dimension)
    _check_rate(config.lmbda, source.variance)
    coder = build_coder(config, quantizer, source.dimension)
    bound = instantiate(config.bound, source=source) if config.bound else None
    return Run(plain(config), source, coder, bound)


def check(config: DictConfig) -> None:
    """Check the numbers that every run needs.

    Raises:
        InputError: one is out of its range.
    """
    for key in ("lmbda", "learning_rate", "transform_learning_rate"):
        _positive(config, key)
    length = config.quantizer.get("length")
    if isinstance(length, int) and length > LONGEST:
        raise InputError(
            f"quantizer.length={length}; expected at most {LONGEST}: a longer block loses no less"
        )
    for key in ("steps", "evaluate.samples", *([] if config.batch is None else ["batch"])):
        _positive(config, key, integer=True)
    if not isinstance(config.seed, int) or not 0 <= config.seed < 2**32:
        raise InputError(f"seed={config.seed}; expected an integer from 0 to 2^32 - 1")


def _check_rate(lmbda: float, variance: float) -> None:
    """Refuse a distortion so small that its points fill the memory of any computer.

    At high rate the slope of R(D) = 1/2 log2(variance / D) is -lmbda at D = 1 / (2 ln 2 lmbda).
    """
    largest = 4.0**MOST_BITS / (2 * math.log(2) * variance) if variance > 0 else math.inf
    if lmbda > largest:
        raise InputError(
            f"lmbda={lmbda:g}; expected at most {largest:.3g} for this source, which is about "
            f"{MOST_BITS} bits per sample"
        )


def plain(config: DictConfig) -> dict[str, Any]:
    """Return the resolved configuration as plain values."""
    values = OmegaConf.to_container(config, resolve=True)
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def build_source(config: DictConfig, dimension: int) -> Source:
    """Build the source of a run.

    Arguments:
        config: the configuration of `ltc-train`.
        dimension: scalars per vector, where the source leaves them open.

    Raises:
        InputError: a value cannot be used.
    """
    settings = plain(config.source)
    settings.pop("block", None)
    if settings.get("dimension", 0) is None:
        settings["dimension"] = dimension
    return instantiate(settings, _convert_="all")


def build_quantizer(config: DictConfig) -> LatticeQuantizer:
    """Build the quantizer of a run.

    Arguments:
        config: the configuration of `ltc-train`.

    Raises:
        InputError: a value cannot be used.
    """
    settings = plain(config.quantizer)
    if "lattice" not in settings:
        raise InputError(f"{settings.get('_target_')} is no lattice; choose a lattice as quantizer")
    # A lattice's parameters stand beside it too, for `quantizer.dimension=6`, or its name.
    for key in {*settings["lattice"], "fine"} - {"_target_"}:
        settings.pop(key, None)
    return instantiate(settings, _convert_="all")


def build_coder(
    config: DictConfig, quantizer: LatticeQuantizer, dimension: int
) -> LatticeTransformCoder:
    """Build the coder of a run around its quantizer.

    Arguments:
        config: the configuration of `ltc-train`.
        quantizer: the lattice and its scale.
        dimension: scalars per source vector, d.

    Raises:
        InputError: a value cannot be used.
    """
    transform = instantiate(config.transform, dimension=dimension, _convert_="all")
    lattice, block = quantizer.lattice, config.source.block
    if block is None and lattice.runs_across:
        block = lattice.dimension
    layout = Layout(lattice.dimension, transform.latent_dimension, block)
    entropy = instantiate(config.entropy, lattice=lattice, channel=layout.channel, _convert_="all")
    return LatticeTransformCoder(
        transform,
        quantizer,
        layout,
        entropy,
        lmbda=config.lmbda,
    )
