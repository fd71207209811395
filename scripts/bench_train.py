"""Time a training step, Lightning's overhead included.

    python scripts/bench_train.py --quantizer e8 --batch 200

The baseline, measured in the same run, is the least that any coder could do: the same linear
transforms and optimiser without quantizer and entropy model, in a bare loop.
"""

import argparse
import time

import torch
from sweep import experiment


def seconds_per_step(overrides: list[str], steps: int) -> float:
    """Train for `steps` steps and return the wall time of each."""
    _, metrics = experiment(
        "bound=none", f"steps={steps}", "evaluate.samples=10000", "logger=csv", *overrides
    )
    return metrics["seconds_train"] / steps


def bare_step(dimension: int, batch: int, steps: int) -> float:
    """Return the time of a step of a linear autoencoder in a bare loop."""
    model = torch.nn.Sequential(*(torch.nn.Linear(dimension, dimension) for _ in range(2)))
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    x = torch.randn(batch, dimension)
    start = time.perf_counter()
    for _ in range(steps):
        optimizer.zero_grad()
        (model(x) - x).square().mean().backward()
        optimizer.step()
    return (time.perf_counter() - start) / steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quantizer", nargs="+", default=["scalar", "a2", "d4_dual", "e8"])
    parser.add_argument("--batch", type=int, default=200)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("overrides", nargs="*", help="further overrides of ltc-train")
    options = parser.parse_args()
    bare = bare_step(8, options.batch, options.steps)
    print(f"{'quantizer':12} {'ms per step':>12} {'x bare loop':>12}")
    print(f"{'(bare loop)':12} {1e3 * bare:12.3f} {1:12.1f}")
    for quantizer in options.quantizer:
        overrides = [f"quantizer={quantizer}", f"batch={options.batch}", *options.overrides]
        seconds_per_step(overrides, 20)  # compile and warm up
        seconds = seconds_per_step(overrides, options.steps)
        print(f"{quantizer:12} {1e3 * seconds:12.3f} {seconds / bare:12.1f}", flush=True)


if __name__ == "__main__":
    main()
