"""Probabilities as integers: the tables of a code, made once and checked when they are read.

| table | shape | what |
|---|---|---|
| branch_at | (patterns, sections) | where the branches of a section begin in branch_left |
| branch_left | (branches, 2) | sum of the probabilities of a state's branches before, and its own |
| coset_at | (patterns, sections) | the number of a section's first coset |
| first | (cosets,) | the first integer of a coset that has a probability of its own |
| start | (cosets + 1,) | where the integers of a coset begin in left |
| left | (integers,) | sum of the probabilities before each integer, then of the escape, then 2^24 |

A pattern is the tables of an entropy model that the coordinates of a lattice vector use: a row of
vectors has one, or a context chooses. All probabilities are in units of 2^-24.
"""

import copy
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ltc.codec.graph import Graph
from ltc.codec.range_coder import TOTAL
from ltc.entropy import EntropyModel
from ltc.entropy.context import in_units
from ltc.errors import InputError
from ltc.lattices import Section
from ltc.lattices.trellis import stationary

__all__ = ["TABLES", "fits", "freeze", "from_tensors"]

# The tables and their dimensions, as the walk takes them.
TABLES = {"branch_at": 2, "branch_left": 2, "coset_at": 2, "first": 1, "start": 1, "left": 1}

Array = npt.NDArray[Any]


def freeze(
    entropy: EntropyModel, graph: Graph, pattern: Tensor, endless: Section | None = None
) -> dict[str, Array]:
    """Round an entropy model to integers.

    Sections that are the same, with the same masses and the same completions, share tables:
    the completions of a long trellis converge within tens of sections of its end.

    Arguments:
        entropy: a trained model with a trellis.
        graph: the trellis that is walked along.
        pattern: which table of the model each coordinate uses, shape (patterns, n) or
            (patterns, 1).
        endless: the section of the graph, if it repeats without end.

    Returns:
        The tables by name.
    """
    model = copy.deepcopy(entropy).double().cpu()
    with torch.no_grad():
        mass = model.log_mass(pattern).numpy()
    # Coordinates of one function and one geometry of cosets are of one kind.
    kinds = model.kinds(pattern).expand(mass.shape[:-1]).numpy()
    completion = np.zeros((len(kinds), graph.final_states))
    if endless is not None:
        mass, kinds = mass[:, -1:], kinds[:, -1:]
        completion = stationary(endless, mass[:, 0]).log_completions
    found, example, same = np.unique(kinds, return_index=True, return_inverse=True)
    first: list[int] = []
    start, left, coset_begin = [0], [], []
    for kind, at in zip(found, example, strict=True):
        coset_begin.append(len(first))
        t = int(at) % graph.sections
        for lowest, pmf in _integer_probabilities(model, graph, int(kind), t):
            first.append(lowest)
            left.append(np.concatenate([[0], np.cumsum(in_units(pmf))]))
            start.append(start[-1] + len(left[-1]))
    coset_at = np.array(coset_begin)[same].reshape(kinds.shape)
    branch_at = np.empty(kinds.shape, dtype=np.int64)
    branch_left: list[Array] = []
    size = 0
    for row in range(len(mass)):
        tables, used = graph.branch_probabilities(mass[row], kinds[row], completion[row])
        begin = []
        for section, probability in tables:
            begin.append(size)
            branch_left.append(_round_segments(probability, graph.ranges(section)))
            size += len(probability)
        branch_at[row] = np.array(begin)[used]
    return {
        "branch_at": branch_at,
        "branch_left": np.concatenate(branch_left),
        "coset_at": coset_at,
        "first": np.array(first, dtype=np.int64),
        "start": np.array(start, dtype=np.int64),
        "left": np.concatenate(left),
    }


