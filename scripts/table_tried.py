"""What was tried to come nearer to R(D) than 4,096 binary states, and what each costs.

    python scripts/table_tried.py

Second moments of uniform noise, bits per sample above R(D) at high rate without `rdo`, and
thousands of samples per second of the search: codes over other fields, found by `search_codes.py
--field`, more states, the M-algorithm, which keeps the best so many of 2^20 states (Anderson and
Mohan, *Sequential coding algorithms*, IEEE Trans. Commun. 32, 1984), codes whose sections have two
dimensions (Ungerboeck, *Trellis-coded modulation with redundant signal sets*, IEEE Commun. Mag. 25,
1987), and blocks that bite their tail, measured in one go with those that do not.
"""

import argparse
import math
import time

import numpy as np
import torch
from search_codes import LENGTH, mean_error, second_moment
from torch import Tensor

from ltc.lattices import Convolutional, Section, Trellis
from ltc.lattices.families.convolutional import CODES

OTHERS = {
    (3, 729): ("0220010", "1200201"),
    (3, 2187): ("01100120", "11121221"),
    (5, 625): ("03230", "12201"),
}
# Of 2^20 states: drawn at random, as those of `search_codes.py`, the best of six.
LARGE = ("3772222", "5657757")
MARGIN = 256
# Parity checks of pairs, h0 first, in octal: two choose cosets of 2Z^2, three of 2D2. The best of
# 64 to 128 drawn at random, and of 512 states known convolutional codes too.
PAIRS = (("1137", "502"), ("573", "336", "134"), ("3465", "1416", "100"))


