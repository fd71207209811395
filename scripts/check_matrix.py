"""Run every combination of source, transform and quantizer for a few steps.

    python scripts/check_matrix.py
    python scripts/check_matrix.py --sources banana --quantizers trellis_256 e8 --steps 2500

Prints the time, the peak memory and the gap of each; fails where one ends in anything but a result
or a message for people, takes more than 3 GB, or more than five minutes. Each runs in a process of
its own. Sources whose data is missing, and choices that need more to be said, are named and left
out.
"""

import argparse
import multiprocessing
import time
from multiprocessing.connection import Connection
from pathlib import Path

from sweep import experiment

from ltc.errors import InputError
from ltc.files import config_directory

GIGABYTES, SECONDS = 3.0, 300.0
# The rest needs a file or a matrix of the user's.
SKIPPED = {"array", "generator", "ecvq", "lattice_base"}


def names(group: str) -> list[str]:
    """Return the choices of a config group."""
    return sorted(path.stem for path in Path(config_directory(), group).glob("*.yaml"))


def attempt(overrides: list[str], connection: Connection) -> None:
    """Run one combination and send what came of it."""
    try:
        _, metrics = experiment(*overrides)
        connection.send(("", metrics["gap_bits"], metrics["peak_memory"]))
    except InputError as error:
        connection.send((f"refused: {error}", None, 0))
    except BaseException as error:  # what this script is there to find
        connection.send((f"FAILED: {type(error).__name__}: {error}", None, 0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for group in ("source", "transform", "quantizer"):
        parser.add_argument(f"--{group}s", nargs="+", default=names(group))
    parser.add_argument("--steps", type=int, default=20)
    options = parser.parse_args()
    fork = multiprocessing.get_context("fork")  # what is imported once is imported for all
    failures = 0
    print(f"{'source':20}{'transform':12}{'quantizer':14}{'s':>7}{'GB':>7}{'gap':>9}")
    for source in options.sources:
        for transform in options.transforms:
            for quantizer in options.quantizers:
                if SKIPPED & {source, quantizer}:
                    continue
                chosen = [f"source={source}", f"transform={transform}", f"quantizer={quantizer}"]
                chosen += [f"steps={options.steps}", "evaluate.samples=100000"]
                ours, theirs = fork.Pipe()
                process = fork.Process(target=attempt, args=(chosen, theirs))
                start = time.perf_counter()
                process.start()
                theirs.close()
                try:
                    reason, gap, memory = (
                        ours.recv() if ours.poll(SECONDS) else ("FAILED: too long", None, 0)
                    )
                except EOFError:
                    reason, gap, memory = "FAILED: the process was killed", None, 0
                process.kill()
                process.join()
                if memory > GIGABYTES * 1e9:
                    reason = "FAILED: too much memory"
                failures += reason.startswith("FAILED")
                seconds = time.perf_counter() - start
                shown = "-" if gap is None else f"{gap:.4f}"
                print(
                    f"{source:20}{transform:12}{quantizer:14}{seconds:7.1f}{memory / 1e9:7.2f}"
                    f"{shown:>9}  {reason}",
                    flush=True,
                )
    if failures:
        raise SystemExit(f"{failures} combinations failed")


if __name__ == "__main__":
    main()
