"""Batches of blocks: which vectors they hold."""

import pytest
import torch

from ltc.sources import FiniteSource, IIDGaussian
from ltc.training import BlockStream


def generator(piece):
    return torch.Generator().manual_seed(piece)


@pytest.mark.parametrize("mixed", [False, True])
def test_mixed_blocks_hold_vectors_from_anywhere(mixed):
    rows = torch.arange(10_000.0)[:, None]
    batches = list(BlockStream(FiniteSource(rows, rows), 50, 4, 6, generator, mixed))
    assert [batch.shape for batch in batches] == [(4, 50, 1)] * 6
    follow = (torch.stack(batches).squeeze(-1).diff() % 10_000 == 1).float().mean()
    assert follow < 0.01 if mixed else follow == 1


def test_of_independent_vectors_both_are_the_same():
    streams = (BlockStream(IIDGaussian(3), 8, 4, 5, generator, mixed) for mixed in (False, True))
    assert all(torch.equal(*pair) for pair in zip(*streams, strict=True))
