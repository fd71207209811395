"""Compare the exact entropy model with the true probabilities of the Voronoi cells.

    python scripts/check_cell_probabilities.py --quantizer e8 --lmbda 8

For the Gaussian source and a linear analysis the latent is Gaussian, and the probability of a
cell is an integral that Monte Carlo can estimate without bias. Prints the rate of the model, the
entropy of the true probabilities, and their difference: what the product form of the model costs.
"""

import argparse
import math

import torch
from sweep import train_once


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quantizer", default="e8")
    parser.add_argument("--lmbda", type=float, nargs="+", default=[1.0, 1.5, 8.0])
    parser.add_argument("--points", type=int, default=20_000, help="lattice points to average over")
    parser.add_argument("--samples", type=int, default=8192, help="samples per Voronoi cell")
    options = parser.parse_args()
    for lmbda in options.lmbda:
        run = train_once(
            "source=iid_gaussian", f"quantizer={options.quantizer}", f"lmbda={lmbda:g}"
        )
        model, n = run.coder.eval(), run.source.dimension
        generator = torch.Generator().manual_seed(1)
        x = torch.randn(options.points, 1, n, generator=generator)
        with torch.no_grad():
            points = model.encode(x).flatten(0, 1)
            bits = model.entropy.bits(points, model.layout.channel).flatten()
            matrix = model.transform.analysis(torch.eye(n)).T / (
                model.quantizer.scale * model.row_scale[0]
            )
            latent = torch.distributions.MultivariateNormal(
                torch.zeros(n), covariance_matrix=matrix @ matrix.T
            )
            cell = model.quantizer.lattice.sample_voronoi(options.samples, generator)
            log_cell = torch.cat(
                [torch.logsumexp(latent.log_prob(part + cell), -1) for part in points.split(200)]
            ) - math.log(options.samples)
        excess = (bits + log_cell / math.log(2)) / n
        stderr = float(excess.std()) / math.sqrt(len(excess))
        entropy = float(-log_cell.mean()) / math.log(2) / n
        print(
            f"{options.quantizer} lmbda {lmbda:g}: model {float(bits.mean()) / n:.4f}, "
            f"true cells {entropy:.4f}, model costs {float(excess.mean()):.5f} ± {stderr:.5f} "
            "bits per sample"
        )


if __name__ == "__main__":
    main()
