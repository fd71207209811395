"""The one place where every reported number is computed."""

from __future__ import annotations

import logging
import math
import os
import resource
import sys
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ltc.codec import Code, Container
from ltc.coder import LatticeTransformCoder, sequence
from ltc.distortion import Distortion, Squared
from ltc.errors import InputError
from ltc.measurement import Measurement, summarise
from ltc.perception import sliced_wasserstein
from ltc.runs.machine import machine
from ltc.runs.values import dotted

if TYPE_CHECKING:
    from ltc.bounds import RateDistortion
    from ltc.runs.run import Run

__all__ = [
    "SCHEMA",
    "check_memory",
    "compare",
    "evaluate",
    "measure",
    "parameters",
    "perceived",
    "standing",
]

log = logging.getLogger("ltc")

# Which keys `metrics.json` has and what they mean: one more whenever a key goes, or means something
# else. Keys that are new change nothing for those who read the others.
SCHEMA = 1
# By how much a rate is below R(D) where no chance brings it there, bits and standard errors.
LEAST, BELOW = 0.02, 6
# Bytes that a run needs at least for each sample that is coded, and that is written as a file:
# measured were 10 and 54 to 77.
CODED, WRITTEN = 8, 40


def check_memory(run: Run) -> None:
    """Refuse numbers of samples that cannot fit into the memory of the machine.

    Arguments:
        run: the run, which needs not be trained yet.

    Raises:
        InputError: they cannot.
    """
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    wanted = {"refine.samples": (run.config["refine"]["samples"] or 0, CODED, "")}
    if not (run.source.finite or run.source.whole):  # those return what they hold out
        evaluation = run.config["evaluate"]
        each, hint = CODED, ""
        if evaluation["bitstream"]:
            each, hint = WRITTEN, "; evaluate.bitstream=false needs less"
        wanted["evaluate.samples"] = evaluation["samples"], each, hint
    for key, (count, each, hint) in wanted.items():
        if count * each > memory:
            raise InputError(
                f"{key}={count:g} does not fit into memory: this machine has {memory:.2g} bytes, "
                f"and a sample takes {each} at least; expected at most {memory // each:.2g}{hint}"
            )


@torch.no_grad()
def measure(
    coder: LatticeTransformCoder,
    blocks: Tensor,
    code: Code | None = None,
    chunk: int = 1 << 18,
    write: bool = True,
) -> tuple[Measurement, float | None]:
    """Encode and decode held-out blocks, and write them as an `.ltc` file.

    Arguments:
        coder: the coder.
        blocks: held-out samples, shape (count, block, d). An endless trellis takes them as one
            sequence.
        code: its frozen entropy coder; None: write nothing.
        chunk: scalars in flight, where the lattice has an end.
        write: whether the file is written, if there is a code.

    Returns:
        The rate and the distortion; and the bits per scalar of the file, headers included.

    Raises:
        RuntimeError: what was read back from the file is not what was written.
    """
    coder.eval()
    lengths = None if code is None else code.lengths
    if not write:
        code = None
    encoded, bits, errors = [], [], []
    for part in blocks.flatten(0, 1).split(sequence.piece(coder, blocks.shape[-1], chunk)):
        points = sequence.encode(coder, part, lengths)
        bits.append(sequence.vector_bits(coder, points))
        error = (sequence.decode(coder, points) - part).double()
        errors.append(coder.distortion.cost(error).sum(1))
        if code is not None:
            encoded.append(points.cpu())
    scalars = blocks[0].numel()
    of_blocks = (
        torch.cat(parts).reshape(len(blocks), -1).sum(1) / scalars for parts in (bits, errors)
    )
    written = None if code is None else 8 * _written(code, torch.cat(encoded)) / blocks.numel()
    return summarise(*of_blocks), written


@torch.no_grad()
def perceived(coder: LatticeTransformCoder, blocks: Tensor, chunk: int = 1 << 18) -> float:
    """Return the squared sliced Wasserstein-2 distance of held-out blocks and their reconstruction.

    Arguments as of `measure`.
    """
    vectors = blocks.flatten(0, 1)
    parts = vectors.split(sequence.piece(coder, vectors.shape[-1], chunk))
    decoded = torch.cat([sequence.decode(coder, sequence.encode(coder, part)) for part in parts])
    rng = torch.Generator(vectors.device).manual_seed(0)
    return float(sliced_wasserstein(vectors.double(), decoded.double(), rng))


def _written(code: Code, points: Tensor) -> int:
    """Write points as an `.ltc` file, read them back, and return the number of bytes."""
    written = Container(code.fingerprint, {}, list(code.encode_chunks(points))).pack()
    chunks = [(n, stream) for n, stream in Container.unpack(written).chunks if stream is not None]
    decoded = torch.cat(code.decode_chunks(chunks))
    # The same path and the same integers: all quantizers but that of a generator matrix, which
    # multiplies by it, have them as the same numbers too.
    same = torch.allclose(decoded.to(points.dtype), points, rtol=1e-5, atol=1e-4)
    if not same or code.encode_chunks(decoded) != chunks:
        raise RuntimeError("the bitstream decoded to other points than were encoded: a bug in ltc")
    return len(written)


