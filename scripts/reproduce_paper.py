"""Run the experiments of the paper, and write one report beside its published numbers.

    python scripts/reproduce_paper.py
    python scripts/reproduce_paper.py --quick
    python scripts/reproduce_paper.py --recipes speech speech_stft source.root=RECORDINGS
    python scripts/reproduce_paper.py --recipes physics source.path=PHYSICS.npy

The paper: E. Lei, H. Hassani, S. Saeedi Bidokhti, "Approaching Rate-Distortion Limits in Neural
Compression with Lattice Transform Coding", ICLR 2025. Each recipe is a sweep,
`ltc-train -m experiment=NAME`; started again, it runs what is missing or failed. `--quick` takes a
few steps and samples at two lmbdas: it shows that all of it works, and its numbers mean nothing.
What else is given goes to every sweep, `launcher=joblib` for example. `physics` takes files that
you have, so it runs only where it is named. The published entropy model, in minutes to hours a run:
`ltc-train -m experiment=NAME quantizer=e8 entropy=monte_carlo entropy.density=realnvp
quantizer.rdo=false`.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from omegaconf import OmegaConf
from sweep import parsed

from ltc.files import config_directory

RECIPES = (
    "gaussian_table",
    "ntc_is_scalar",
    "laplacian",
    "laplacian_absolute",
    "banana",
    "banana_block",
    "sawbridge_block",
    "correlated",
    "patches",
    "speech",
    "speech_stft",
    "physics",
)
QUICK = ("steps=20", "refine.samples=20000", "evaluate.samples=20000", "bound=none")


def two_lmbdas(recipe: str) -> str:
    """Return the first and the last lmbda of a recipe."""
    config = OmegaConf.load(config_directory() / "experiment" / f"{recipe}.yaml")
    lmbdas = config.hydra.sweeper.params.lmbda.split(",")
    return f"lmbda={lmbdas[0]},{lmbdas[-1]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few steps, two lmbdas")
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=RECIPES[:-1])
    parser.add_argument("--out", type=Path, default=Path("outputs/paper"))
    options, overrides = parsed(parser, sys.argv[1:])
    failed = []
    for recipe in options.recipes:
        sweep = ["-m", f"experiment={recipe}", f"hydra.sweep.dir={options.out / recipe}"]
        short = [*QUICK, two_lmbdas(recipe)] if options.quick else []
        command = [sys.executable, "-m", "ltc.cli.train", *sweep, *short, *overrides]
        if subprocess.run(command).returncode:
            failed.append(recipe)
    report = [sys.executable, "-m", "ltc.cli.report", str(options.out), "--with", "paper"]
    done = subprocess.run([*report, "--out", str(options.out / "report")]).returncode
    if failed:
        sys.exit(f"not everything ran: {', '.join(failed)}; started again, it runs what is missing")
    sys.exit(done)


if __name__ == "__main__":
    main()
