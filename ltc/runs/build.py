"""The parts of a run from its configuration.

The configuration is that of `ltc-train` everywhere; a value in it that cannot be used raises an
InputError.
"""

from __future__ import annotations

import logging
import math
import pydoc
from typing import TYPE_CHECKING, Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from ltc.checks import integer, number
from ltc.coder import LatticeTransformCoder
from ltc.coder.grid import GridCoder
from ltc.coder.levels import branches_of
from ltc.distortion import Distortion
from ltc.entropy import EntropyModel
from ltc.errors import InputError
from ltc.lattices import Lattice
from ltc.quantizers import LatticeQuantizer, Layout
from ltc.runs.grid_run import PictureRun, SoundRun
from ltc.runs.lattice_run import LatticeRun
from ltc.runs.own_classes import check_cost, check_shapes, check_source
from ltc.runs.run import Run, bring_to_scale, facts
from ltc.runs.values import check_values
from ltc.runs.vector_run import VectorRun
from ltc.transforms import GridTransform, Transform

if TYPE_CHECKING:  # neither is needed to code files
    from ltc.sources import Source

__all__ = [
    "build",
    "build_coder",
    "build_distortion",
    "build_grid_coder",
    "build_quantizer",
    "build_source",
    "plain",
]

log = logging.getLogger("ltc")

# Runs of what is coded as a whole, what it is called, and transforms that suit.
WHOLE = {
    "image": (PictureRun, "pictures", "transform=lapped, dct, klt or conv"),
    "audio": (SoundRun, "sounds", "transform=mdct"),
}
# Bits per sample beyond which training would not end.
MOST_BITS = 12
# Channels of the latent for each scalar of a vector.
MOST_CHANNELS = 4


def build(config: DictConfig, known: dict[str, Any] | None = None) -> Run:
    """Build the parts of a run.

    Arguments:
        config: the configuration of `ltc-train`.
        known: the `facts` of the source that a coder was trained on, where this one is to be
            brought to its scale.

    Raises:
        InputError: a value cannot be used.
    """
    check_values(config)
    torch.manual_seed(config.seed)
    config = config.copy()
    if _whole(config.source.get("_target_")):
        return _build_grid_run(config, known)
    quantizer = build_quantizer(config) if "lattice" in config.quantizer else None
    if quantizer is None:
        config.name.transform = config.name.entropy = None
        source = build_source(config, config.quantizer.dimension)
    else:
        suitable = quantizer.suitable_entropy(str(config.entropy.get("_target_")))
        if suitable is not None:
            name, config.entropy = suitable
            if config.name.entropy not in ("exact", name):
                log.info("quantizer=%s goes with entropy=%s", config.name.quantizer, name)
            config.name.entropy = name
        config.name.quantizer = quantizer.name
        lattice = quantizer.lattice
        source = build_source(config, 1 if lattice.runs_across else lattice.dimension)
    if known is not None:
        bring_to_scale(source, known)
    distortion = build_distortion(config)
    _check_rate(config.lmbda, source.variance, distortion)
    bound = (
        instantiate(config.bound, source=source, distortion=distortion) if config.bound else None
    )
    if quantizer is None:
        if distortion.power != 2:
            raise InputError(
                f"distortion={config.name.distortion_measure}: vector quantizers without a lattice "
                "are fitted to squared error; use distortion=squared or quantizer=scalar"
            )
        block = integer("source.block", 1 if config.source.block is None else config.source.block)
        return VectorRun(plain(config), source, distortion, bound, block, None)
    coder = build_coder(config, quantizer, source.dimension, distortion)
    block, gap = coder.layout.block, quantizer.lattice.high_rate_gap
    return LatticeRun(plain(config), source, distortion, bound, block, gap, coder)


def _whole(target: Any) -> str:
    """Return what a source or a transform takes as a whole, `image` or `audio`; empty: nothing."""
    try:
        return str(getattr(pydoc.locate(str(target)), "whole", ""))
    except pydoc.ErrorDuringImport:  # of which building it tells
        return ""


def _build_grid_run(config: DictConfig, known: dict[str, Any] | None) -> Run:
    """Build a run of whole pictures or sounds."""
    source: Any = build_source(config, 0)
    if known is not None:
        bring_to_scale(source, known)
    kind, called, _ = WHOLE[source.whole]
    if config.name.distortion_measure != "squared":
        raise InputError(
            f"distortion={config.name.distortion_measure}: {called} are coded for squared error; "
            "use distortion=squared"
        )
    for key in ("source.block", "quantizer.scale", "quantizer.rate"):
        if OmegaConf.select(config, key) is not None:
            raise InputError(
                f"{key}={OmegaConf.select(config, key)} is of vectors; {called} are coded whole, "
                "with the step that lmbda says: leave it out"
            )
    if config.bound:
        raise InputError(f"source={source.name}: nobody knows R(D) of {called}; use bound=none")
    distortion = build_distortion(config)
    _check_rate(config.lmbda, source.variance, distortion)
    coder = build_grid_coder(config, facts(source))
    coder.step(config.lmbda)  # now, not after training
    return kind(plain(config), source, distortion, None, 1, None, coder)


