"""A table of the paper's experiments: rounding, its lattice with both entropy models, and ours.

    python scripts/table_paper.py
    python scripts/table_paper.py --experiments speech_stft source.root=RECORDINGS
    python scripts/table_paper.py --experiments physics source.path=PHYSICS.npy

NTC is rounding with a factorised density, LTC a lattice with a normalizing flow, both with nearest
points and straight-through gradients, as published (Lei, Hassani and Saeedi Bidokhti, ICLR 2025),
but for 64 samples of the cell from Sobol's sequence instead of 4,096: rates are at most 1/64 nats
per lattice vector too high, and a run takes minutes. All have the same transform and lmbdas; rates
are in bits per latent sample, at the distortion that NTC has at the middle lmbda. Started again, it
runs what is missing. What else is given goes to every run.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from sweep import parsed

from ltc import configuration, progress
from ltc.runs.build import build

# The paper's lattice, three lmbdas, what else its setting needs, and the kind of bound.
EXPERIMENTS = {
    "banana_block": ("e8", (4, 8, 16), [], "auto"),
    "sawbridge_block": ("e8", (0.05, 0.1, 0.2), [], "auto"),
    "laplacian_absolute": ("leech", (4, 8, 16), [], "auto"),
    "speech_stft": ("d4_dual", (2, 4, 8), ["transform.latent_dimension=4"], "samples"),
    "physics": ("d4_dual", (0.5, 1, 2), [], "samples"),
}
# The latent of the sawbridge is uniform: its ends take more Gaussian bumps than five.
EXACT = {"sawbridge_block": ["entropy.components=20"]}
PUBLISHED = [
    "entropy=monte_carlo",
    "entropy.samples=64",
    "quantizer.rdo=false",
    "quantizer.train=ste",
]
FLOW = ["entropy.density=realnvp", "batch=64", "learning_rate=1e-3"]


def methods(experiment: str, lattice: str) -> dict[str, list[str]]:
    """Return the overrides of each row of the table."""
    exact = ["entropy=exact", "quantizer.rdo=true", *EXACT.get(experiment, [])]
    return {
        "NTC, as published": ["quantizer=scalar", *PUBLISHED],
        "scalar, exact": ["quantizer=scalar", *exact],
        f"LTC, {lattice}, as published": [f"quantizer={lattice}", *PUBLISHED, *FLOW],
        f"{lattice}, exact": [f"quantizer={lattice}", *exact],
        "trellis-256, exact": ["quantizer=trellis_256", *exact],
    }


def sweep(folder: Path, *overrides: str) -> list[dict]:
    """Run what is missing of a sweep; return the metrics of its runs."""
    command = [sys.executable, "-m", "ltc.cli.train", "-m", *overrides, f"hydra.sweep.dir={folder}"]
    subprocess.run(command, check=True)
    found = [json.loads(file.read_text()) for file in folder.glob("*/metrics.json")]
    return sorted(found, key=lambda metrics: metrics["lmbda"])


def rate_at(runs: list[dict], distortion: float) -> float:
    """Return the rate at a distortion, linear in its logarithm; nan beyond the runs."""
    points = sorted((np.log(metrics["distortion"]), metrics["rate"]) for metrics in runs)
    x, y = zip(*points, strict=True)
    return float(np.interp(np.log(distortion), x, y, left=np.nan, right=np.nan))


def limit(distortion: float, *overrides: str) -> float:
    """Return the lower end of R(D) of an experiment's source, in bits per sample."""
    bound = build(configuration(*overrides)).bound
    with progress.Progress("R(D)"):
        return bound.bracket(distortion).lower


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    known = list(EXPERIMENTS)
    parser.add_argument("--experiments", nargs="+", choices=known, default=known[:-1])
    parser.add_argument("--out", type=Path, default=Path("outputs/table_paper"))
    options, overrides = parsed(parser, sys.argv[1:])
    rows = []
    for experiment in options.experiments:
        lattice, lmbdas, settings, bound = EXPERIMENTS[experiment]
        settings = [f"experiment={experiment}", *settings, *overrides]
        swept = "lmbda=" + ",".join(map(str, lmbdas))
        found = {}
        for number, (name, method) in enumerate(methods(experiment, lattice).items()):
            folder = options.out / experiment / str(number)
            found[name] = sweep(folder, *settings, *method, swept, "bound=none")
        published = next(iter(found.values()))
        reference = published[len(published) // 2]
        distortion, dimension = reference["distortion"], reference["dimension"]
        per_latent = dimension / (reference.get("transform.latent_dimension") or dimension)
        lower = per_latent * limit(distortion, *settings, f"bound={bound}")
        for name, runs in found.items():
            rate = per_latent * rate_at(runs, distortion)
            numbers = (distortion, rate, per_latent * reference["rate"] - rate, rate - lower)
            rows.append(" | ".join([experiment, name, *(f"{value:.3f}" for value in numbers)]))
    print("\n| experiment | coder | distortion | rate | saved | above R(D) |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        print(f"| {row} |")


if __name__ == "__main__":
    main()
