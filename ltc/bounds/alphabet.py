"""Discrete sources in space: finitely many values, reproduced by any point."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ltc.bounds.blahut import METHOD, Report, blahut_arimoto
from ltc.bounds.kernel import Kernel
from ltc.bounds.problem import Problem, Solution
from ltc.checks import digest
from ltc.errors import InputError

__all__ = ["AlphabetProblem", "Cloud", "Path", "mean_shift"]


class Cloud:
    """Points in space, and the sums over them that squared error needs.

    Arguments:
        x: the points, shape (n, d).

    Example:
        >>> cloud = Cloud(torch.tensor([[0.0], [2.0]]))
        >>> cloud.squared_distances(torch.tensor([[1.0], [2.0]]))
        tensor([[1., 4.],
                [1., 0.]])
        >>> c, centre = cloud.kernel_sums(torch.zeros(2), torch.tensor([[1.0]]), 1.0)
        >>> round(float(c), 4), centre / c[:, None]
        (0.7358, tensor([[1.]]))
    """

    def __init__(self, x: Tensor) -> None:
        self.x = x

    def squared_distances(self, y: Tensor) -> Tensor:
        """Return |x - y|^2, shapes (k, d) to (n, k)."""
        return torch.cdist(self.x, y).square()

    def kernel_sums(self, log_weights: Tensor, y: Tensor, slope: float) -> tuple[Tensor, Tensor]:
        """Return the sums over x of w = weights(x) exp(-slope |x - y|^2) and of w x.

        Arguments:
            log_weights: nats, shape (n,).
            y: shape (k, d).
            slope: nats per squared error.

        Returns:
            Shapes (k,) and (k, d).
        """
        c, centre = y.new_full((len(y),), 1e-300), torch.zeros_like(y)
        for rows, weight in zip(self.x.split(1 << 13), log_weights.split(1 << 13), strict=True):
            part = (weight[:, None] - slope * torch.cdist(rows, y).square()).exp()
            c += part.sum(0)
            centre += part.T @ rows
        return c, centre


class Path(Cloud):
    """Points of which each differs from the one before in few coordinates, as in random walks.

    Squared distances then follow from one another: with n points in d dimensions they take
    n + d operations for each y, not n d.

    Arguments:
        x: the points in their order, shape (n, d).

    Example:
        >>> x = torch.ones(4, 3).tril(-1)
        >>> y = torch.tensor([[0.5, 2.0, 0.0]])
        >>> bool(Path(x).squared_distances(y).allclose(Cloud(x).squared_distances(y)))
        True
    """

    def __init__(self, x: Tensor) -> None:
        super().__init__(x)
        self.steps = x.diff(dim=0).to_sparse()
        self.energy = x.square().sum(1).diff()

    def squared_distances(self, y: Tensor) -> Tensor:
        """Return |x - y|^2, shapes (k, d) to (n, k)."""
        first = (self.x[:1] - y).square().sum(1, keepdim=True)
        rise = self.energy - 2 * torch.sparse.mm(self.steps, y.T).T.contiguous()
        return torch.cat([first, first + rise.cumsum(1)], 1).clamp_min_(0).T

    def kernel_sums(self, log_weights: Tensor, y: Tensor, slope: float) -> tuple[Tensor, Tensor]:
        """Return the same sums as of any cloud."""
        part = (log_weights - slope * self.squared_distances(y).T).exp_()
        upto = part.cumsum(1)
        total = upto[:, -1:]
        centre = total * self.x[0] + torch.sparse.mm(self.steps.T, (total - upto[:, :-1]).T).T
        return total[:, 0] + 1e-300, centre


def mean_shift(
    cloud: Cloud, log_weights: Tensor, y: Tensor, slope: float, steps: int
) -> tuple[Tensor, Tensor]:
    """Raise c(y) = sum_x weights(x) exp(-slope |x - y|^2) from many starts by mean shift.

    Each start moves to the mean of the x around it, weighted by the kernel, which never
    lowers c (Cheng 1995).

    Arguments:
        cloud: points x, shape (n, d).
        log_weights: nats, shape (n,).
        y: starts, shape (k, d).
        slope: nats per squared error.
        steps: how many moves.

    Returns:
        log c where each start ended, shape (k,), and the places, shape (k, d).

    Example:
        >>> cloud = Cloud(torch.tensor([[0.0], [1.0]]))
        >>> log_c, y = mean_shift(cloud, torch.zeros(2), torch.tensor([[0.2]]), 1.0, 50)
        >>> round(float(y[0, 0]), 3)  # for so wide a kernel the two make one hill
        0.5
    """
    for _ in range(steps):
        c, centre = cloud.kernel_sums(log_weights, y, slope)
        # Starts that are far from all stay where they are.
        y = torch.where(c[:, None] > 1e-200, centre / c[:, None], y)
    return cloud.kernel_sums(log_weights, y, slope)[0].log(), y


class AlphabetProblem(Problem):
    """min R + s D under squared error for a source of finitely many values in R^d.

    Outputs may be any points, weighted by Blahut-Arimoto. They start as the values themselves, and
    wherever c(y) = E [exp(-s |x - y|^2) / Z(x)] is found above one an output is added (the
    exchange method of `DensityProblem`). Expectations are exact. For scalars the brackets are
    proof; in more dimensions, that no y has a larger c than mean shift found from the values and
    the outputs is not proved.

    Arguments:
        points: the values, shape (m, d).
        probabilities: of each, shape (m,).
        device: where to compute.
        report: as of `blahut_arimoto`.

    Raises:
        InputError: shapes do not fit, the probabilities do not add up to one, or there is one
            value only.

    Example:
        >>> corners = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
        >>> problem = AlphabetProblem(corners, [0.25] * 4)
        >>> round(problem.lossless / math.log(2), 6), problem.d_max
        (2.0, 0.5)
        >>> solution = problem.solve(3.0, 1e-3)
        >>> reached = solution.middle @ [3.0, 1.0]
        >>> bool(solution.lower < reached < solution.lower + 1e-3)
        True
    """

    name = "Blahut-Arimoto bracket"
    about = METHOD
    note = "the outputs that would narrow it were not found"
    version = 4

    def __init__(
        self,
        points: ArrayLike,
        probabilities: ArrayLike,
        device: torch.device | str = "cpu",
        report: Report | None = None,
    ) -> None:
        x, p = np.asarray(points, dtype=float), np.asarray(probabilities, dtype=float)
        if x.ndim != 2 or p.shape != x.shape[:1] or not np.isfinite(x).all():
            raise InputError(
                f"points have shape {x.shape} and probabilities {p.shape}; expected finite (m, d) "
                "and (m,)"
            )
        if not (p >= 0).all() or not abs(p.sum() - 1) < 1e-6:
            raise InputError(
                f"the probabilities add up to {p.sum():.6g}; expected 1, none negative"
            )
        # Equal values are one value.
        x, index = np.unique(x[p > 0], axis=0, return_inverse=True)
        p = np.bincount(index.ravel(), p[p > 0] / p.sum())
        if len(x) < 2:
            raise InputError("the source has one value only: R(D) = 0 everywhere")
        self.x = torch.from_numpy(x).to(device)
        changes = np.count_nonzero(np.diff(x, axis=0))
        self.cloud = (Path if changes < x.size // 10 else Cloud)(self.x)
        self.p = torch.from_numpy(p).to(device)
        self.some = slice(None, None, len(x) // 256 + 1)  # values enough to search from
        self.device = torch.device(device)
        self.dimension = x.shape[1]
        self.lossless = float(-(p @ np.log(p)))
        self.d_max = float(p @ ((x - p @ x) ** 2).sum(1))
        # Steeper than this, every value has an output of its own.
        gaps = torch.pdist(self.x) if len(x) <= 4096 else (self.x[1:] - self.x[:-1]).norm(dim=1)
        self.slope_max = 40 / float(gaps.min()) ** 2
        self.report = report
        self.key = {
            "problem": type(self).__name__,
            "version": self.version,
            "alphabet": digest(x, p),
        }

    def solve(self, slope: float, tolerance: float, start: Solution | None = None) -> Solution:
        """Bracket the minimum of R + slope * D by Blahut-Arimoto and exchange."""
        width = math.sqrt(0.5 / slope)  # of the kernel, a Gaussian
        y = self.x
        output = self.p.clone()
        if start is not None and start.output is not None:
            known = torch.from_numpy(start.output).to(self.x)
            some = self.x[self.some]
            y = torch.cat([known[:, :-1], some])
            output = torch.cat([0.9 * known[:, -1], known.new_full((len(some),), 0.1 / len(some))])
        lower = -math.inf
        for rounds_left in reversed(range(20)):
            exponents = slope * self.cloud.squared_distances(y)
            # Rows are shifted so that their largest entry is 1; the shift is added again.
            shift = exponents.amin(1)
            kernel = Kernel((exponents - shift[:, None]).clamp_max(700).cpu().numpy(), self.device)
            best = blahut_arimoto(self.p, kernel, output, tolerance / 4, report=self.report)
            log_lambda = (best.weights / self.p).log() + shift
            peaks = torch.cat([y[best.output > 1e-3 / len(y)], self.x[self.some]])
            peaks = peaks[_apart(peaks, width)]
            log_weights = self.p.log() + log_lambda
            for steps in (10, 30):  # many end on the same hill
                log_c, peaks = mean_shift(self.cloud, log_weights, peaks, slope, steps)
                apart = _apart(peaks, 0.1 * width)
                log_c, peaks = log_c[apart], peaks[apart]
            largest = max(0.0, float(log_c.max()))
            if self.dimension == 1:
                # On the line nothing can hide: between the points of a grid log c rises by
                # slope h^2 / 4 at most (see `DensityProblem`).
                h = math.sqrt(tolerance / slope)
                count = math.ceil(float(self.x.max() - self.x.min()) / h) + 1
                grid = torch.linspace(0, 1, count).to(self.x)[:, None]
                grid = self.x.min() + (self.x.max() - self.x.min()) * grid
                on_grid, _ = mean_shift(self.cloud, log_weights, grid, slope, 0)
                largest = float(on_grid.max()) + tolerance / 4
            lower = max(lower, float(self.p @ log_lambda) - largest)
            upper = best.upper + float(self.p @ shift)
            new = peaks[log_c > max(tolerance / 4, largest / 20)]
            if upper - lower <= tolerance or not len(new) or not rounds_left:
                break
            keep = best.output > 1e-3 * tolerance / len(y)
            y = torch.cat([y[keep], new])
            output = torch.cat([0.9 * best.output[keep], new.new_full((len(new),), 0.1 / len(new))])
        points = []
        for factor in (0.97, 1.0, 1.03):
            rate, distortion = kernel.point(self.p, best.output, factor)
            distortion += float(self.p @ shift)
            points.append((distortion / slope, max(rate, 0.0)))
        alive = best.output > 1e-6 / len(y)
        outputs = torch.cat([y, best.output[:, None]], dim=1)[alive]
        return Solution(slope, lower, np.array(points), outputs.cpu().numpy())


def _apart(points: Tensor, distance: float) -> Tensor:
    """Choose points, as a mask, that are no closer than a distance to an earlier one chosen."""
    points = points.float()  # quicker, and near enough
    close = (torch.cdist(points, points) < distance).cpu().numpy()
    chosen = np.zeros(len(points), dtype=bool)
    for index, row in enumerate(close):
        chosen[index] = not row[chosen].any()
    return torch.from_numpy(chosen).to(points.device)