def build_grid_coder(config: DictConfig, known: dict[str, Any]) -> GridCoder:
    """Build the coder of a run of whole pictures or sounds.

    Arguments:
        config: the configuration.
        known: the `facts` of the source.

    Raises:
        InputError: the transform, the quantizer or the entropy model is not one of them.
    """
    name = config.name
    integer("the source's dimension", known.get("dimension"))  # a checkpoint may be anybody's
    number("the source's offset", known.get("offset"), -math.inf)
    number("the source's gain", known.get("gain"), 1e-9, 1e9)
    number("lmbda", config.lmbda)
    if "lattice" not in config.quantizer:
        raise InputError(f"quantizer={name.quantizer} is no lattice; use quantizer=trellis")
    if "sample_rate" in known or known.get("whole") == "audio":
        integer("the source's sample_rate", known.get("sample_rate"), 1, 1 << 20)
    if str(known.get("whole")) not in WHOLE:
        raise InputError(
            f"the source's whole={known.get('whole')!r}; expected {' or '.join(WHOLE)}"
        )
    _, called, suited = WHOLE[known["whole"]]
    found = _whole(config.transform.get("_target_"))
    if found != known["whole"]:
        of = WHOLE[found][1] if found else "vectors"
        raise InputError(f"transform={name.transform} is one of {of}; whole {called} need {suited}")
    facts = {key: known[key] for key in ("dimension", "sample_rate") if key in known}
    transform = _made(GridTransform, "transform", config.transform, **facts)
    if config.entropy._target_ != "ltc.entropy.Context":
        raise InputError(
            f"entropy={name.entropy} is one of vectors; whole {called} need entropy=context"
        )
    if "ratio" in config.quantizer:
        raise InputError(
            f"quantizer={name.quantizer} has a fixed rate, {called} have none; use "
            "quantizer=trellis or quantizer=scalar"
        )
    quantizer = build_quantizer(config)
    if quantizer.dither != "none":
        raise InputError(
            f"quantizer.dither={quantizer.dither} is of vectors; {called} are coded without one: "
            "use quantizer.dither=none"
        )
    known_entropy = {
        "frequencies": transform.frequencies,
        "branches": branches_of(quantizer.lattice).numbers,
    }
    context = instantiate(config.entropy, **known_entropy, _convert_="all")
    return GridCoder(
        transform, quantizer.lattice, context, config.lmbda, known["gain"], quantizer.rdo
    )


def _check_rate(lmbda: float, variance: float, distortion: Distortion) -> None:
    """Refuse a distortion so small that its points fill the memory of any computer."""
    cells = variance / distortion.cell_error(lmbda)  # the square of how many
    if cells > 4.0**MOST_BITS:
        largest = lmbda * (4.0**MOST_BITS / cells) ** (distortion.power / 2)
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
        config: the configuration.
        dimension: scalars per vector, where the source leaves them open.
    """
    settings = plain(config.source)
    settings.pop("block", None)
    if settings.get("dimension", 0) is None:
        settings["dimension"] = dimension
    from ltc.sources import Source  # not above: not needed to code files

    source = _made(Source, "source", settings)
    check_source(source)
    return source


def build_distortion(config: DictConfig) -> Distortion:
    """Build what an error costs."""
    distortion = _made(Distortion, "distortion", config.distortion)
    check_cost(distortion)
    return distortion


def build_quantizer(config: DictConfig) -> LatticeQuantizer:
    """Build the quantizer of a run."""
    settings = plain(config.quantizer)
    if not isinstance(settings.get("lattice"), dict):
        raise InputError(f"{settings.get('_target_')} is no lattice; choose a lattice as quantizer")
    # A lattice's parameters stand beside it too, for `quantizer.dimension=6`, or its name.
    for key in {*settings["lattice"], "fine"} - {"_target_"}:
        settings.pop(key, None)
    lattice = _made(Lattice, "quantizer.lattice", settings.pop("lattice"))
    return _made(LatticeQuantizer, "quantizer", settings, lattice=lattice)


def _made(kind: type, name: str, settings: Any, **known: Any) -> Any:
    """Make what a group of the configuration names, of a kind, with what a run adds to it."""
    target = settings.get("_target_") if hasattr(settings, "get") else None
    if not isinstance(target, str):
        raise InputError(
            f"{name}: _target_ is {target}; expected the name of a {kind.__name__}, "
            "MODULE.CLASS, in the YAML file of the choice"
        )
    found = instantiate(settings, **known, _convert_="all")
    if not isinstance(found, kind):
        raise InputError(f"{name}: _target_: {target} is no {kind.__name__}; choose another class")
    return found


def build_coder(
    config: DictConfig, quantizer: LatticeQuantizer, dimension: int, distortion: Distortion
) -> LatticeTransformCoder:
    """Build the coder of a run around its quantizer.

    Arguments:
        config: the configuration.
        quantizer: the lattice and its scale.
        dimension: scalars per source vector, d.
        distortion: what an error costs.
    """
    if _whole(config.transform.get("_target_")) or config.entropy._target_ == "ltc.entropy.Context":
        raise InputError(
            f"transform={config.name.transform} entropy={config.name.entropy}: lapped transforms "
            "and contexts are for whole pictures, source=images, and sounds, source=sounds; use "
            "transform=linear or mlp with entropy=exact"
        )
    transform = _made(Transform, "transform", config.transform, dimension=dimension)
    integer("transform.latent_dimension", transform.latent_dimension, 1, MOST_CHANNELS * dimension)
    realism = config.get("realism", 0)
    if realism and quantizer.dither != "shared":
        raise InputError(
            f"realism={realism:g} needs quantizer.dither=shared; with private the decoder adds as "
            "much noise as the source lacks, and with none it cannot come near the source's "
            "distribution: use realism=0"
        )
    lattice, block = quantizer.lattice, config.source.block
    if block is None and lattice.runs_across:
        block = lattice.dimension
    layout = Layout(
        lattice.dimension, transform.latent_dimension, block, transform.latent_positions
    )
    check_shapes(transform, layout.block)
    known = {"lattice": lattice, "channel": layout.channel}
    entropy = _made(EntropyModel, "entropy", config.entropy, **known)
    return LatticeTransformCoder(transform, quantizer, layout, entropy, config.lmbda, distortion)
