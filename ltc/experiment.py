"""A run from its configuration: build, train, evaluate, record."""

from __future__ import annotations

import json
import logging
import math
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning
import numpy as np
import torch
from hydra.utils import instantiate
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from ltc import __version__
from ltc.baselines import training_vectors
from ltc.codec import FileCoder, FixedRateCode, LatticeCode
from ltc.entropy import Exact, MonteCarlo
from ltc.errors import InputError
from ltc.evaluate import Measurement, bitstream_rate, compare, measure, summarise
from ltc.figures import operating_point, quantization_regions
from ltc.files import atomic_write, config_directory
from ltc.model import LatticeTransformCoder
from ltc.progress import Progress
from ltc.quantizers import LatticeQuantizer, Layout, NestedQuantizer
from ltc.refine import refine
from ltc.sources import FiniteSource, Source
from ltc.threads import one_thread

if TYPE_CHECKING:
    from ltc.bounds import RateDistortion

__all__ = ["Experiment", "build", "load", "load_coder", "train", "train_vector_quantizer"]

log = logging.getLogger("ltc")

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


class Blocks(IterableDataset[Tensor]):
    """Batches of blocks of a source, drawn in large pieces on the training device.

    Arguments:
        source: where the samples come from.
        block: source vectors per block.
        batch: blocks per batch.
        count: number of batches.
        generator: where the randomness comes from.
    """

    def __init__(
        self, source: Source, block: int, batch: int, count: int, generator: torch.Generator
    ) -> None:
        self.source = source
        self.shape = (batch, block, source.dimension)
        self.count = count
        self.generator = generator

    def __iter__(self) -> Iterator[Tensor]:
        """Yield `count` tensors of shape (batch, block, d)."""
        batch, block, dimension = self.shape
        piece = max(1, min(self.count, (1 << 20) // (batch * block * dimension)))
        for start in range(0, self.count, piece):
            number = min(piece, self.count - start)
            samples = self.source.sample(number * batch * block, self.generator)
            yield from samples.reshape(number, *self.shape)


@dataclass
class Experiment:
    """The parts of a run.

    Attributes:
        config: the resolved configuration, plain values.
        source: the source.
        model: the coder.
        bound: the source's rate-distortion function, or None.
        code: the frozen entropy model, once trained; None where there is no trellis.
    """

    config: dict[str, Any]
    source: Source
    model: LatticeTransformCoder
    bound: RateDistortion | None
    code: LatticeCode | FixedRateCode | None = None

    def blocks(self, samples: Tensor) -> Tensor:
        """Cut samples, shape (count, d), into blocks, shape (count // block, block, d)."""
        block = self.model.layout.block
        if len(samples) < block:
            raise InputError(
                f"{len(samples)} held-out vectors do not fill one block of {block}; "
                "set a smaller source.block (of trellis codes quantizer.length) or use more data"
            )
        return samples[: len(samples) // block * block].unflatten(0, (-1, block))

    def held_out(self, device: torch.device) -> Tensor:
        """Return held-out blocks, shape (count, block, d)."""
        config = self.config
        dimension = self.source.dimension * self.model.layout.block
        count = math.ceil(config["evaluate"]["samples"] / dimension) * self.model.layout.block
        rng = generator(config["seed"], "held_out", device)
        return self.blocks(self.source.held_out(count, rng))


def _positive(config: DictConfig, key: str, integer: bool = False) -> None:
    value = OmegaConf.select(config, key)
    number = isinstance(value, int if integer else int | float) and not isinstance(value, bool)
    if not number or not 0 < value < math.inf:
        kind = "a positive integer" if integer else "a positive number"
        raise InputError(f"{key}={value}; expected {kind}")


def build(config: DictConfig) -> Experiment:
    """Build the parts of a run.

    Arguments:
        config: the configuration of `ltc-train`.

    Raises:
        InputError: a value cannot be used.
    """
    check(config)
    torch.manual_seed(config.seed)
    quantizer = build_quantizer(config)
    if config.entropy._target_ == "ltc.entropy.Exact" and quantizer.lattice.trellis is None:
        log.info("%s has no trellis, so entropy=monte_carlo", config.name.quantizer)
        config = config.copy()
        config.entropy = {"_target_": "ltc.entropy.MonteCarlo"}
        config.name.entropy = "monte_carlo"
    if isinstance(quantizer, NestedQuantizer):
        config = config.copy()
        config.entropy = {"_target_": "ltc.entropy.FixedRate", "ratio": quantizer.ratio}
        if config.name.entropy not in ("exact", "fixed_rate"):
            log.info("a fixed-rate code has no entropy=%s", config.name.entropy)
        config.name.entropy = "fixed_rate"
        config.name.quantizer = f"nested-{config.quantizer.fine}"
    elif quantizer.lattice.runs_across:
        config = config.copy()
        config.name.quantizer = quantizer.lattice.name
    lattice = quantizer.lattice
    source = build_source(config, 1 if lattice.runs_across else lattice.dimension)
    model = build_model(config, quantizer, source.dimension)
    bound = instantiate(config.bound, source=source) if config.bound else None
    return Experiment(plain(config), source, model, bound)


def check(config: DictConfig) -> None:
    """Check the numbers that every run needs.

    Raises:
        InputError: one is out of its range.
    """
    for key in ("lmbda", "learning_rate", "transform_learning_rate"):
        _positive(config, key)
    for key in ("steps", "evaluate.samples", *([] if config.batch is None else ["batch"])):
        _positive(config, key, integer=True)
    if not isinstance(config.seed, int) or not 0 <= config.seed < 2**32:
        raise InputError(f"seed={config.seed}; expected an integer from 0 to 2^32 - 1")


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


def build_model(
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
    if quantizer.rdo and not isinstance(entropy, Exact):
        raise InputError(
            "quantizer.rdo=true needs entropy=exact: a cost for every branch of a trellis"
        )
    return LatticeTransformCoder(
        transform,
        quantizer,
        layout,
        entropy,
        lmbda=config.lmbda,
        learning_rate=config.learning_rate,
        transform_learning_rate=config.transform_learning_rate,
        steps=config.steps,
        gradient_clip=config.gradient_clip,
    )


def load(checkpoint: str | Path) -> Experiment:
    """Rebuild a run, its source and its bound from its checkpoint.

    Arguments:
        checkpoint: a checkpoint file, or the folder of a run (its best checkpoint).

    Raises:
        InputError: the file is missing, or is no checkpoint of ltc.
    """
    config, state = _read(checkpoint)
    experiment = build(config)
    experiment.code = _restore(experiment.model, state, checkpoint)
    return experiment


def load_coder(checkpoint: str | Path) -> FileCoder:
    """Rebuild what codes files from a checkpoint; the source's data is not needed.

    Arguments:
        checkpoint: a checkpoint file, or the folder of a run (its best checkpoint).

    Raises:
        InputError: the file is missing, is no checkpoint of ltc, or has no bitstream.
    """
    config, state = _read(checkpoint)
    quantizer = build_quantizer(config)
    facts = state.get("source")
    if not isinstance(facts, dict):
        raise InputError(
            f"ckpt={checkpoint}: training did not finish; use best.ckpt of a whole run"
        )
    model = build_model(config, quantizer, facts["dimension"])
    code = _restore(model, state, checkpoint)
    if code is None:
        raise InputError(f"ckpt={checkpoint}: entropy={config.name.entropy} has no bitstream")
    return FileCoder(model.eval(), code, facts)


def _read(checkpoint: str | Path) -> tuple[DictConfig, dict[str, Any]]:
    """Return the configuration and the contents of a checkpoint; nothing in it is executed.

    Only what a file in `conf/` names will be built from it.
    """
    path = Path(checkpoint)
    if path.is_dir():
        path = path / "checkpoints" / "best.ckpt"
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        config = OmegaConf.create(state["hyper_parameters"]["config"])
        assert isinstance(config, DictConfig)
    except FileNotFoundError as error:
        raise InputError(f"ckpt={checkpoint}: there is no file {path}") from error
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"ckpt={checkpoint}: not a checkpoint that ltc-train wrote ({reason})"
        ) from error
    # What is built is named in the checkpoint, which may come from anybody.
    known = {"ltc.entropy.FixedRate"}
    for file in config_directory().rglob("*.yaml"):
        known.update(re.findall(r"_target_:\s*(\S+)", file.read_text(encoding="utf-8")))
    groups = ("source", "transform", "quantizer", "entropy", "bound")
    for target in _targets({group: plain(config).get(group) for group in groups}):
        if target not in known:
            raise InputError(
                f"ckpt={checkpoint}: it asks for {target}, which no file in "
                f"{config_directory()} names; if you trust it, add a file that does"
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
    model: LatticeTransformCoder, state: dict[str, Any], checkpoint: str | Path
) -> LatticeCode | FixedRateCode | None:
    try:
        model.load_state_dict(state["state_dict"])
    except (KeyError, RuntimeError) as error:
        raise InputError(
            f"ckpt={checkpoint}: its parameters do not fit its configuration"
        ) from error
    if isinstance(model.quantizer, NestedQuantizer):
        return FixedRateCode(model.quantizer, len(model.layout.channel))
    if "code" not in state or not isinstance(model.entropy, Exact):
        return None
    if not isinstance(state["code"], dict):
        raise InputError(f"ckpt={checkpoint}: its frozen code is no table")
    code = LatticeCode.from_state(model.entropy.trellis, state["code"])
    if code.rows != len(model.layout.channel):
        raise InputError(f"ckpt={checkpoint}: its frozen code does not fit its configuration")
    return code


def probe(folder: Path) -> None:
    """Find out before training, not after it, whether a folder can be written."""
    with atomic_write(folder / "metrics.json") as path:
        path.write_text("{}")
    (folder / "metrics.json").unlink()


def train(config: DictConfig, folder: str | Path) -> tuple[Experiment, dict[str, Any]]:
    """Train, evaluate, and write `metrics.json`, checkpoints and the log to a folder.

    Arguments:
        config: the configuration of `ltc-train`.
        folder: where the run's files go.

    Returns:
        The trained run and the contents of `metrics.json`.

    Raises:
        InputError: a value cannot be used or the folder cannot be written.
        TrainingDivergedError: the loss became NaN or infinite.
    """
    start = time.perf_counter()
    folder = Path(folder)
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    probe(folder)
    experiment = build(config)
    source, model = experiment.source, experiment.model
    if isinstance(source, FiniteSource):  # find out now, not after training
        experiment.blocks(source.test)
    # The parameters go to the logger with the final metrics, in `record`.
    model.save_hyperparameters({"config": experiment.config}, logger=False)
    logger = instantiate(config.logger, save_dir=str(folder), name="", version="")
    checkpoint = lightning.pytorch.callbacks.ModelCheckpoint(
        dirpath=folder / "checkpoints",
        filename="best",
        monitor="validation/loss",
        save_last=True,
        enable_version_counter=False,  # a second run into a folder replaces the first
    )
    try:
        trainer = lightning.Trainer(
            **{
                "log_every_n_steps": model.log_every,
                **config.trainer,
                "val_check_interval": min(config.trainer.val_check_interval, config.steps),
            },
            max_steps=config.steps,
            check_val_every_n_epoch=None,
            num_sanity_val_steps=0,
            default_root_dir=folder,
            logger=logger,
            callbacks=[checkpoint, Progress(experiment.bound, source.variance)],
            enable_model_summary=False,
            enable_progress_bar=False,
        )
    except (TypeError, ValueError, MisconfigurationException) as error:
        raise InputError(f"trainer: {error}") from error
    device = trainer.strategy.root_device
    block = model.layout.block

    def loader(stream: str, batch: int, count: int) -> DataLoader[Tensor]:
        rng = generator(config.seed, stream, device)
        return DataLoader(Blocks(source, block, batch, count, rng), batch_size=None)

    count = min(20_000, max(16, (1 << 20) // (block * source.dimension)))
    model.to(device)
    rng = generator(config.seed, "initialise", device)
    model.initialise(source.sample(count * block, rng).unflatten(0, (-1, block)))
    began = time.perf_counter()
    lattice = model.quantizer.lattice
    if isinstance(model.entropy, Exact):
        model.use(lattice.surrogate)
    # One fixed batch to choose the best checkpoint by; of a finite source it comes from the
    # training set, so that the held-out one stays untouched.
    validation = list(Blocks(source, block, count, 1, generator(config.seed, "validation", device)))
    # Longer blocks have more to learn from: as many samples in all.
    batch = config.batch or max(1, min(200, (1 << 15) // (block * source.dimension)))
    # A step of E8 with 200 blocks took 1.8 ms on one thread and 2 to 8 ms on two.
    with one_thread(when=batch * block * source.dimension <= 1 << 13):
        trainer.fit(
            model,
            loader("train", batch, config.steps),
            DataLoader(validation, batch_size=None),  # type: ignore[arg-type]
        )
    if trainer.interrupted:
        raise KeyboardInterrupt
    best = torch.load(checkpoint.best_model_path, map_location="cpu", weights_only=True)
    model.load_state_dict(best["state_dict"])
    if isinstance(model.entropy, Exact):
        log.info("fitting the entropy model and the synthesis to what the encoder produces")
        model.use(lattice)
        rng = generator(config.seed, "refine", device)
        # Each channel has a density of its own to fit, and with rdo a number for every point. A
        # matrix fitted to few samples is too large an error: one part in 2,048.
        channels = model.transform.latent_dimension
        least = max(1 << (19 if model.quantizer.rdo else 16), source.dimension << 11)
        count = min(max(1 << 19, channels * least), 1 << 22)
        count = max(16, count // (block * source.dimension))
        refine(model, source.blocks(count, block, rng))
        best["state_dict"] = {key: value.cpu() for key, value in model.state_dict().items()}
    seconds_train = time.perf_counter() - began
    if isinstance(model.entropy, Exact):
        experiment.code = LatticeCode.freeze(model.entropy)
        best["code"] = experiment.code.state()
    elif isinstance(model.quantizer, NestedQuantizer):
        experiment.code = FixedRateCode(model.quantizer, len(model.layout.channel))
    # What a decoder has to know of the source, whose data it does not have.
    known = ("dimension", "patch", "sample_rate", "offset", "gain")
    best["source"] = {key: getattr(source, key) for key in known if hasattr(source, key)}
    with atomic_write(checkpoint.best_model_path) as temporary:
        torch.save(best, temporary)
    metrics = evaluate(experiment, device)
    metrics["seconds_train"] = seconds_train
    metrics["seconds_total"] = time.perf_counter() - start
    write_metrics(metrics, folder)
    record(experiment, metrics, logger)
    return experiment, metrics


def train_vector_quantizer(config: DictConfig, folder: str | Path) -> dict[str, Any]:
    """Fit a quantizer without a lattice, evaluate it, and write its files to a folder.

    It is fitted to as many training vectors as a lattice sees, `steps * batch`, of `source.block`
    source vectors each. The folder gets `metrics.json`, the log, and `quantizer.npz`.

    Arguments:
        config: the configuration of `ltc-train`, with `quantizer=ecvq`.
        folder: where the run's files go.

    Returns:
        The contents of `metrics.json`; what a run with a lattice has beyond that is None.

    Raises:
        InputError: a value cannot be used or the folder cannot be written.
    """
    start = time.perf_counter()
    folder = Path(folder)
    probe(folder)
    check(config)
    settings = plain(config.quantizer)
    source = build_source(config, settings.pop("dimension"))
    block = 1 if config.source.block is None else config.source.block
    if not isinstance(block, int) or block < 1:
        raise InputError(f"source.block={block}; expected a positive integer")
    bound = instantiate(config.bound, source=source) if config.bound else None

    def vectors(samples: Tensor) -> NDArray[np.float64]:
        whole = samples[: len(samples) // block * block].double()
        return whole.reshape(-1, block * source.dimension).cpu().numpy()

    began = time.perf_counter()
    count = math.ceil(config.evaluate.samples / source.dimension)
    held_out = vectors(source.held_out(count, generator(config.seed, "held_out")))
    if len(held_out) == 0:
        raise InputError(f"the held-out vectors do not fill one block of {block}; use more data")
    count = config.steps * (config.batch or 200) * block
    samples = vectors(training_vectors(source, count, generator(config.seed, "train")))
    quantizer = instantiate(settings, samples=samples, lmbda=config.lmbda)
    seconds_train = time.perf_counter() - began
    bits, errors = quantizer.costs(held_out)
    d = samples.shape[1]
    measurement = summarise(torch.from_numpy(bits / d), torch.from_numpy(errors / d))
    metrics = {
        **summary(config, source, measurement, bound, None, torch.device("cpu")),
        "transform": None,
        "entropy": None,
        "seconds_train": seconds_train,
        "seconds_total": time.perf_counter() - start,
    }
    write_metrics(metrics, folder)
    with atomic_write(folder / "quantizer.npz") as path, path.open("wb") as file:
        np.savez(file, **quantizer._asdict())
    logger = instantiate(config.logger, save_dir=str(folder), name="", version="")
    log_metrics(config, metrics, logger)
    logger.finalize("success")
    return metrics


def evaluate(experiment: Experiment, device: torch.device) -> dict[str, Any]:
    """Measure a run on held-out samples and compare it with the bound.

    Arguments:
        experiment: a trained run.
        device: where to compute.

    Returns:
        The contents of `metrics.json`, times missing (None).
    """
    config = experiment.config
    model = experiment.model.to(device)
    blocks = experiment.held_out(device)
    measurement = measure(model, blocks)
    if isinstance(model.entropy, MonteCarlo):
        with torch.no_grad():
            bias = model.entropy.log_bias(model.encode(blocks[:1000])).sum((-1, -2)).mean()
        log.info(
            "the logarithm of a Monte Carlo mean makes the rate too high by about %.2g bits",
            bias / blocks[0].numel(),
        )
    rate_written = None
    if experiment.code is not None and config["evaluate"]["bitstream"]:
        rate_written = bitstream_rate(model, experiment.code, blocks)
    return summary(config, experiment.source, measurement, experiment.bound, rate_written, device)


def summary(
    config: DictConfig | dict[str, Any],
    source: Source,
    measurement: Measurement,
    bound: RateDistortion | None,
    rate_written: float | None,
    device: torch.device,
) -> dict[str, Any]:
    """Return the contents of `metrics.json`, times missing (None).

    Arguments:
        config: the configuration of `ltc-train`.
        source: the source.
        measurement: rate and distortion on held-out samples.
        bound: the source's rate-distortion function, or None.
        rate_written: bits per scalar of a real bitstream, or None.
        device: where it was computed.
    """
    return {
        **config["name"],
        "dimension": source.dimension,
        "lmbda": config["lmbda"],
        "seed": config["seed"],
        **compare(measurement, bound, source.variance),
        "bitstream_rate": rate_written,
        "steps": config["steps"],
        "seconds_train": None,
        "seconds_total": None,
        "device": str(device),
        "version": __version__,
    }


def record(experiment: Experiment, metrics: dict[str, Any], logger: Logger) -> None:
    """Log the parameters, the final metrics and the figures of a run.

    Arguments:
        experiment: a trained run.
        metrics: the contents of `metrics.json`.
        logger: TensorBoard's shows the figures; others get the numbers.
    """
    log_metrics(experiment.config, metrics, logger)
    if not isinstance(logger, TensorBoardLogger):
        logger.finalize("success")
        return
    writer, steps = logger.experiment, experiment.config["steps"]
    source, model = experiment.source, experiment.model
    rng = generator(experiment.config["seed"], "figures", model.device)
    samples = source.sample(model.layout.block * 1000, rng).unflatten(0, (1000, -1))
    with torch.no_grad():
        latents = model.layout.join(model.vectors(samples)).flatten(0, 1)
    for channel in range(min(latents.shape[1], 16)):
        writer.add_histogram(f"latent/{channel}", latents[:, channel], steps)
    if experiment.bound is not None and metrics["snr_db"] is not None:
        figure = operating_point(metrics, experiment.bound, source.variance)
        writer.add_figure("operating point", figure, steps)
    if source.dimension == 2:
        figure = quantization_regions(model, source, rng)
        writer.add_figure("quantization regions", figure, steps)
    logger.finalize("success")


def log_metrics(
    config: DictConfig | dict[str, Any], metrics: dict[str, Any], logger: Logger
) -> None:
    """Log the parameters and the final metrics of a run.

    Arguments:
        config: the configuration of `ltc-train`.
        metrics: the contents of `metrics.json`.
        logger: TensorBoard's lists runs side by side.
    """
    # TensorBoard shows the first columns first: what runs are compared by, before the rest.
    first = ("gap_bits", "rate", "snr_db", "bitstream_rate", "distortion", "gap_db")
    numbers = {
        f"evaluation/{key}": metrics[key]
        for key in (*first, "bound_rate_lower", "bound_rate_upper", "seconds_train")
        if metrics[key] is not None
    }
    parameters = {**config["name"], **{key: config[key] for key in ("lmbda", "seed", "steps")}}
    if isinstance(logger, TensorBoardLogger):
        logger.log_hyperparams(parameters, numbers)
    else:
        logger.log_hyperparams(parameters)
        logger.log_metrics(numbers)


def write_metrics(metrics: dict[str, Any], folder: Path) -> None:
    """Write `metrics.json` to a folder, whole or not at all; what is not finite becomes null."""
    finite = {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in metrics.items()
    }
    with atomic_write(folder / "metrics.json") as temporary:
        temporary.write_text(json.dumps(finite, indent=2, allow_nan=False) + "\n")
