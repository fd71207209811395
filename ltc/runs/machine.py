"""What a run was computed with: kept with its numbers, so that others can repeat them."""

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import torch

from ltc.version import __version__

__all__ = ["machine"]

# The packages that numbers come from.
PACKAGES = ("torch", "lightning", "numpy", "scipy", "numba", "scikit-image")


def machine() -> dict[str, Any]:
    """Return the version of ltc and its commit, of what it rests on, and where it runs.

    Example:
        >>> found = machine()
        >>> found["versions.torch"] == torch.__version__, found["processors"] > 0
        (True, True)
    """
    return {
        "version": __version__,
        "commit": _commit(Path(__file__).parents[2]),
        "versions.python": platform.python_version(),
        **{f"versions.{name}": importlib.metadata.version(name) for name in PACKAGES},
        "machine": platform.platform(),
        "processors": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }


def _commit(folder: Path) -> str | None:
    """Return the commit of a clone, with `-dirty` after it where files differ, or None."""
    if not (folder / ".git").exists():  # installed, perhaps below a clone of something else
        return None
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40"]
    command += ["--exclude=*"]  # no tags
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):  # no git, or not ours to read
        return None
    return found.stdout.strip() or None
