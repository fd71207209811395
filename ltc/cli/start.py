"""Where the commands start."""

import sys
from importlib import import_module

__all__ = [
    "INTERRUPTED",
    "bound",
    "compress",
    "decompress",
    "evaluate",
    "lattice",
    "report",
    "train",
]

# The exit code of what Ctrl-C ended.
INTERRUPTED = 130


def _start(module: str, function: str = "main") -> None:
    try:
        getattr(import_module(f"ltc.cli.{module}"), function)()
    except KeyboardInterrupt:  # while it is being imported
        print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)


def bound() -> None:
    """Run `ltc-bound`."""
    _start("bound")


def compress() -> None:
    """Run `ltc-compress`."""
    _start("compress", "compress")


def decompress() -> None:
    """Run `ltc-decompress`."""
    _start("compress", "decompress")


def evaluate() -> None:
    """Run `ltc-eval`."""
    _start("eval")


def lattice() -> None:
    """Run `ltc-lattice`."""
    _start("lattice")


def report() -> None:
    """Run `ltc-report`."""
    _start("report")


def train() -> None:
    """Run `ltc-train`."""
    _start("train")
