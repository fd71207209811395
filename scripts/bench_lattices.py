"""Throughput of every lattice decoder, and the checks that are too long for the tests.

    python scripts/bench_lattices.py              # throughput, against two baselines
    python scripts/bench_lattices.py --check      # decoders against the sphere decoder
    python scripts/bench_lattices.py --moments    # second moments against the best known

The baselines are measured in the same run: enumeration of cosets, the textbook method in torch
(2 cosets for E8, 32 for BW16, 2 x 4,096 for Leech), and `torch.round` of as many samples. All
numbers are the best of several repetitions; samples are coordinates.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from bench_codec import measure
from rich.console import Console
from rich.table import Table
from torch import Tensor

from ltc.lattices import (
    A2,
    AE9,
    BW16,
    D6D6,
    E6,
    E6E6,
    E7,
    E8,
    K12,
    A11Coxeter,
    An,
    AnDual,
    Convolutional,
    D10Plus,
    Dn,
    DnDual,
    E6Dual,
    E7Dual,
    GeneratorLattice,
    Glued13,
    Glued14,
    LaminatedDual,
    Lattice,
    Leech,
    Trellis,
    Zn,
    force_backend,
)
from ltc.lattices.backend import in_parallel
from ltc.lattices.families.leech import golay_code
from ltc.lattices.sphere import closest_point, lll, triangular


def lattices() -> list[Lattice]:
    families = [
        Zn(),
        A2(),
        An(8),
        AnDual(8),
        AnDual(17),
        Dn(4),
        DnDual(4),
        DnDual(5),
        E6(),
        E6Dual(),
    ]
    large = [E7(), E7Dual(), E8(), AE9(), D10Plus(), A11Coxeter(), K12(), D6D6(), E6E6()]
    large += [Glued13(), Glued14(), BW16(), Leech()]
    large += [LaminatedDual(n) for n in (15, 17, 18, 19, 20, 21, 22, 23)]
    return [*families, *large, GeneratorLattice(E8().generator_matrix)]


def best_time(call: Callable[..., object], repeat: int, *args: object) -> float:
    call(*args)  # compiles, and warms the caches
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        call(*args)
        times.append(time.perf_counter() - start)
    return min(times)


def best_torch_time(call: Callable[..., object], repeat: int, *args: object) -> float:
    """The better of one thread and all: on a busy machine torch's threads wait for each other."""
    threads = torch.get_num_threads()
    together = best_time(call, repeat, *args)
    torch.set_num_threads(1)
    alone = best_time(call, repeat, *args)
    torch.set_num_threads(threads)
    return min(together, alone)


def span(code: np.ndarray) -> Tensor:
    """All words of a binary code, shape (2^k, n)."""
    messages = np.arange(2 ** len(code))[:, None] >> np.arange(len(code)) & 1
    return torch.from_numpy(messages @ code % 2).float()


def with_parity(x: Tensor, odd: Tensor) -> Tensor:
    """The nearest integer vectors whose sum is even, or odd: round, turn the worst around."""
    whole = torch.round(x)
    rest = x - whole
    wrong = (whole.sum(-1) - odd) % 2 != 0
    worst = rest.abs().argmax(-1, keepdim=True)
    turn = torch.where(rest.gather(-1, worst) >= 0, 1.0, -1.0) * wrong.unsqueeze(-1)
    return whole.scatter_add(-1, worst, turn)


