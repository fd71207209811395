r"""The pictures of the documentation's page of ideas, from the library's own functions.

    python scripts/figure_ideas.py
    ltc-train -m source=iid_laplacian quantizer=scalar,trellis_8 quantizer.rdo=false,true \
        lmbda=1,1.05,1.2,1.5,3,10 evaluate.samples=1e6 evaluate.bitstream=false \
        hydra.sweep.dir=outputs/laplacian
    python scripts/figure_ideas.py --low-rates outputs/laplacian

Draws to `docs/figures` and prints the numbers that the page names. On one machine the same numbers
make the same files, byte for byte.
"""

import argparse
import math
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import scipy.stats
import torch
from figure_gaussian import read
from hydra.utils import instantiate
from matplotlib.figure import Figure
from omegaconf import OmegaConf

from ltc.baselines.scalar import ecsq
from ltc.bounds import GridProblem, bound_for
from ltc.bounds.blahut import blahut_arimoto
from ltc.bounds.kernel import Kernel
from ltc.bounds.quadrature import scalar_density
from ltc.cli.choices import lattices
from ltc.entropy import Exact, MonteCarlo
from ltc.files import atomic_write
from ltc.lattices import (
    A2,
    E8,
    Convolutional,
    Section,
    Zn,
)
from ltc.lattices.card import second_moment, sphere_bound
from ltc.sources import IIDLaplacian

matplotlib.rcParams["svg.hashsalt"] = "ltc"  # names in the files that are the same each time
plt.rcParams.update({"font.size": 9, "axes.grid": True, "grid.alpha": 0.3, "savefig.dpi": 150})
STATES = (4, 8, 16, 64, 256, 1024, 4096)
LN2 = math.log(2)


def above_shannon(moment: float) -> float:
    """Return the bits per sample above R(D) at high rate of a second moment."""
    return 0.5 * math.log2(2 * math.pi * math.e * moment)


def cells() -> Figure:
    """Draw a square, a hexagon and a disc of unit area, coloured by the squared error in them."""
    figure, rows = plt.subplots(1, 3, figsize=(8.4, 3.3), layout="constrained")
    axis = torch.linspace(-0.72, 0.72, 300, dtype=torch.float64)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1)
    moments = {"square": Zn(2).second_moment, "hexagon": A2().second_moment}
    moments["disc"] = sphere_bound(2)
    within = {
        "square": (Zn(2).closest_point(grid) == 0).all(-1),
        "hexagon": (A2().closest_point(grid) == 0).all(-1),
        "disc": grid.square().sum(-1) <= 1 / math.pi,
    }
    for axes, (name, inside) in zip(rows, within.items(), strict=True):
        error = torch.where(inside, grid.square().sum(-1), math.nan)
        axes.imshow(
            error, extent=(-0.72, 0.72) * 2, vmax=0.5, cmap="viridis_r", interpolation="none"
        )
        moment = moments[name]
        print(f"{name}: second moment {moment:.5f}, {above_shannon(moment):.4f} bits")
        axes.set_title(f"{name}\nmean squared error per coordinate {moment:.4f}", fontsize=9)
        axes.set(aspect="equal", xticks=[], yticks=[], xlim=(-0.75, 0.75), ylim=(-0.75, 0.75))
    return figure


