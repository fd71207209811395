"""Time a training step, Lightning's overhead included.

    python scripts/bench_train.py --quantizer e8 --batch 200

The baseline, measured in the same run, is the least that any coder could do: the same linear
transforms and optimiser without quantizer and entropy model, in a bare loop. With --monte-carlo
the published entropy model is timed too: a flow, integrated over the cell with 2,048 samples.
"""

import argparse
import time

from sweep import train_once

import ltc
from ltc.runs.build import build

PUBLISHED = ["entropy=monte_carlo", "entropy.density=realnvp", "entropy.samples=2048"]


def seconds_per_step(overrides: list[str], steps: int) -> float:
    """Return the wall time of a training step.

    The difference of a long run and a short one, so that what is done once does not count.
    """
    quick = ("bound=none", "evaluate.samples=10000", "logger=csv")
    interval = f"trainer.val_check_interval={2 * steps}"  # one validation in both, at the end
    seconds = [
        train_once(*quick, interval, f"steps={count}", *overrides).metrics["seconds_train"]
        for count in (steps // 10, steps)
    ]
    return (seconds[1] - seconds[0]) / (steps - steps // 10)


def published_step(overrides: list[str], batch: int, steps: int) -> float:
    """Return the time of a step with the published entropy model.

    In a bare loop: Lightning's share of such a step is nothing, its validation's is not.
    """
    import torch  # after ltc, which tells OpenMP how to wait

    run = build(ltc.configuration(f"batch={batch}", *PUBLISHED, *overrides))
    coder = run.coder
    optimizer = torch.optim.Adam(coder.parameters())
    x = run.blocks(run.source.sample(batch * coder.layout.block, torch.Generator().manual_seed(0)))
    coder.initialise(x)
    for step in range(steps + 1):
        if step == 1:  # the first warms up
            start = time.perf_counter()
        points, _ = coder.quantizer(coder.vectors(x))
        rate = coder.bits(points).sum() / x.numel()
        loss = rate + coder.lmbda * (coder.decode(points) - x).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return (time.perf_counter() - start) / steps


def bare_step(dimension: int, batch: int, steps: int) -> float:
    """Return the time of a step of a linear autoencoder in a bare loop."""
    import torch  # after ltc, which tells OpenMP how to wait

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
    parser.add_argument("--monte-carlo", metavar="STEPS", type=int, nargs="?", const=5, default=0)
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
        if options.monte_carlo:
            slow = published_step(overrides, options.batch, options.monte_carlo)
            print(f"{'  published':12} {1e3 * slow:12.3f} {slow / bare:12.1f}", end="")
            print(f"  {slow / seconds:.0f} times exact", flush=True)


if __name__ == "__main__":
    main()