def compare(
    measurement: Measurement,
    bound: RateDistortion | None,
    variance: float,
    entropy: float | None = None,
    distortion: Distortion | None = None,
) -> dict[str, Any]:
    """Compare a measurement with the rate-distortion function.

    Arguments:
        measurement: rate and distortion per scalar.
        bound: the source's rate-distortion function, or None.
        variance: the source's variance per scalar.
        entropy: of a discrete source, bits per scalar: R(D) at distortion 0.
        distortion: what an error costs; None: its square.

    Returns:
        The measured numbers, `snr_db`, `bound`, `bound_rate_lower`, `bound_rate_upper`,
        `gap_bits` (rate less the lower end of the bracket, so that it is never flattered), its
        standard error `gap_stderr`, and `gap_db` (loss of SNR at equal rate); None for what is
        not known, or means nothing under this distortion.
    """
    rate, reached = measurement.rate, measurement.distortion
    lower = upper = gap_bits = gap_stderr = gap_db = snr_db = None
    if reached > 0:
        snr_db = (distortion or Squared()).snr_db(variance, reached)
    if bound is not None:
        lower, upper = bound.bracket(reached) if reached > 0 else (entropy, entropy)
    if bound is not None and lower is not None:
        gap_bits = rate - lower
        gap_db = _gap_db(bound, rate, reached) if snr_db is not None else None
        gap_stderr = _gap_stderr(measurement, gap_bits / gap_db) if gap_db else None
    return {
        **measurement.stated(),
        "snr_db": snr_db,
        "bound": None if bound is None else bound.name,
        "bound_rate_lower": lower,
        "bound_rate_upper": upper,
        "gap_bits": gap_bits,
        "gap_stderr": gap_stderr,
        "gap_db": gap_db,
    }


def _gap_stderr(measurement: Measurement, slope: float) -> float:
    """Return the standard error of rate - R(distortion), where R falls by `slope` bits per dB."""
    slope *= 10 / math.log(10) / measurement.distortion
    variance = (
        measurement.rate_stderr**2
        + 2 * slope * measurement.covariance
        + (slope * measurement.distortion_stderr) ** 2
    )
    return math.sqrt(max(variance, 0.0))


def standing(run: Run, rate: float, distortion: float) -> dict[str, float]:
    """Return roughly what `compare` would, of a run in training, without what takes long.

    Arguments:
        run: the run.
        rate: of a batch, bits per scalar.
        distortion: of a batch, per scalar.
    """
    found = {}
    if distortion > 0:
        found["snr_db"] = run.distortion.snr_db(run.source.variance, distortion)
    if run.bound is not None:
        try:
            lower = run.bound.estimate(distortion)
        except Exception:  # what is shown on the way is no reason to end a run
            lower = None
        found["gap_bits"] = None if lower is None else rate - lower
    known = {key: value for key, value in found.items() if value is not None}
    return {key: value for key, value in known.items() if math.isfinite(value)}


def _gap_db(bound: RateDistortion, rate: float, distortion: float) -> float | None:
    """Solve R(D) = rate for D, from the lower end of the bracket, by the secant method in dB."""

    def excess(decibel: float) -> float:
        # Roughly: the lower end flatters no gap, whatever the tolerance.
        lower, _ = bound.bracket(distortion * 10 ** (-decibel / 10), 2e-3)
        assert lower is not None
        return rate - lower

    low, at_low = 0.0, excess(0.0)
    high = 6.02 * at_low  # exact for a Gaussian source
    for _ in range(8):
        if abs(high) > 100:  # more bits than a discrete source has: no distortion needs them
            break
        at_high = excess(high)
        if abs(at_high) < 1e-4:
            return high
        if at_high == at_low:
            break
        low, at_low, high = high, at_high, high - at_high * (high - low) / (at_high - at_low)
    return None


def evaluate(run: Run, device: torch.device) -> dict[str, Any]:
    """Measure a run on held-out samples and compare it with the bound.

    Arguments:
        run: a trained run.
        device: where it is.

    Returns:
        The contents of `metrics.json`, times missing (None).
    """
    config, source = run.config, run.source
    measured = run.measure(device)
    bound = run.limit(measured)
    compared = compare(measured.measurement, bound, source.variance, source.entropy, run.distortion)
    gap = compared["gap_bits"]
    if gap is not None and gap < -LEAST - BELOW * (compared["gap_stderr"] or 0.0):
        log.warning(
            "the rate is %.3g bits below R(D), which no code reaches: the entropy model is no "
            "probability, or the source is not what it says",
            -gap,
        )
    return {
        "schema": SCHEMA,
        **config["name"],
        **parameters(config),
        "dimension": source.dimension,
        "lmbda": config["lmbda"],
        "seed": config["seed"],
        "samples": measured.samples,
        **compared,
        "bitstream_rate": measured.bitstream_rate,
        "high_rate_gap": run.high_rate_gap,
        **measured.more,
        "steps": config["steps"],
        "seconds_train": None,
        "seconds_total": None,
        "device": str(device),
        "peak_memory": peak_memory(),
        **machine(),
    }


def parameters(config: dict[str, Any]) -> dict[str, Any]:
    """Return all choices of a run under dotted names, as they are typed on the command line.

    Arguments:
        config: the configuration of `ltc-train`.

    Example:
        >>> parameters({"quantizer": {"_target_": "a.b", "lattice": {"states": 8}, "rdo": True}})
        {'quantizer.lattice.states': 8, 'quantizer.rdo': True}
    """
    groups = ("source", "transform", "quantizer", "entropy", "distortion", "bound", "refine")
    numbers = ("realism", "batch", "learning_rate", "transform_learning_rate", "gradient_clip")
    chosen = {key: config[key] for key in (*groups, *numbers) if config.get(key) not in (None, {})}
    devices = config.get("trainer", {}).get("devices", 1)
    if devices != 1:  # the batch is that of each
        chosen["trainer"] = {"devices": devices}
    return {key: value for key, value in dotted(chosen) if not key.endswith("._target_")}


def peak_memory() -> int:
    """Return the most memory that this process has had at once so far, bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