def space_filling() -> Figure:
    """Draw what cells cost at high rate, over their dimension."""
    figure, axes = plt.subplots(figsize=(7.4, 4.2), layout="constrained")
    best: dict[int, tuple[float, str]] = {}
    for name, settings in lattices().items():
        if not OmegaConf.is_missing(settings, "matrix"):  # of `generator`
            lattice = instantiate(settings.lattice, _convert_="all")
            if lattice.high_rate_gap is not None:  # of a trellis code it is measured, below
                found = lattice.high_rate_gap, name
                best[lattice.dimension] = min(found, best.get(lattice.dimension, found))
    for dimension, (gap, name) in sorted(best.items()):
        print(f"{name}, dimension {dimension}: {gap:.4f} bits")
        axes.plot(dimension, gap, "o", color="C0", markersize=4)
        axes.annotate(
            name, (dimension, gap), (1, 4), textcoords="offset points", fontsize=6.5, rotation=60
        )
    dimensions = np.arange(1, 33)
    axes.plot(
        dimensions,
        [above_shannon(sphere_bound(int(n))) for n in dimensions],
        color="grey",
        label="no cell of this dimension is below",
    )
    for states in STATES:
        lattice = Convolutional(states).of_length(1 << 18)
        moment, error = second_moment(lattice, 8, torch.Generator().manual_seed(0))
        gap = above_shannon(moment)
        print(f"{lattice.name}: second moment {moment:.5f} ± {error:.5f}, {gap:.4f} bits")
        axes.axhline(gap, color="C1", linewidth=1)
        place = 29 if states == STATES[-1] else 33, gap
        axes.annotate(
            f"{states:,} states", place, (0, 2), textcoords="offset points", fontsize=7,
            color="C1", ha="right",
        )  # fmt: skip
    axes.plot([], [], color="C1", label="trellis codes of unbounded length")
    axes.axhline(0, color="black", linewidth=1)
    axes.annotate("Shannon's limit", (1, 0), (0, 3), textcoords="offset points", fontsize=8)
    axes.set(xlabel="dimension", ylabel="rate above R(D) at high rate (bits per sample)")
    axes.set(xlim=(0, 33.5), ylim=(-0.01, 0.27))
    axes.legend()
    return figure


def draw_sections(axes, sections: list[Section], before: int, path: list[int]) -> None:
    """Draw the branches of sections, coloured by their cosets, and the states of a path."""
    counts = [before, *(len(section.previous) for section in sections)]
    most = max(counts)

    def height(t: int, state: int) -> float:
        return -(state + 0.5) / counts[t] if counts[t] < most else -(state + 0.5) / most

    for t, section in enumerate(sections):
        for after, (previous, coset) in enumerate(
            zip(section.previous, section.coset, strict=True)
        ):
            for state, which in zip(previous, coset, strict=True):
                ends = [height(t, state), height(t + 1, after)]
                taken = path and (path[t], path[t + 1]) == (state, after)
                axes.plot(
                    [t, t + 1], ends, color=f"C{which}", linewidth=2.6 if taken else 0.8, zorder=1
                )
    for t, count in enumerate(counts):
        axes.plot([t] * count, [height(t, s) for s in range(count)], "o", color="black", ms=3)
    axes.grid(False)
    axes.set(yticks=[], xticks=np.arange(len(sections)) + 0.5)
    axes.set_xticklabels([f"$x_{{{t + 1}}}$" for t in range(len(sections))])
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)


