"""A laboratory for lossy compression with lattice-quantized neural transform coders."""

import os
from typing import TYPE_CHECKING, Any

from ltc.version import __version__

if TYPE_CHECKING:
    from ltc.notebook import Result, configuration, load, train

__all__ = ["Result", "__version__", "configuration", "load", "train"]

# By default OpenMP's threads burn their cores while they wait for each other, and steps of small
# models are mostly waiting: with one other busy process on two cores they took 9 times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def __getattr__(name: str) -> Any:
    """Import what is used in notebooks when it is asked for: torch is slow, and no `--help` is."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ltc import notebook

    return getattr(notebook, name)


def __dir__() -> list[str]:
    return __all__
