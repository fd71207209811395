"""Run every combination of source, transform and quantizer for a few steps.

    python scripts/check_matrix.py
    python scripts/check_matrix.py --sources banana --quantizers trellis_256 e8 --steps 2500
    python scripts/check_matrix.py --sources audio --override source.root=RECORDINGS

Prints the processor time, the peak memory and the gap of each, and a summary; fails where one ends
in anything but a result or a message for people, takes more than 3 GB, or more than five minutes of
a processor, whatever else the machine does. Each runs in a process of its own. Sources whose data
is missing, and choices that need more to be said, are named and left out.
"""

import argparse
import itertools
import multiprocessing
import resource
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from sweep import train_once

import ltc
from ltc.cli.messages import describe, is_input_error
from ltc.files import config_directory
from ltc.runs.build import build_source
from ltc.runs.evaluate import peak_memory

GIGABYTES, SECONDS = 3.0, 300
# They need a file or a matrix of the user's; `ecvq` takes no transform, `lattice_base` is none.
SKIPPED = {"array", "generator", "ecvq", "lattice_base"}


class Outcome(NamedTuple):
    """What came of a run: why it ended without a result, the gap, gigabytes, processor seconds."""

    reason: str = ""
    gap: float | None = None
    memory: float = 0.0
    seconds: float = 0.0


def names(group: str) -> list[str]:
    """Return the choices of a config group."""
    return sorted(path.stem for path in Path(config_directory(), group).glob("*.yaml"))


def train(overrides: list[str]) -> float | None:
    """Train and measure; returns the gap."""
    return train_once(*overrides).metrics["gap_bits"]


def load(overrides: list[str]) -> None:
    """Build the source alone."""
    build_source(ltc.configuration(*overrides), 8)


def attempt(
    task: Callable[[list[str]], float | None], overrides: list[str], connection: Connection
) -> None:
    """Do something with some overrides and send what came of it."""
    reason, gap = "", None
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))  # of this process and its threads
    try:
        gap = task(overrides)
    except BaseException as error:  # what this script is there to find
        kind = "refused" if is_input_error(error) else f"FAILED: {type(error).__name__}"
        reason = f"{kind}: {describe(error)}"
    connection.send((reason, gap, peak_memory() / 1e9, time.process_time()))


def apart(task: Callable[[list[str]], float | None], overrides: list[str]) -> Outcome:
    """Do it in a process of its own."""
    fork = multiprocessing.get_context("fork")  # what is imported once is imported for all
    ours, theirs = fork.Pipe()
    process = fork.Process(target=attempt, args=(task, overrides, theirs))
    process.start()
    theirs.close()
    try:
        outcome = Outcome(*ours.recv())
    except EOFError:
        outcome = Outcome("FAILED: killed, for taking too long or too much")
    process.join()
    return outcome._replace(reason="FAILED: memory") if outcome.memory > GIGABYTES else outcome


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for group in ("source", "transform", "quantizer"):
        known = [name for name in names(group) if name not in SKIPPED]
        parser.add_argument(f"--{group}s", nargs="+", default=known)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument(
        "--override", nargs="+", default=[], metavar="KEY=VALUE", help="passed to each run"
    )
    options = parser.parse_args()
    outcomes: dict[str, Outcome] = {}
    print(f"{'source':20}{'transform':12}{'quantizer':14}{'s':>7}{'GB':>7}{'gap':>9}")
    for source in options.sources:
        common = [f"source={source}", f"steps={options.steps}", "evaluate.samples=100000"]
        common += options.override
        data = apart(load, common)
        if data.reason.startswith("refused"):
            print(f"{source:20}left out, {data.reason}", flush=True)
            continue
        for transform, quantizer in itertools.product(options.transforms, options.quantizers):
            name = f"{source:20}{transform:12}{quantizer:14}"
            chosen = [f"transform={transform}", f"quantizer={quantizer}"]
            outcome = outcomes[name] = apart(train, [*common, *chosen])
            shown = "-" if outcome.gap is None else f"{outcome.gap:.4f}"
            print(
                f"{name}{outcome.seconds:7.1f}{outcome.memory:7.2f}{shown:>9}  {outcome.reason}",
                flush=True,
            )
    if not outcomes:
        raise SystemExit("nothing was run")
    refused, failed = (
        sum(outcome.reason.startswith(kind) for outcome in outcomes.values())
        for kind in ("refused", "FAILED")
    )
    longest, largest = (
        max(outcomes, key=lambda name: getattr(outcomes[name], what))
        for what in ("seconds", "memory")
    )
    print(
        f"{len(outcomes)} combinations, {refused} refused, {failed} failed; the longest took "
        f"{outcomes[longest].seconds:.1f} s ({' '.join(longest.split())}), the largest "
        f"{outcomes[largest].memory:.2f} GB ({' '.join(largest.split())})"
    )
    raise SystemExit(failed > 0)


if __name__ == "__main__":
    main()