def trellis() -> Figure:
    """Draw the trellis of E8 with the path of a point, and sections of a trellis code."""
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(9, 3.6), layout="constrained", width_ratios=(1.4, 1)
    )
    lattice = E8()
    x = torch.randn(1, 8, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    point = lattice.closest_point(x)
    path = [0, *lattice.trellis.states_after(point)[0].tolist()]
    sections = list(lattice.trellis.sections)
    draw_sections(left, sections, 1, path)
    offset, step = sections[0].offset, sections[0].step
    for which, value in enumerate(offset):
        left.plot([], [], color=f"C{which}", label=f"{value:.2g} + {step:.3g} ℤ")
    left.plot([], [], color="grey", linewidth=2.6, label="the path of one point")
    left.set_title(f"E8: {lattice.trellis.branches} branches")
    left.legend(fontsize=7, loc="lower center", ncols=3, bbox_to_anchor=(0.5, -0.28))
    code = Convolutional(8, 16)
    section = code.section
    draw_sections(right, [section] * 4, len(section.previous), [])
    for which, value in enumerate(section.offset):
        right.plot([], [], color=f"C{which}", label=f"{value:.2g} + {section.step:.3g} ℤ")
    right.set_title("a trellis code of 8 states, without end")
    right.legend(fontsize=7, loc="lower center", ncols=4, bbox_to_anchor=(0.5, -0.28))
    print(f"E8: {lattice.trellis.branches} branches, states {lattice.trellis.states}")
    return figure


def exact_rate() -> Figure:
    """Draw probabilities of the points of A2, and by how much sampling mistakes a rate."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
    channel = torch.zeros(1, 2, dtype=torch.long)
    vectors = 1.3 * torch.randn(20_000, 1, 2, generator=torch.Generator().manual_seed(0))
    lattice = A2()
    points = lattice.closest_point(vectors)
    model = Exact(lattice, channel)
    model.initialise(vectors, channel)
    model.fit(points, channel)
    with torch.no_grad():
        # All points with coordinates below 8: what is beyond has no probability to speak of.
        corner = torch.arange(-12.0, 13.0)
        integers = torch.stack(torch.meshgrid(corner, corner, indexing="ij"), -1).reshape(-1, 1, 2)
        basis = torch.from_numpy(lattice.generator_matrix).float()
        every = lattice.closest_point(integers @ basis)
        probability = torch.exp2(-model.bits(every, channel)).flatten()
        print(f"A2: {len(every)} probabilities sum to {float(probability.double().sum()):.7f}")
        seen = probability > 1e-4
        left.scatter(*every[seen].squeeze(1).T, s=2600 * probability[seen], color="C0")
        line = torch.linspace(-4.2, 4.2, 200)
        kinds = torch.zeros(200, dtype=torch.long)
        for axis, place in ((0, "below"), (1, "beside")):
            f = model.log_density_of_kinds(line, kinds).exp()
            f = f / f.max()
            coordinates = (line, -4.4 + f) if place == "below" else (-4.4 + f, line)
            left.plot(*coordinates, color="C1", label="f, one for each coordinate" * (1 - axis))
    left.set(aspect="equal", xlim=(-4.5, 4.3), ylim=(-4.5, 4.3), xlabel="x1", ylabel="x2")
    left.legend(fontsize=8, loc="upper right")
    left.set_title("p = f(x1) f(x2) / Z: the area of a dot is its probability", fontsize=9)

    e8, channel = E8(), torch.zeros(1, 8, dtype=torch.long)
    vectors = 0.5 * torch.randn(4000, 1, 8, generator=torch.Generator().manual_seed(1))
    points = e8.closest_point(vectors)
    counts = [16, 32, 64, 128, 256, 512, 1024, 2048]

    def rate(samples: int) -> float:
        torch.manual_seed(0)
        sampled = MonteCarlo(e8, channel, samples=samples, sampling="plain", components=1)
        sampled.initialise(vectors, channel)
        with torch.no_grad():
            return float(sampled.bits(points, channel).mean()) / 8

    truth = rate(1 << 16)
    found = [rate(count) - truth for count in counts]
    exact = Exact(e8, channel)
    exact.initialise(vectors, channel)
    exact.fit(points, channel)
    with torch.no_grad():
        difference = float(exact.bits(points, channel).mean()) / 8 - truth
    for count, excess in zip(counts, found, strict=True):
        print(f"E8: {count} samples of the cell, rate too high by {excess:.4f} bits per sample")
    print(f"E8: exact model, {difference:+.4f} bits from 65,536 samples of the cell")
    right.plot(counts, found, "o-", color="C3", label="Monte Carlo over the cell")
    right.axhline(difference, color="C0", label="ltc's model, whose rate is exact")
    right.set(
        xscale="log", xlabel="samples of the cell, N", ylabel="rate too high by (bits per sample)"
    )
    right.set_xticks(counts, [str(count) for count in counts], minor=False)
    right.minorticks_off()
    right.set_title("E8, 4,000 points", fontsize=9)
    right.legend(fontsize=8)
    return figure


def certified() -> Figure:
    """Draw the two ends of Blahut-Arimoto over its iterations, and what slopes prove of R(D)."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
    x = np.linspace(-6, 6, 401)
    p = scipy.stats.laplace(scale=0.5**0.5).pdf(x)
    p /= p.sum()
    slope = 4.0
    kernel = Kernel(slope * (x[:, None] - x) ** 2)
    uniform = np.full(len(x), 1 / len(x))
    limits = 3 * np.arange(1, 61)
    ends = [blahut_arimoto(p, kernel, uniform, 1e-9, limit=int(limit)) for limit in limits]
    lower, upper = ([getattr(end, key) / LN2 for end in ends] for key in ("lower", "upper"))
    print(f"Blahut-Arimoto: {limits[-1]} steps, ends {upper[-1] - lower[-1]:.2g} bits apart")
    left.fill_between(limits, lower, upper, color="C0", alpha=0.15)
    left.plot(limits, upper, color="C0", label="upper end: what an output distribution reaches")
    left.plot(limits, lower, color="C3", label="lower end: no code is below")
    left.set(xlabel="steps", ylabel="R + s D (bits)", xscale="log")
    left.set(ylim=(lower[0] - 0.01, upper[0] + 0.05))
    left.set_title("a Laplacian source at one slope s", fontsize=9)
    left.legend(fontsize=8)
    problem = GridProblem(scalar_density(scipy.stats.laplace(scale=0.5**0.5)))
    distortion = np.linspace(0.005, 1, 200)
    envelope = np.zeros(len(distortion))
    reached = []
    for slope in (0.6, 1.0, 2.0, 5.0, 15.0):
        solution = problem.solve(slope, 0.02)
        line = (solution.lower - slope * distortion) / LN2
        envelope = np.maximum(envelope, line)
        right.plot(distortion, line, color="C3", linewidth=0.8)
        reached.append((solution.middle[0], solution.middle[1] / LN2))
    right.plot([], [], color="C3", linewidth=0.8, label="each slope: R(D) is above this line")
    right.plot(*np.array(reached).T, "o", color="C0", ms=4, label="pairs that codes reach")
    right.fill_between(distortion, 0, envelope, color="C3", alpha=0.1)
    right.set(xlabel="distortion", ylabel="rate (bits per sample)", ylim=(0, 3), xlim=(0, 0.8))
    right.set_title("the lines together bound R(D) from below", fontsize=9)
    right.legend(fontsize=8)
    return figure


def low_rates(folder: Path) -> Figure:
    """Draw the gap of a sweep of the Laplacian source, and how wide the best cell at zero is."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
    for i, (name, runs) in enumerate(sorted(read(folder, "rate").items())):
        chosen = "rate + lmbda * distortion" if "rdo=True" in name else "nearest point"
        points = np.array([(m["rate"], m["gap_bits"]) for m in runs])
        style = {"color": f"C{i // 2}", "linestyle": "-" if "rdo=True" in name else "--"}
        left.plot(*points.T, "o", ms=3, label=f"{runs[0]['quantizer']}, {chosen}", **style)
        for m in runs:
            print(f"{name}: rate {m['rate']:.4f}, gap {m['gap_bits']:.4f}")
    source = IIDLaplacian(1)
    shannon = bound_for(source, tolerance=1e-3)
    ratio, rates, gaps = [], [], []
    for lmbda in np.geomspace(0.8, 30, 14):
        best = ecsq(source.density, float(lmbda))
        rates.append(best.rate)
        gaps.append(best.rate - shannon.bracket(best.distortion).lower)
        first, second = best.thresholds[best.thresholds > 0][:2]
        ratio.append((best.rate, 2 * first / (second - first)))
    left.plot(rates, gaps, color="black", linewidth=0.8, label="best scalar quantizer, ECSQ")
    left.set(xlabel="rate (bits per sample)", ylabel="rate above R(D) (bits)", ylim=(0, None))
    left.set(xlim=(0, 2.2))
    left.legend(fontsize=7)
    left.set_title("Laplacian source", fontsize=9)
    right.plot(*np.array(ratio).T, color="black")
    right.axhline(1, color="grey", linewidth=0.8)
    right.set(xlabel="rate (bits per sample)", ylabel="width of the cell at zero over the next")
    right.set(xlim=(0, None))
    right.set_title("cells of the best scalar quantizer", fontsize=9)
    for rate, wide in ratio:
        print(f"ECSQ at {rate:.3f} bits: the cell at zero is {wide:.3f} times as wide as the next")
    return figure


DRAWN = (cells, space_filling, trellis, exact_rate, certified)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/figures"), help="a folder")
    parser.add_argument("--low-rates", type=Path, metavar="DIR", help="the sweep above: draw it")
    parser.add_argument("--only", choices=[draw.__name__ for draw in DRAWN], help="draw one")
    options = parser.parse_args()
    figures = {d.__name__: d for d in DRAWN if options.only in (None, d.__name__)}
    if options.low_rates:
        figures = {"low_rates": lambda: low_rates(options.low_rates)}
    for name, draw in figures.items():
        with atomic_write(options.out / f"{name}.svg") as path:
            draw().savefig(path, metadata={"Date": None})
        print(options.out / f"{name}.svg")


if __name__ == "__main__":
    main()
