"""How quick and how narrow the brackets of R(D) are.

    python scripts/bench_bounds.py

Thirty points from 0.05 to 6 bits of the Gaussian (as if its closed form were not known),
Laplacian and uniform source under squared error, and twenty from 0.2 to 5 bits per vector of the
banana source, by interior points and by Blahut-Arimoto. The last is compared with a plain,
dense Blahut-Arimoto algorithm on 150 x 150 points, a quarter of the 300 x 300 that such a
histogram needs, at two of the slopes: the ratio is that of the times to a bracket of equal width,
extrapolated where time ran out. (The matrix takes 2 GB; its bracket is one of the histogram only.)
"""

import argparse
import math
import time

import numpy as np
import torch

from ltc.bounds import BlahutArimotoProblem, DensityProblem, ParametricRateDistortion
from ltc.bounds.quadrature import scalar_density, vector_density
from ltc.sources import Banana, IIDGaussian, IIDLaplacian, IIDUniform


class Uncached(ParametricRateDistortion):
    """Brackets that neither come from the disk nor go there."""

    def _load(self) -> None:
        pass

    def _store(self) -> None:
        pass


def brackets(problem, tolerance, rates):
    """Return distortions and brackets, in bits per scalar, the seconds they took, and the bound."""
    start = time.perf_counter()
    bound = Uncached(problem, tolerance)
    distortions = 4.0**-rates
    found = np.array([bound.bracket(float(d)) for d in distortions])
    return distortions, found, time.perf_counter() - start, bound


def scalars() -> None:
    total = 0.0
    for source in (IIDGaussian(), IIDLaplacian(), IIDUniform()):
        problem = DensityProblem(scalar_density(source.density))
        distortions, found, seconds, _ = brackets(problem, 1e-3, np.linspace(0.05, 6, 30))
        total += seconds
        line = f"{source.name:14} widest bracket {np.ptp(found, axis=1).max():.6f} bits"
        if source.gaussian:
            exact = -0.5 * np.log2(distortions)
            inside = ((found[:, 0] <= exact + 1e-9) & (exact <= found[:, 1] + 1e-9)).all()
            line += f", contains the closed form: {inside}"
        print(f"{line}, {seconds:.1f} s", flush=True)
    print(f"{'all':14} {total:.1f} s", flush=True)


def dense(points: int, slope: float, width: float, limit: float) -> tuple[float, float, str]:
    """Run Blahut-Arimoto with the whole matrix of distances.

    Arguments:
        points: of the histogram along each axis; outputs are its points.
        slope: nats per squared error.
        width: of the bracket to reach, nats.
        limit: seconds to run.

    Returns:
        Seconds it takes, upper bound at the end, and how this is known.
    """
    source = Banana()
    axes = [np.linspace(low, high, points) for low, high in source.support()]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 2)
    density = np.exp(source.log_density(grid))
    # Single precision, in its favour: the matrix has points^4 entries.
    x, p = (torch.from_numpy(a).float() for a in (grid, density / density.sum()))
    start = time.perf_counter()
    kernel = torch.cdist(x, x).square_().mul_(-slope).exp_()
    q = torch.full_like(p, 1 / len(p))
    history: list[tuple[float, float]] = []
    while True:
        z = (kernel @ q).clamp_min_(1e-30)
        c = kernel.T @ (p / z)
        upper, gap = -float(p @ z.log()), math.log(float(c.max()))
        seconds = time.perf_counter() - start
        history.append((seconds, gap))
        if gap <= width:
            return seconds, upper, "measured"
        if seconds > limit:
            break
        q = q * c
    # The gap falls like one over the number of iterations, as dead outputs fade (Arimoto 1972).
    return seconds * gap / width, upper, f"extrapolated from {gap / math.log(2):.4f} bits"


def banana(points: int, limit: float) -> None:
    source = Banana()
    density = vector_density(source.log_density, source.support())
    # 0.2 to 5 bits per vector, by the distortions at which R(D) has these rates.
    rates = np.linspace(0.2, 3.43, 20)
    for problem in (BlahutArimotoProblem(density), DensityProblem(density)):
        _, found, seconds, bound = brackets(problem, 1e-3, rates)
        width = 2 * np.ptp(found, axis=1).max()
        print(
            f"banana, {problem.name}: {2 * found[0, 0]:.2f} to {2 * found[-1, 1]:.2f} bits per "
            f"vector, widest bracket {width:.5f} bits per vector, {seconds:.1f} s for 20 points, "
            f"{len(bound.solutions)} slopes",
            flush=True,
        )
    slopes = sorted(bound.solutions)
    for slope in (slopes[len(slopes) // 4], slopes[len(slopes) // 2]):
        start = time.perf_counter()
        solution = problem.solve(slope, 0.002 * math.log(2))
        quick = time.perf_counter() - start
        reached = float(solution.middle @ [slope, 1.0]) - solution.lower
        slow, _, how = dense(points, slope, reached, limit)
        print(
            f"  slope {slope:7.3f}: bracket of {reached / math.log(2):.5f} bits in {quick:.2f} s; "
            f"dense Blahut-Arimoto {slow:.0f} s ({how}); ratio {slow / quick:.0f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=150, help="of the dense grid along each axis")
    parser.add_argument("--limit", type=float, default=240, help="seconds of dense iterations")
    options = parser.parse_args()
    scalars()
    banana(options.points, options.limit)


if __name__ == "__main__":
    main()
