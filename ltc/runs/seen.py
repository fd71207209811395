"""Which rows a coder was trained on: what is held out later is not to be among them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

if TYPE_CHECKING:  # not needed to code files
    from ltc.sources import Source

__all__ = ["seen_again", "sketch"]

# Hashes that are kept of the rows, the least of all: of any other rows it is the least, too, that
# are compared.
KEPT = 8192
# What is nearer is the same number: other files have another mean, and so another rounding.
CELL = 1 / 512
PIECE = 1 << 20


def sketch(source: Source) -> Tensor:
    """Return the least hashes of the training rows, int64, in order; empty of what has no rows.

    Arguments:
        source: as it was trained on.
    """
    if not source.finite or source.whole:
        return torch.zeros(0, dtype=torch.int64)
    return torch.from_numpy(_hashes(source.training_set(1 << 40, torch.Generator()))[:KEPT])


def seen_again(trained: Tensor, source: Source) -> float:
    """Return the share of held-out rows that were trained on; 0 where too few can be compared.

    Arguments:
        trained: a sketch of what was.
        source: at the scale of training.

    Example:
        >>> from ltc.sources import FiniteSource
        >>> rows = torch.randn(100, 4, generator=torch.Generator().manual_seed(0))
        >>> before, after = FiniteSource(rows[:50], rows[50:]), FiniteSource(rows[50:], rows[25:75])
        >>> seen_again(sketch(before), before), seen_again(sketch(before), after)
        (0.0, 0.5)
    """
    if len(trained) == 0 or not source.finite or source.whole:
        return 0.0
    found = _hashes(source.held_out(0, torch.Generator()))
    if len(trained) == KEPT:
        found = found[found <= int(trained[-1])]
    return float(np.isin(found, trained.numpy()).mean()) if len(found) >= 5 else 0.0


def _hashes(rows: Tensor) -> NDArray[np.int64]:
    """Return the hashes of rows, shape (count, d), in order and each once."""
    factors = np.random.default_rng(0).integers(-(2**63), 2**63, rows.shape[1]) | 1
    found = []
    for part in rows.cpu().split(max(1, PIECE // rows.shape[1])):
        mixed = (np.rint(part.double().numpy() / CELL).astype(np.int64) * factors).sum(1)
        mixed = (mixed ^ (mixed >> 32)) * 0x1E3779B97F4A7C15  # modulo 2^64, as above
        found.append(mixed ^ (mixed >> 29))
    return np.unique(np.concatenate(found))
