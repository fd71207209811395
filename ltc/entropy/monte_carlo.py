"""The published entropy model: a density, integrated over Voronoi cells by Monte Carlo."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ltc.checks import choice, integer
from ltc.entropy.base import EntropyModel
from ltc.entropy.mixture import GaussianMixture, by_table
from ltc.errors import InputError
from ltc.lattices import Lattice

__all__ = ["MonteCarlo"]

# Names of zuko's classes. zuko and scipy.stats are imported where they are used: they take as long
# to load as all else that a command needs to compress a file, which has no use for them.
FLOWS = {"realnvp": "RealNVP", "maf": "MAF", "nsf": "NSF"}
SAMPLINGS = ("plain", "antithetic", "sobol", "scrambled_sobol")
# Evaluations of the density in flight: memory is bounded where no gradient is kept, and what a
# mixture needs stays in the processor's cache (twice as fast as four times as many).
CHUNK = 1 << 16


class Factorised(nn.Module):
    """A product over coordinates of normalised Gaussian mixtures.

    Arguments:
        tables: number of mixtures.
        components: Gaussians in each.
    """

    def __init__(self, tables: int, components: int) -> None:
        super().__init__()
        self.mixture = GaussianMixture(tables, components)

    def initialise(self, vectors: Tensor, table: Tensor) -> None:
        """Fit the mixtures to vectors, lattice units, shape (..., rows, n)."""
        self.mixture.fit(by_table(vectors, table, len(self.mixture.mean)))

    def forward(self, x: Tensor, table: Tensor) -> Tensor:
        """Return log densities in nats of vectors, shape (..., rows, n), as (..., rows)."""
        # The mixture leaves out the constant of the Gaussian, which cancels in `Exact`.
        constant = 0.5 * math.log(2 * math.pi)
        return (self.mixture.log_density(x, table) - constant).sum(-1)


class Flow(nn.Module):
    """A normalizing flow of n coordinates for each row, after a learned affine map; no tables.

    Arguments:
        rows: number of flows.
        dimension: coordinates, n.
        kind: one of `FLOWS`.
        transforms: layers of each flow.
        hidden: widths of the layers' networks.
    """

    def __init__(
        self, rows: int, dimension: int, kind: str, transforms: int, hidden: Sequence[int]
    ) -> None:
        super().__init__()
        import zuko

        flow_class = getattr(zuko.flows, FLOWS[kind])
        self.mean = nn.Parameter(torch.zeros(rows, dimension))
        self.log_width = nn.Parameter(torch.zeros(rows, dimension))
        self.flows = nn.ModuleList(
            flow_class(dimension, transforms=transforms, hidden_features=tuple(hidden))
            for _ in range(rows)
        )
        # From the identity, that is a Gaussian (Kingma and Dhariwal, Glow, 2018, section 3.3).
        for flow in self.flows:
            for layer in flow.get_submodule("transform.transforms").children():
                linear = [part for part in layer.modules() if isinstance(part, nn.Linear)]
                # A layer of one coordinate has no network, only numbers.
                for parameter in (linear[-1] if linear else layer).parameters():
                    nn.init.zeros_(parameter)

    def initialise(self, vectors: Tensor, table: Tensor) -> None:
        """Standardise vectors, lattice units, shape (..., rows, n)."""
        vectors = vectors.flatten(0, -3)
        self.mean.copy_(vectors.mean(0))
        self.log_width.copy_(vectors.std(0).clamp_min(1e-3).log())

    def forward(self, x: Tensor, table: Tensor) -> Tensor:
        """Return log densities in nats of vectors, shape (..., rows, n), as (..., rows)."""
        x = (x - self.mean) * (-self.log_width).exp()
        rows = [flow().log_prob(y) for flow, y in zip(self.flows, x.unbind(-2), strict=True)]
        return torch.stack(rows, -1) - self.log_width.sum(-1)


class MonteCarlo(EntropyModel):
    """`p(point) = E[density(point + u)]`, u uniform over the Voronoi cell, by sampling.

    The density is that of the unquantized vectors, so that p is the probability of the point's
    cell (Lei, Hassani and Saeedi Bidokhti, *Approaching rate-distortion limits in neural
    compression with lattice transform coding*, ICLR 2025, section 3). All points share the
    samples: in training they are drawn anew for each call, from torch's global generator; in
    evaluation they are fixed, so that a rate is repeatable.

    Arguments:
        lattice: any lattice.
        channel: the channel of each coordinate of the lattice vectors, shape (rows, n) or
            (rows, 1); each has a table of its own.
        density: `factorised`, a mixture of Gaussians for each channel, or a normalizing flow for
            each row: `realnvp` (coupling: Dinh et al., ICLR 2017), `maf` (autoregressive:
            Papamakarios et al., NeurIPS 2017), `nsf` (autoregressive splines: Durkan et al.,
            NeurIPS 2019).
        samples: number of samples, N.
        sampling: `plain`; `antithetic`, u and -u; `sobol`, a low-discrepancy sequence, the same
            on every call; `scrambled_sobol`, the same randomised (Owen, 1998).
        components: Gaussians in each mixture.
        transforms: layers of a flow.
        hidden: widths of the networks of a flow's layers.

    Raises:
        InputError: the density or the sampling is unknown, a number is not positive, or the
            sampling does not go with the number of samples: an even one for pairs, a power of
            two for Sobol's sequence.

    Example: of the standard Gaussian, the integer 0 has the probability of [-1/2, 1/2].
        >>> from ltc.lattices import Zn
        >>> channel = torch.tensor([[0]])
        >>> model = MonteCarlo(Zn(), channel, components=1).eval()
        >>> round(torch.exp2(-model.bits(torch.zeros(1, 1), channel)).item(), 2)
        0.38
    """

    def __init__(
        self,
        lattice: Lattice,
        channel: Tensor,
        density: str = "factorised",
        samples: int = 2048,
        sampling: str = "scrambled_sobol",
        components: int = 5,
        transforms: int = 3,
        hidden: Sequence[int] = (64, 64),
    ) -> None:
        super().__init__()
        choice("entropy.density", density, ["factorised", *FLOWS])
        choice("entropy.sampling", sampling, SAMPLINGS)
        numbers = {"samples": samples, "components": components, "transforms": transforms}
        numbers.update({f"hidden[{i}]": width for i, width in enumerate(hidden)})
        for key, value in numbers.items():
            integer(f"entropy.{key}", value)
        if sampling == "antithetic" and samples % 2:
            raise InputError(f"entropy.samples={samples}; antithetic samples come in pairs")
        if "sobol" in sampling and samples & (samples - 1):
            raise InputError(
                f"entropy.samples={samples}; Sobol's sequence is balanced at powers of two only"
            )
        self.lattice = lattice
        self.samples = samples
        self.sampling = sampling
        self.density: Factorised | Flow
        if density == "factorised":
            self.density = Factorised(int(channel.max()) + 1, components)
        else:
            self.density = Flow(len(channel), lattice.dimension, density, transforms, hidden)
        self.fixed: Tensor
        self.register_buffer("fixed", self._draw(0).float(), persistent=False)

    @torch.no_grad()
    def initialise(self, vectors: Tensor, table: Tensor) -> None:
        """Start from unquantized vectors, lattice units, shape (..., rows, n).

        Mixtures are fitted to them; flows start at the Gaussian of their means and deviations.
        """
        self.density.initialise(vectors, table)

    def bits(self, points: Tensor, table: Tensor, dither: Tensor | None = None) -> Tensor:
        """Return `-log2 p` of points, shape (..., rows, n), as shape (..., rows).

        The cell of a point of a shifted lattice is the cell around that point, so that the
        dither makes no difference.
        """
        log_mean, _ = self._integrate(points, table)
        return -log_mean / math.log(2)

    @torch.no_grad()
    def bias(self, points: Tensor, table: Tensor) -> Tensor:
        """Return by how much the logarithm of a mean makes `bits` too large on average.

        By the delta method, `Var[density] / (2 N p^2 ln 2)`, from the same samples; antithetic
        pairs count as one sample each. Sobol's points are no independent samples: for them it is
        the bias that plain ones would have, more than their own where the density is smooth.
        """
        _, relative_variance = self._integrate(points, table)
        return relative_variance / (2 * math.log(2))

    def _integrate(self, points: Tensor, table: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logarithm of the mean in nats, and its variance over its square."""
        offsets = self.fixed
        if self.training:
            offsets = self._draw(int(torch.randint(2**62, ()).item()))
        offsets = offsets.to(points)
        flat = points.reshape(-1, *points.shape[-2:])
        of = table.reshape(-1, *table.shape[-2:])  # one for all points, or one for each
        which: Tensor | slice = slice(None)
        # In few dimensions the same points come again and again.
        if len(of) == 1 and not torch.is_grad_enabled():
            flat, which = torch.unique(flat, dim=0, return_inverse=True)
        means, variances = [], []
        size = max(1, CHUNK // (len(offsets) * points.shape[-2]))
        for start in range(0, len(flat), size):
            here = of[0] if len(of) == 1 else of[start : start + size]
            # Shape (samples, points, rows).
            log_density = self.density(flat[start : start + size] + offsets[:, None, None], here)
            log_mean = torch.logsumexp(log_density, 0) - math.log(len(offsets))
            means.append(log_mean)
            with torch.no_grad():
                ratio = (log_density - log_mean).exp()
                if self.sampling == "antithetic":
                    ratio = ratio.unflatten(0, (2, -1)).mean(0)
                # A single sample has no variance to show.
                variances.append(ratio.var(0) / len(ratio) if len(ratio) > 1 else 0 * log_mean)
        shape = points.shape[:-1]
        return torch.cat(means)[which].reshape(shape), torch.cat(variances)[which].reshape(shape)

    def _draw(self, seed: int) -> Tensor:
        """Return samples of the Voronoi cell, shape (samples, n), float64, on the CPU."""
        if "sobol" not in self.sampling:
            rng = torch.Generator().manual_seed(seed)
            if self.sampling == "plain":
                return self.lattice.sample_voronoi(self.samples, rng, torch.float64)
            half = self.lattice.sample_voronoi(self.samples // 2, rng, torch.float64)
            return torch.cat([half, -half])
        from scipy.stats import qmc

        scramble = self.sampling == "scrambled_sobol"
        sequence = qmc.Sobol(self.lattice.dimension, scramble=scramble, seed=seed)
        x = torch.from_numpy(sequence.random(self.samples) @ self.lattice.generator_matrix)
        return x - self.lattice.closest_point(x)
