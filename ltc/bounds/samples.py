"""Sources known by samples, in up to 64 dimensions: limits with 95 % confidence, all together."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import scipy.stats
import torch
from torch import Tensor

from ltc.bounds.alphabet_problem import Cloud, mean_shift
from ltc.bounds.problem import Problem, Solution
from ltc.checks import digest, integer
from ltc.errors import InputError

__all__ = ["Mixture", "SampleProblem"]

# Slopes are chosen from so many, each RATIO times the one before: from the flattest that any
# source has to eight bits and more per scalar. Four statements are made at each slope, and all of
# them hold together with 95 % (Bonferroni): each may fail with the probability RISK.
SLOPES, RATIO = 160, 1.1
RISK = 0.05 / (4 * SLOPES)
Z = float(scipy.stats.norm.isf(RISK))


class Mixture(NamedTuple):
    """An output distribution: a mixture of Gaussians, or of points, which are called particles.

    Attributes:
        log_weights: nats, shape (k,).
        means: shape (k, d).
        bases: principal axes of each component as columns, shape (k, d, d); None for particles.
        spreads: variances along them, not negative, shape (k, d); None for particles.
    """

    log_weights: Tensor
    means: Tensor
    bases: Tensor | None
    spreads: Tensor | None

    def log_parts(self, moments: Tensor, slope: float) -> Tensor:
        """Return the logarithm of each component's part of Z(x) = E exp(-slope |x - Y|^2), (n, k).

        `moments` is what `SampleProblem` computes of each row, shape (n, f).
        """
        if self.spreads is None:
            return self.log_weights - slope * self.errors(moments, slope)
        total = self.spreads + 0.5 / slope
        scale = self.log_weights - 0.5 * (2 * slope * total).log().sum(1)
        return scale - 0.5 * moments @ self._quadratic(1 / total)

    def errors(self, moments: Tensor, slope: float) -> Tensor:
        """Return E |x - Y|^2 given x and the component, shape (n, k)."""
        if self.spreads is None:
            one, square = torch.ones_like(self.means[:, :1]), self.means.square().sum(1, True)
            return moments @ torch.cat([one, -2 * self.means, square], 1).T
        # Of a deviation of x from the mean this share is left as an error by the best output.
        share = 0.5 / (slope * (self.spreads + 0.5 / slope))
        return moments @ self._quadratic(share.square()) + (self.spreads * share).sum(1)

    def _quadratic(self, eigenvalues: Tensor) -> Tensor:
        """Return coefficients of (x - mean)^T B diag(eigenvalues) B^T (x - mean), (f, k)."""
        assert self.bases is not None
        form = (self.bases * eigenvalues[:, None, :]) @ self.bases.mT
        linear = torch.einsum("kde,ke->kd", form, self.means)
        constant = (linear * self.means).sum(1, keepdim=True)
        rows, columns = torch.triu_indices(*form.shape[1:])
        pairs = form[:, rows, columns] * torch.where(rows == columns, 1.0, 2.0).to(form)
        return torch.cat([pairs, -2 * linear, constant], 1).T


class SampleProblem(Problem):
    """min R + s D under squared error for a source of which only samples are known.

    Upper bound. For any output distribution q, F(q) = -E log E_q exp(-s |x - Y|^2) is at least
    the minimum, so q may come from anywhere as long as F is measured on rows that q has not seen.
    Particles: q is a cloud of points that move down the Wasserstein gradient of F, each to the
    mean of the source values that it serves, while their weights follow Blahut-Arimoto (Yang,
    Eckstein, Nutz, Mandt: Estimating the rate-distortion function by Wasserstein gradient
    descent, 2023). Points alone cannot describe more than log2(k) bits per vector; here each may
    have a covariance of its own. Then Z is the density of a Gaussian mixture whose covariances
    are at least I / 2s, both steps are those of expectation maximisation, and the covariance step
    is a reverse water-filling of what the component serves. One component is the Gaussian upper
    bound.

    Lower bound. E log lambda - log max_y c(y), c(y) = E [lambda(x) exp(-s |x - y|^2)], holds for
    every lambda > 0 (Csiszar 1974; Yang and Mandt: Towards empirical sandwich bounds on the
    rate-distortion function, 2022). Here lambda is 1 / Z of the mixture, capped; both
    expectations are over rows that it has not seen. The empirical maximum of c is above the true
    one in the mean; how far below it may be by chance is bounded because n max_y c(y) / cap is a
    self-bounding function of the rows (Boucheron, Lugosi, Massart 2000: its lower tail is at
    most exp(-t^2 / 2E)). It needs n well above exp(R + s D): at high rates it says little.

    What is proof and what is statistics: all limits hold together with 95 % confidence, at every
    slope of a fixed set and so for the largest and smallest that they imply at any distortion
    (Bonferroni), for independent rows of the source (the rows of one picture are less than that);
    for the means a normal limit. The maximum over y is what mean shift finds from many starts: not
    proof.

    Arguments:
        train: rows to fit the mixture on, shape (rows, d).
        held_out: rows to measure on, shape (rows, d).
        components: number of Gaussians or particles.
        spread: Gaussians with covariances; otherwise particles.
        seed: of the start and the choice of rows.
        device: where to compute.

    Raises:
        InputError: shapes do not fit, numbers are not finite, there are too few rows, or the
            held-out rows are all the same.

    Example:
        >>> rows = torch.randn(4000, 2, generator=torch.Generator().manual_seed(0))
        >>> problem = SampleProblem(rows[:2000], rows[2000:], components=4)
        >>> solution = problem.solve(1.0, 0.0)  # two Gaussians: R + s D = ln 2 + 1
        >>> reached = solution.points[0] @ [1.0, 1.0]
        >>> bool(solution.lower < math.log(2) + 1 < reached)
        True
    """

    proof = False
    name = "95 % limits from samples"
    about = "confidence limits that hold together with 95 % if the rows are independent"
    names = ("dual lower limit", "mixture upper limit")
    version = 2

    def __init__(
        self,
        train: Tensor,
        held_out: Tensor,
        components: int = 32,
        spread: bool = True,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        for role, rows in (("training", train), ("held-out", held_out)):
            if rows.ndim != 2 or len(rows) < 10 or not torch.isfinite(rows).all():
                raise InputError(
                    f"the {role} rows have shape {tuple(rows.shape)}; expected at least 10 "
                    "finite rows"
                )
        if train.shape[1] != held_out.shape[1]:
            raise InputError(
                f"training rows have {train.shape[1]} columns, held-out rows {held_out.shape[1]}"
            )
        components = integer("bound.components", components)
        generator = torch.Generator().manual_seed(seed)
        shuffled = train[torch.randperm(len(train), generator=generator)].double().to(device)
        # A tenth decides when to stop.
        self.train, self.validation = shuffled.tensor_split([len(shuffled) * 9 // 10])
        self.held_out = held_out.double().to(device)
        self.components = min(components, len(self.train))
        self.spread = spread
        self.seed = seed
        self.dimension = train.shape[1]
        self.lossless = None
        self.d_max = float((self.held_out - self.held_out.mean(0)).square().sum(1).mean())
        if self.d_max == 0:
            raise InputError("the held-out rows are all the same: R(D) = 0 everywhere")
        self.slopes = 0.5 / self.d_max * RATIO ** np.arange(SLOPES)
        self.slope_max = float(self.slopes[-1])
        self.note = f"{len(held_out)} held-out rows say no more"
        self.key = {
            "problem": type(self).__name__,
            "version": self.version,
            "rows": digest(self.train.cpu().numpy(), self.validation.cpu().numpy()),
            "held out": digest(self.held_out.cpu().numpy()),
            "components": components,
            "spread": spread,
            "seed": seed,
        }

    def choose(self, slope: float) -> float:
        """Return the closest of the slopes at which the limits hold together."""
        return float(self.slopes[np.abs(np.log(self.slopes / slope)).argmin()])

    def solve(self, slope: float, tolerance: float, start: Solution | None = None) -> Solution:
        """Return confidence limits at one slope; `tolerance` and `start` are not used."""
        generator = torch.Generator().manual_seed(self.seed)
        mixture = self._fit(slope, generator)
        log_z = self._log_z(mixture, self.held_out, slope)
        errors = self._errors(mixture, self.held_out, slope)
        # What the mixture reaches is a mean of distortions and a mean of information densities.
        distortion, rate = (
            float(v.mean() + Z * v.std() / math.sqrt(len(v)))
            for v in (errors, -log_z - slope * errors)
        )
        lower = self._dual(mixture, log_z, slope, generator)
        return Solution(slope, lower, np.array([(distortion, max(rate, 0.0))]))

    def _moments(self, rows: Tensor) -> Iterator[Tensor]:
        """Yield, for pieces of the rows, what the mixture is linear in, shape (n, f).

        These are the products x_i x_j (for particles only |x|^2), x, and 1.
        """
        d = self.dimension
        first, second = torch.triu_indices(d, d)
        for x in rows.split(max(1, (1 << 23) // (len(first) + self.components))):
            pairs = x[:, first] * x[:, second] if self.spread else x.square().sum(1, keepdim=True)
            yield torch.cat([pairs, x, torch.ones_like(x[:, :1])], 1)

    def _log_z(self, mixture: Mixture, rows: Tensor, slope: float) -> Tensor:
        """Return log Z of each row, shape (n,)."""
        parts = (mixture.log_parts(moments, slope) for moments in self._moments(rows))
        return torch.cat([part.logsumexp(1) for part in parts])

    def _errors(self, mixture: Mixture, rows: Tensor, slope: float) -> Tensor:
        """Return the mean distortion of each row, shape (n,)."""
        parts = (
            (mixture.log_parts(moments, slope).softmax(1) * mixture.errors(moments, slope)).sum(1)
            for moments in self._moments(rows)
        )
        return torch.cat(list(parts))

    def _start(self, generator: torch.Generator) -> Mixture:
        k, d = self.components, self.dimension
        means = self.train[torch.randperm(len(self.train), generator=generator)[:k]]
        log_weights = means.new_full((k,), -math.log(k))
        if not self.spread:
            return Mixture(log_weights, means, None, None)
        variances, axes = torch.linalg.eigh(torch.cov(self.train.T).reshape(d, d))
        return Mixture(
            log_weights, means, axes.repeat(k, 1, 1), variances.clamp_min(0).repeat(k, 1)
        )

    def _fit(self, slope: float, generator: torch.Generator, limit: int = 100) -> Mixture:
        """Minimise F on the training rows until it no longer falls on the validation rows."""
        mixture = self._start(generator)
        best, best_value, patience = mixture, math.inf, 0
        for _ in range(limit):
            value = -float(self._log_z(mixture, self.validation, slope).mean())
            patience = 0 if value < best_value - 1e-3 else patience + 1
            if value < best_value:
                best, best_value = mixture, value
            if patience == 5:
                break
            mixture = self._step(mixture, slope)
        return best

    def _step(self, mixture: Mixture, slope: float) -> Mixture:
        """Move weights, means and covariances one step of expectation maximisation."""
        d = self.dimension
        sums: Tensor | int = 0
        for moments in self._moments(self.train):
            sums = sums + mixture.log_parts(moments, slope).softmax(1).T @ moments
        assert isinstance(sums, Tensor)
        sums = sums[sums[:, -1] > 1e-3]  # components that serve nothing are dropped
        mass, means = sums[:, -1:], sums[:, -1 - d : -1] / sums[:, -1:]
        log_weights = (mass / mass.sum()).log().squeeze(1)
        if not self.spread:
            return Mixture(log_weights, means, None, None)
        rows, columns = torch.triu_indices(d, d)
        scatter = sums.new_zeros(len(sums), d, d)
        scatter[:, rows, columns] = sums[:, : len(rows)]
        scatter[:, columns, rows] = sums[:, : len(rows)]
        scatter -= mass[:, :, None] * means[:, :, None] * means[:, None, :]
        # Components that serve few rows lean on the scatter of all of them.
        pooled = scatter.sum(0) / mass.sum()
        covariances = (scatter + d * pooled) / (mass[:, :, None] + d)
        variances, bases = torch.linalg.eigh(covariances)
        return Mixture(log_weights, means, bases, (variances - 0.5 / slope).clamp_min(0))

    def _dual(
        self, mixture: Mixture, log_z: Tensor, slope: float, generator: torch.Generator
    ) -> float:
        """Return a lower confidence limit of the minimum, nats."""
        n = len(self.held_out)
        validation = -self._log_z(mixture, self.validation, slope)

        def chance(peak: float, cap: float) -> float:
            """Return an upper confidence limit of max c from its empirical value."""
            level = -math.log(RISK) / 2
            return cap / n * (math.sqrt(n * peak / cap + level) + math.sqrt(level)) ** 2

        caps = [math.log(n) - 0.5 * k for k in range(24)]
        cap = max(
            caps,
            key=lambda v: float(validation.clamp_max(v).mean()) - math.log(chance(1, math.exp(v))),
        )
        log_lambda = (-log_z).clamp_max(cap)
        value = float(log_lambda.mean() - Z * log_lambda.std() / math.sqrt(n))
        # Half of the starts go on from where the most promising have come to.
        pick = torch.randperm(n, generator=generator)[:512]
        y = torch.cat(
            [mixture.means, self.held_out[pick], self.held_out[log_lambda.topk(min(64, n))[1]]]
        )
        log_c = torch.zeros(0)
        for steps in (2, 4, 6):
            log_c, y = mean_shift(Cloud(self.held_out), log_lambda - math.log(n), y, slope, steps)
            y = y[log_c.topk(min(len(y), max(32, len(y) // 4)))[1]]
        return value - math.log(chance(math.exp(float(log_c.max())), math.exp(cap)))