def fits(tables: Mapping[str, Array], graph: Graph) -> bool:
    """Tell whether the kernels can walk along the tables: they check nothing themselves."""
    if any(tables[key].ndim != n or tables[key].dtype != np.int64 for key, n in TABLES.items()):
        return False
    branch_at, coset_at, first = (tables[key] for key in ("branch_at", "coset_at", "first"))
    branch_left, start, left = (tables[key] for key in ("branch_left", "start", "left"))
    # Comparisons of two numbers that are both in range: sums of forged ones could overflow.
    if not (
        len(branch_at) > 0
        and branch_at.shape == coset_at.shape == (len(branch_at), graph.sections)
        and branch_left.shape == (len(branch_left), 2)
        and start.shape == (len(first) + 1,)
        and (branch_at >= 0).all()
        and (branch_at <= len(branch_left) - graph.branches).all()
        and (coset_at >= 0).all()
        and (coset_at <= len(first) - graph.cosets).all()
        and ((start >= 0) & (start <= len(left))).all()
        and start[0] == 0
        and start[-1] == len(left)
        and (np.diff(start) >= 2).all()
        and all(((sums >= 0) & (sums <= TOTAL)).all() for sums in (branch_left, left))
    ):
        return False
    sizes = np.diff(left)
    positive = (left[start[:-1]] == 0) & (left[start[1:] - 1] == TOTAL)
    if not positive.all() or not (np.delete(sizes, start[1:-1] - 1) > 0).all():
        return False
    pairs = np.stack([np.broadcast_to(graph.kind, branch_at.shape), branch_at], -1)
    for kind, at in np.unique(pairs.reshape(-1, 2), axis=0):
        ranges = graph.ranges(kind)
        begin, probability = branch_left[at : at + ranges[-1]].T
        sums = np.add.reduceat(probability, ranges[:-1])
        inside = np.cumsum(probability) - probability
        inside -= np.repeat(inside[ranges[:-1]], np.diff(ranges))
        if (probability <= 0).any() or (sums != TOTAL).any() or (inside != begin).any():
            return False
    return True


def from_tensors(state: Mapping[str, Any]) -> dict[str, Array]:
    """Return the tables that a checkpoint holds as tensors.

    Raises:
        InputError: it holds something else.
    """
    tables: dict[str, Array] = {}
    for key in TABLES:
        value = state.get(key)
        # A tensor in a file may claim a shape that its numbers do not fill.
        if (
            not isinstance(value, Tensor)
            or value.dtype != torch.int64
            or value.layout != torch.strided
            or value.device.type != "cpu"
            or not value.is_contiguous()
        ):
            raise InputError(f"the frozen code in this checkpoint has no integers {key}")
        tables[key] = value.numpy()
    return tables


def _integer_probabilities(
    model: EntropyModel, graph: Graph, kind: int, t: int
) -> list[tuple[int, Array]]:
    """Return for each coset of a section the first integer and p(z | coset), the escape's last."""
    found = []
    low, high = (float(end) for end in model.support(torch.tensor(kind)))
    section = graph.kind[t]
    for c in range(graph.first_coset[section], graph.first_coset[section + 1]):
        offset, step = graph.offset[c], graph.step[c]
        first = math.floor((low - offset) / step)
        integers = np.arange(first, math.ceil((high - offset) / step) + 1)
        value = torch.as_tensor(offset + step * integers)
        with torch.no_grad():
            log_density = model.log_density_of_kinds(value, torch.full(value.shape, kind)).numpy()
        pmf = np.exp(log_density - np.logaddexp.reduce(log_density))
        kept = np.flatnonzero(pmf > 0.25 / TOTAL)
        inside = slice(kept[0], kept[-1] + 1)
        escape = max(1 - float(pmf[inside].sum()), 0.0)
        found.append((int(integers[kept[0]]), np.append(pmf[inside], escape)))
    return found


def _round_segments(probability: Array, start: Array) -> Array:
    """Round the pmf of every node's branches: (left, probability) for each branch."""
    rounded = np.maximum(np.floor(probability * TOTAL), 1).astype(np.int64)
    node = np.repeat(np.arange(len(start) - 1), np.diff(start))
    order = np.lexsort((rounded, node))
    largest = order[start[1:] - 1]
    rounded[largest] += TOTAL - np.add.reduceat(rounded, start[:-1])
    total = np.cumsum(rounded) - rounded
    return np.stack([total - total[start[:-1]][node], rounded], 1)
