"""The Viterbi algorithm and the states of points in torch, on any device.

Items and ends as in `ltc.lattices.trellis.viterbi`; `kinds` are the kinds of the sections.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from ltc.lattices.trellis.structure import IntArray

__all__ = ["shortest_path", "states_after"]

# Costs count from the least again after so many sections, as in `viterbi`.
RESTART = 1024

# `previous` and `coset` of each kind of section.
Branches = Sequence[tuple[Tensor, ...]]


def shortest_path(
    cost: Tensor,
    paths: Tensor,
    branches: Branches,
    items: IntArray,
    ends: IntArray,
    kinds: IntArray,
    middle: bool,
) -> Tensor:
    """Write the cosets of least total cost, of tables (rows, n, cosets), to `paths`, (rows, n).

    Returns the states in the middle of the sections, and writes nothing, if `middle` is true;
    otherwise those at the beginning.
    """
    row, place, inside = _places(items, len(kinds), cost)
    sections = [branches[kind] for kind in kinds.tolist()]
    tables = torch.where(inside.unsqueeze(-1), cost[row, place], 0.0)
    begin, end = torch.as_tensor(ends, device=cost.device).T
    states = int(sections[0][0].max()) + 1
    other = torch.arange(states, device=cost.device) != begin.unsqueeze(-1)
    total = tables.new_zeros(len(tables), states)
    total = total.masked_fill(other & (begin >= 0).unsqueeze(-1), torch.inf)
    decisions = []
    for t, (previous, coset) in enumerate(sections):
        if t % RESTART == 0 and t > 0:
            total = total - total.amin(-1, keepdim=True)
        total, decision = (total[:, previous] + tables[:, t][:, coset]).min(-1)
        decisions.append(decision.to(torch.uint8) if previous.shape[1] <= 256 else decision)
    state = torch.where(end >= 0, end, total.argmin(-1))
    until = len(sections) // 2 if middle else 0
    found = torch.empty_like(place)
    for t in range(len(sections) - 1, until - 1, -1):
        previous, coset = sections[t]
        branch = decisions[t].gather(-1, state.unsqueeze(-1)).squeeze(-1).long()
        found[:, t] = coset[state, branch]
        state = previous[state, branch]
    if not middle:
        paths[row.expand_as(place)[inside], place[inside]] = found[inside]
    return state


def states_after(
    cost: Tensor,
    states: Tensor,
    branches: Branches,
    following: Tensor,
    items: IntArray,
    ends: IntArray,
    kinds: IntArray,
    middle: bool,
) -> Tensor:
    """Write the states along the nearest cosets, tables (rows, n, cosets), to `states`, (rows, n).

    Where there is no such path, -1. `following` has the state after a kind, a state and a coset.
    Returns the states in the middle, and writes nothing, if `middle` is true.
    """
    if middle:
        return shortest_path(cost, states, branches, items, ends, kinds, True)
    row, place, inside = _places(items, len(kinds), cost)
    cosets = cost[row, place].argmin(-1)
    begin, end = torch.as_tensor(ends, device=cost.device).T
    state = begin.clamp(min=0)
    found = torch.empty_like(place)
    for t, kind in enumerate(kinds.tolist()):
        state = torch.where(state < 0, -1, following[kind, state, cosets[:, t]])
        found[:, t] = state
    # A piece has to end where the next one begins.
    last = found.gather(-1, inside.sum(-1, keepdim=True) - 1).squeeze(-1)
    found[(last != end) & (end >= 0)] = -1
    states[row.expand_as(place)[inside], place[inside]] = found[inside]
    return state


def _places(items: IntArray, length: int, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the rows of items, (count, 1), their places, and which are inside, (count, length)."""
    row, begin, size = torch.as_tensor(items, device=like.device).T.unsqueeze(-1)
    t = torch.arange(length, device=like.device)
    return row, (begin + t).clamp(max=like.shape[1] - 1), t < size