def coset_enumeration(lattice: Lattice) -> Callable[[Tensor], Tensor] | None:
    """The textbook decoder: the nearest point of every coset, then the nearest of those."""
    if isinstance(lattice, E8):  # D8 and D8 + 1/2
        shift, scale, odd = torch.tensor([0.0, 0.5])[:, None].expand(-1, 8), 1.0, torch.zeros(2)
        unit = 1.0
    elif isinstance(lattice, BW16):
        numbers = [[i >> bit & 1 for i in range(16)] for bit in range(4)]
        shift, scale = span(np.array([[1] * 16, *numbers])), 2.0
        odd, unit = torch.zeros(32), 2**-0.75
    elif isinstance(lattice, Leech):
        words = 2 * span(golay_code())
        shift, scale = torch.cat([words, words + 1]), 4.0
        odd, unit = torch.arange(2).repeat_interleave(4096).float(), 8**-0.5
    else:
        return None

    def decode(x: Tensor) -> Tensor:
        points = []
        for rows in (x / unit).split(max(1, 2**22 // shift.numel())):
            rows = rows.unsqueeze(1)
            found = with_parity((rows - shift) / scale, odd) * scale + shift
            best = (rows - found).square().sum(-1).argmin(-1)
            points.append(found[torch.arange(len(found)), best])
        return torch.cat(points) * unit

    return decode


def partition_and_gradient(trellis: Trellis, log_mass: Tensor) -> None:
    trellis.log_partition(log_mass).sum().backward()


def throughput(console: Console, samples: int, repeat: int) -> None:
    table = Table("lattice", "n", "branches", title=f"{torch.get_num_threads()} threads, float32")
    for column in ("decoder", "cosets", "times", "round", "times", "float64", "log Z + gradient"):
        table.add_column(column, justify="right")
    table.add_column("encode, decode", justify="right")
    table.caption = "million samples per second; log Z of one table in ms: compiled, torch"
    codes = [Convolutional(states, 1024) for states in (8, 256, 4096)]
    for lattice in [*lattices(), *codes]:
        n = lattice.dimension
        slow_one = isinstance(lattice, Leech) or n > 24
        rows = max(64, samples // n // (20 if slow_one else 1))
        x = 4 * torch.randn(rows, n, generator=torch.Generator().manual_seed(0))
        speed = x.numel() / best_time(lattice.closest_point, repeat, x)
        speed64 = x.numel() / best_time(lattice.closest_point, repeat, x.double())
        rounding = x.numel() / best_torch_time(torch.round, repeat, x)
        cells = ["", ""]
        if (textbook := coset_enumeration(lattice)) is not None:
            few = x[: max(1, rows // (1000 if n == 24 else 10))]
            if not isinstance(lattice, E8):  # whose textbook coordinates are others
                torch.testing.assert_close(textbook(few), lattice.closest_point(few))
            slow = few.numel() / best_torch_time(textbook, repeat, few)
            cells = [f"{slow / 1e6:.3g}", f"{speed / slow:.0f}"]
        partition = coding = ""
        if (trellis := lattice.trellis) is not None:
            log_mass = torch.randn(1, n, trellis.cosets, requires_grad=True)
            compiled = best_time(partition_and_gradient, 5 * repeat, trellis, log_mass)
            with force_backend("torch"):
                slow = best_torch_time(partition_and_gradient, 3, trellis, log_mass)
            partition = f"{compiled * 1e3:.2f}, {slow * 1e3:.2f}"
            encode, decode, *_ = measure(lattice, x.numel())
            coding = f"{encode / 1e6:.3g}, {decode / 1e6:.3g}"
        table.add_row(
            lattice.name,
            str(n),
            str(trellis.branches if trellis else ""),
            f"{speed / 1e6:.3g}",
            *cells,
            f"{rounding / 1e6:.3g}",
            f"{speed / rounding:.2g}",
            f"{speed64 / 1e6:.3g}",
            partition,
            coding,
        )
    console.print(table)


def adversarial(lattice: Lattice, count: int, generator: torch.Generator) -> Tensor:
    """Points of the dual, midpoints, thirds, deep holes and points far away."""
    n, basis = lattice.dimension, torch.from_numpy(lattice.generator_matrix)
    integers = torch.randint(-9, 10, (count, n), generator=generator).double()
    holes = torch.randn(count, n, generator=generator, dtype=torch.float64)
    for step in 0.3 * 0.95 ** torch.arange(100):
        rest = holes - lattice.closest_point(holes)
        holes = holes + step * rest / rest.norm(dim=1, keepdim=True).clamp_min(1e-9)
    far = torch.randint(-(2**20), 2**20, (count, n), generator=generator).double()
    kinds = [integers @ basis / 2, integers @ basis / 3, integers @ basis.inverse().T]
    return torch.cat([*kinds, holes, far, far @ basis + holes])


def check(console: Console, count: int) -> None:
    """Compare distances with those of the sphere decoder, in both precisions."""
    for lattice in lattices():
        generator = torch.Generator().manual_seed(0)
        x = 4 * torch.randn(count, lattice.dimension, generator=generator, dtype=torch.float64)
        x = torch.cat([x, adversarial(lattice, max(1, count // 100), generator)])
        basis = lll(lattice.generator_matrix)
        arrays = (basis, np.linalg.inv(basis), *triangular(basis), True)
        worst = []
        for given in (x, x.float()):
            exact = given.double()
            nearest = torch.empty_like(exact)
            in_parallel(closest_point, len(x), 100, exact.numpy(), nearest.numpy(), *arrays)
            # Of the points themselves: float32 cannot write down those that are far away.
            points = lattice.closest_point(given).double()
            near = exact.abs().amax(1) < 1000
            distance = (exact - points).norm(dim=1) - (exact - nearest).norm(dim=1)
            worst.append(distance[near].max().item())
            if given.dtype == torch.float64:
                assert distance.max() < 1e-8, f"{lattice.name}: {distance.max()}"
            relative = ((points - nearest).abs().amax(1) / exact.abs().amax(1))[~near]
            assert (relative < 1e-5).all(), f"{lattice.name}: {relative.max()}"
        assert worst[1] < 1e-5, f"{lattice.name}: {worst}"
        console.print(
            f"{lattice.name:9} {len(x):7,} vectors: farther than the nearest by at most "
            f"{worst[0]:.1e} (float64), {worst[1]:.1e} (float32)"
        )


def moments(console: Console, count: int) -> None:
    """Compare Monte Carlo second moments with the best known."""
    table = Table("lattice", "n", "G", "standard error", "best known", "standard errors away")
    for lattice in lattices():
        generator = torch.Generator().manual_seed(0)
        square = lattice.sample_voronoi(count, generator).double().square().mean(1)
        mean, error = square.mean().item(), square.std().item() / count**0.5
        known = lattice.second_moment_measured or lattice.second_moment
        away = "" if known is None else f"{(mean - known) / error:+.2f}"
        table.add_row(
            lattice.name,
            str(lattice.dimension),
            f"{mean:.7f}",
            f"{error:.7f}",
            "" if known is None else f"{known:.9f}",
            away,
        )
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--samples", type=int, default=2_000_000, help="coordinates to decode")
    parser.add_argument("--repeat", type=int, default=7, help="repetitions of each measurement")
    parser.add_argument("--check", action="store_true", help="check the decoders instead")
    parser.add_argument("--moments", action="store_true", help="estimate second moments instead")
    parser.add_argument("--count", type=int, help="vectors to check (100,000), or to draw (10^6)")
    arguments = parser.parse_args()
    console = Console()
    if not console.is_terminal:  # a file has no width
        console.width = 140
    if arguments.check:
        check(console, arguments.count or 100_000)
    elif arguments.moments:
        moments(console, arguments.count or 1_000_000)
    else:
        throughput(console, arguments.samples, arguments.repeat)


if __name__ == "__main__":
    main()