def m_algorithm(x: Tensor, code: tuple[str, str], survivors: int) -> Tensor:
    """Return the squared error of each coordinate of x, (count, n), by so many survivors."""
    memory = int(code[1], 8).bit_length() - 1
    parity = torch.zeros(1 << 11, dtype=torch.int64)
    for bit in range(11):
        parity ^= torch.arange(1 << 11) >> bit & 1
    offset = torch.tensor([0.0, 0.5, 1.0, 1.5])
    rest = (x[..., None] - offset) / 2
    costs = ((rest - rest.round()) * 2).square()
    state, total = torch.zeros(len(x), 1, dtype=torch.int64), torch.zeros(len(x), 1)
    steps = []
    for cost in costs.unbind(1):
        register = (state[..., None] * 2 + torch.tensor([0, 1])).flatten(1)
        bits = []
        for check in code[1], code[0]:
            masked = register & int(check, 8)
            bits.append(parity[masked & 2047] ^ parity[masked >> 11])
        error = cost.gather(1, 2 * bits[0] + bits[1])
        state = register & ((1 << memory) - 1)
        total = total.repeat_interleave(2, 1) + error
        # Of those that meet in a state the best stays.
        order = total.argsort(1)
        order = order.gather(1, state.gather(1, order).argsort(stable=True, dim=1))
        there = state.gather(1, order)
        total = total.gather(1, order)
        total[:, 1:][there[:, 1:] == there[:, :-1]] = math.inf
        total, kept = total.topk(min(survivors, total.shape[1]), 1, largest=False)
        order = order.gather(1, kept)
        steps.append((order // 2, error.gather(1, order)))
        state = there.gather(1, kept)
        total = total - total[:, :1]
    best, errors = total.argmin(1, keepdim=True), []
    for before, error in reversed(steps):
        errors.append(error.gather(1, best))
        best = before.gather(1, best)
    return torch.cat(errors[::-1], 1)


def tail_biting(x: Tensor, states: int) -> tuple[Tensor, Tensor]:
    """Return the squared errors of blocks, (count, n), from state 0, and of those that close.

    Three turns are decoded; the one in the middle closes where it ends in the state it began in.
    """
    n = x.shape[1]
    block, turns = Convolutional(states, n), Convolutional(states, 3 * n)
    points = turns.closest_point(x.repeat(1, 3))
    after = turns.trellis.states_after(points)
    closed = after[:, n - 1] == after[:, 2 * n - 1]
    errors = (x - block.closest_point(x)).square(), (x - points[:, n : 2 * n])[closed].square()
    return errors[0].double().mean(1), errors[1].double().mean(1)


def of_pairs(checks: tuple[str, ...]) -> Trellis:
    """Return the trellis of half of all pairs of integers, two sections a pair.

    A state is the sum of what earlier pairs have yet to bring into each parity check. Between the
    sections of a pair stands the state and the coset of the pair's first coordinate.
    """
    step = 2 * (len(checks) - 1)
    first, second = np.divmod(np.arange(step**2), step)
    labels = np.stack([first + second & 1, first & 1, (first >> 1) + (second >> 1) & 1])
    added = np.zeros_like(first)
    for label, check in zip(labels, checks, strict=False):
        added ^= label * int(check, 8)
    offset, states, found = np.arange(float(step)), np.zeros(1, dtype=np.int64), []
    while len(found) < LENGTH:
        if found and len(found[-2].previous) == step * len(states):
            found += found[-2:]  # the same objects from here on
            continue
        branch = np.arange(step * len(states))[:, None]
        found.append(Section(branch // step, branch % step, offset, float(step)))
        after = states[:, None] ^ added
        state, pair = np.nonzero(after & 1 == 0)
        states, arrived = np.unique(after[state, pair] >> 1, return_inverse=True)
        order = np.argsort(arrived, kind="stable")
        previous = (state * step + first[pair])[order].reshape(len(states), -1)
        found.append(Section(previous, second[pair][order].reshape(previous.shape), offset, step))
    return Trellis(tuple(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--survivors", nargs="*", type=int, default=[256, 1024, 4096])
    options = parser.parse_args()
    print("| code | search | branches per sample | second moment | bits | 1000 samples/s |")
    print("|---|---|---|---|---|---|")

    def show(name: str, search: str, branches: int, moment: float, error: float, speed: float):
        bits = 0.5 * math.log2(2 * math.pi * math.e * moment)
        print(
            f"| {name} | {search} | {branches:,} | {moment:.5f} ± {error:.5f} | {bits:.4f} "
            f"| {float(f'{speed / 1000:.2g}'):,g} |",
            flush=True,
        )

    def decoded(states: int) -> float:  # of these, margins are cut off
        return options.samples * LENGTH / (LENGTH - 32 * states.bit_length())

    binary = {(2, states): code for states, code in CODES.items() if states >= 256}
    for (field, states), code in {**OTHERS, **binary}.items():
        second_moment(field, code, 2 * LENGTH, 0)  # compiles
        start = time.perf_counter()
        moment, error = second_moment(field, code, options.samples, 2)
        speed = decoded(states) / (time.perf_counter() - start)
        name = f"{'binary' if field == 2 else f'modulo {field}'}, {states:,} states"
        show(name, "Viterbi", field * states, moment, error, speed)
    for checks in PAIRS:
        trellis = of_pairs(checks)
        states = trellis.states[-1]
        mean_error(trellis, 2 * LENGTH, 0)  # compiles
        start = time.perf_counter()
        moment, error = mean_error(trellis, options.samples, 5)
        speed = decoded(states) / (time.perf_counter() - start)
        name = f"pairs, cosets of {('2Z^2', '2D2')[len(checks) - 2]}, {states:,} states"
        # A pair has one point for each two of the plane.
        show(name, "Viterbi", (len(checks) - 1) * states, moment / 2, error / 2, speed)
    for survivors in options.survivors:
        count = max(8, options.samples // 8 // survivors)
        generator = torch.Generator().manual_seed(3)
        x = 2 * torch.rand(count, LENGTH + 2 * MARGIN, generator=generator)
        start = time.perf_counter()
        errors = m_algorithm(x, LARGE, survivors)[:, MARGIN:-MARGIN].double().mean(1)
        speed = x.numel() / (time.perf_counter() - start)
        moment, error = float(errors.mean()), float(errors.std() / count**0.5)
        show("binary, 2^20 states", f"best {survivors:,}", 2 * survivors, moment, error, speed)
    for n in (256, 2048):
        x = 2 * torch.rand(options.samples // n, n, generator=torch.Generator().manual_seed(4))
        start = time.perf_counter()
        found = tail_biting(x, 256)
        speed = x.numel() / (time.perf_counter() - start)
        share = f"tail-biting, {len(found[1]) / len(x):.0%} of them"
        for search, errors in zip(("from state 0", share), found, strict=True):
            error = float(errors.std() / len(errors) ** 0.5)
            name = f"binary, 256 states, blocks of {n:,}"
            show(name, search, 512, float(errors.mean()), error, speed)


if __name__ == "__main__":
    main()
