"""Discrete sources in space: finitely many values, reproduced by any point."""

import math

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ltc.bounds.blahut import METHOD, Report, blahut_arimoto
from ltc.bounds.kernel import Kernel
from ltc.bounds.power_cost import Cost
from ltc.bounds.problem import Problem, Solution
from ltc.checks import digest
from ltc.errors import InputError

__all__ = ["AlphabetProblem", "Cloud", "Path", "mean_shift"]


class Cloud:
    """Points in space, and the sums over them that a distortion needs.

    Arguments:
        x: the points, shape (n, d).
        cost: what an error costs; None: its square.

    Example:
        >>> cloud = Cloud(torch.tensor([[0.0], [2.0]]))
        >>> cloud.distortions(torch.tensor([[1.0], [2.0]]))
        tensor([[1., 4.],
                [1., 0.]])
        >>> c, centre = cloud.kernel_sums(torch.zeros(2), torch.tensor([[1.0]]), 1.0)
        >>> round(float(c), 4), centre
        (0.7358, tensor([[1.]]))
    """

    def __init__(self, x: Tensor, cost: Cost | None = None) -> None:
        self.x, self.cost = x, cost or Cost()

    def distortions(self, y: Tensor) -> Tensor:
        """Return d(x, y), shapes (k, d) to (n, k)."""
        return self.cost.between(self.x, y)

    def kernel_sums(self, log_weights: Tensor, y: Tensor, slope: float) -> tuple[Tensor, Tensor]:
        """Return c(y) = sum_x w and where to move y so that c does not fall.

        w = weights(x) exp(-slope d(x, y)). The cost is below the parabola of cost(e) / e^2 through
        an error e if its power is at most 2: the move is to the mean of x, each coordinate
        weighted by w cost(e) / e^2; for squared error by w alone (Cheng 1995).

        Arguments:
            log_weights: nats, shape (n,).
            y: shape (k, d).
            slope: nats per unit of distortion.

        Returns:
            Shapes (k,) and (k, d).
        """
        c, top = y.new_full((len(y),), 1e-300), torch.zeros_like(y)
        bottom = c[:, None] if self.cost.squared else torch.full_like(y, 1e-300)
        for rows, weight in zip(self.x.split(1 << 13), log_weights.split(1 << 13), strict=True):
            part = (weight[:, None] - slope * self.cost.between(rows, y)).exp()
            c += part.sum(0)
            if self.cost.squared:
                top += part.T @ rows
                continue
            for k, (a, b) in enumerate(zip(rows.T, y.T, strict=True)):
                pull = part * self._pull(a[:, None] - b)
                top[:, k] += pull.T @ a
                bottom[:, k] += pull.sum(0)
        return c, top / bottom

    def _pull(self, error: Tensor) -> Tensor:
        return self.cost.distortion.cost(error) / error.square().clamp_min(1e-12)


class Path(Cloud):
    """Points of which each differs from the one before in few coordinates, as in random walks.

    Distortions then follow from one another: with n points in d dimensions they take n + d
    operations for each y, not n d.

    Arguments:
        x: the points in their order, shape (n, d).
        cost: what an error costs; None: its square.

    Example:
        >>> x = torch.ones(4, 3).tril(-1)
        >>> y = torch.tensor([[0.5, 2.0, 0.0]])
        >>> bool(Path(x).distortions(y).allclose(Cloud(x).distortions(y)))
        True
    """

    def __init__(self, x: Tensor, cost: Cost | None = None) -> None:
        super().__init__(x, cost)
        self.row, self.column = x.diff(dim=0).nonzero(as_tuple=True)
        self.before, self.after = x[self.row, self.column], x[self.row + 1, self.column]

    def distortions(self, y: Tensor) -> Tensor:
        """Return d(x, y), shapes (k, d) to (n, k)."""
        cost, there = self.cost.distortion.cost, y[:, self.column]
        change = cost(self.after - there) - cost(self.before - there)
        rise = y.new_zeros(len(y), len(self.x) - 1).index_add_(1, self.row, change)
        first = cost(self.x[0] - y).sum(1, keepdim=True)
        return torch.cat([first, first + rise.cumsum(1)], 1).clamp_min_(0).T

    def kernel_sums(self, log_weights: Tensor, y: Tensor, slope: float) -> tuple[Tensor, Tensor]:
        """Return the same sums as of any cloud."""
        upto = (log_weights - slope * self.distortions(y).T).exp_().cumsum(1)
        total, there = upto[:, -1:], y[:, self.column]
        rest = total - upto[:, self.row]  # of all points after a change
        first, before, after = self.x[0], self.before, self.after
        if self.cost.squared:
            top = (total * first).index_add_(1, self.column, rest * (after - before))
            return total[:, 0] + 1e-300, top / (total + 1e-300)
        pull, old, new = (self._pull(v) for v in (first - y, before - there, after - there))
        top = (total * pull * first).index_add_(1, self.column, rest * (new * after - old * before))
        bottom = (total * pull).index_add_(1, self.column, rest * (new - old))
        return total[:, 0] + 1e-300, top / bottom.clamp_min(1e-300)


def mean_shift(
    cloud: Cloud, log_weights: Tensor, y: Tensor, slope: float, steps: int
) -> tuple[Tensor, Tensor]:
    """Raise c(y) = sum_x weights(x) exp(-slope d(x, y)) from many starts by mean shift.

    Arguments:
        cloud, log_weights, y, slope: as of `Cloud.kernel_sums`; y are the starts.
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
        c, moved = cloud.kernel_sums(log_weights, y, slope)
        # Starts that are far from all stay where they are.
        y = torch.where(c[:, None] > 1e-200, moved, y)
    return cloud.kernel_sums(log_weights, y, slope)[0].log(), y


class AlphabetProblem(Problem):
    """min R + s D for a source of finitely many values in R^d.

    Outputs may be any points, weighted by Blahut-Arimoto. They start as the values themselves, and
    wherever c(y) = E [exp(-s d(x, y)) / Z(x)] is found above one an output is added (the
    exchange method of `DensityProblem`). Expectations are exact. For scalars the brackets are
    proof; in more dimensions, that no y has a larger c than mean shift found from the values and
    the outputs is not proved.

    Arguments:
        points: the values, shape (m, d).
        probabilities: of each, shape (m,).
        cost: what an error costs; None: its square.
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
        cost: Cost | None = None,
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
        p = np.bincount(index.ravel(), p[p > 0] / p.sum()).astype(float)
        if len(x) < 2:
            raise InputError("the source has one value only: R(D) = 0 everywhere")
        self.cost = cost or Cost()
        self.x, self.p = torch.from_numpy(x), torch.from_numpy(p)
        changes = np.count_nonzero(np.diff(x, axis=0))
        self.cloud = (Path if changes < x.size // 10 else Cloud)(self.x, self.cost)
        self.some = slice(None, None, len(x) // 256 + 1)  # values enough to search from
        self.dimension = x.shape[1]
        self.lossless = float(-(p @ np.log(p)))
        self.d_max = sum(self.cost.centre(column, p)[1] for column in x.T)
        # Steeper than this, every value has an output of its own.
        power = self.cost.power
        gaps = torch.pdist(self.x, power) if len(x) <= 4096 else self.x.diff(dim=0).norm(power, 1)
        self.slope_max = 40 * self.cost.slope(float(gaps.min())) * (power or 1)
        self.report = report
        self.key = {
            "problem": type(self).__name__,
            "version": self.version,
            "alphabet": digest(x, p),
            "cost": self.cost.key,
        }

    def solve(self, slope: float, tolerance: float, start: Solution | None = None) -> Solution:
        """Bracket the minimum of R + slope * D by Blahut-Arimoto and exchange."""
        y = self.x
        output = self.p
        if start is not None and start.output is not None:
            known = torch.from_numpy(start.output)
            some = self.x[self.some]
            y = torch.cat([known[:, :-1], some])
            output = torch.cat([0.9 * known[:, -1], known.new_full((len(some),), 0.1 / len(some))])
        lower = -math.inf
        for rounds_left in reversed(range(20)):
            exponents = slope * self.cloud.distortions(y)
            # Rows are shifted so that their largest entry is 1; the shift is added again.
            shift = exponents.amin(1)
            kernel = Kernel((exponents - shift[:, None]).clamp_max(700).numpy())
            best = blahut_arimoto(
                self.p.numpy(), kernel, output.numpy(), tolerance / 4, report=self.report
            )
            found = torch.from_numpy(best.output)
            log_lambda = (torch.from_numpy(best.weights) / self.p).log() + shift
            log_weights = self.p.log() + log_lambda
            if self.dimension == 1:
                log_c, peaks, largest = self._on_the_line(log_weights, slope, tolerance / 4)
            else:
                peaks = torch.cat([y[found > 1e-3 / len(y)], self.x[self.some]])
                log_c, peaks = self._climb(log_weights, peaks, slope)
                largest = max(0.0, float(log_c.max()))
            lower = max(lower, float(self.p @ log_lambda) - largest)
            upper = best.upper + float(self.p @ shift)
            new = peaks[log_c > max(tolerance / 4, largest / 20)]
            if upper - lower <= tolerance or not len(new) or not rounds_left:
                break
            keep = found > 1e-3 * tolerance / len(y)
            y = torch.cat([y[keep], new])
            output = torch.cat([0.9 * found[keep], new.new_full((len(new),), 0.1 / len(new))])
        rates, distortions = kernel.points(self.p.numpy(), best.output)
        distortions = (distortions + float(self.p @ shift)) / slope
        points = np.column_stack([distortions, np.maximum(rates, 0.0)])
        alive = found > 1e-6 / len(y)
        outputs = torch.cat([y, found[:, None]], dim=1)[alive]
        dispersion = float(self.p @ (log_lambda - self.p @ log_lambda) ** 2)
        return Solution(slope, lower, points, outputs.numpy(), dispersion)

    def _on_the_line(
        self, log_weights: Tensor, slope: float, excess: float
    ) -> tuple[Tensor, Tensor, float]:
        """Return log c at its peaks, the peaks, and a bound of log c for scalars."""
        low, high = float(self.x.min()), float(self.x.max())
        grid = self.x  # where the kernel has its kinks; between them it is convex
        if self.cost.power > 1:
            count = math.ceil((high - low) / self.cost.spacing(excess, slope, high - low)) + 1
            grid = torch.linspace(low, high, count).to(self.x)[:, None]
        log_c = self.cloud.kernel_sums(log_weights, grid, slope)[0].log()
        largest = float(log_c.max()) + (excess if self.cost.power > 1 else 0.0)
        sides = torch.nn.functional.pad(log_c, (1, 1), value=-math.inf)
        peak = (log_c >= sides[:-2]) & (log_c >= sides[2:])
        return log_c[peak], grid[peak], largest

    def _climb(self, log_weights: Tensor, peaks: Tensor, slope: float) -> tuple[Tensor, Tensor]:
        """Return log c at peaks of c and the peaks, by mean shift from some starts."""
        width = self.cost.width(slope)
        peaks = peaks[_apart(peaks, width)]
        for steps in (10, 30):  # many end on the same hill
            log_c, peaks = mean_shift(self.cloud, log_weights, peaks, slope, steps)
            apart = _apart(peaks, 0.1 * width)
            log_c, peaks = log_c[apart], peaks[apart]
        return log_c, peaks


def _apart(points: Tensor, distance: float) -> Tensor:
    """Choose points, as a mask, that are no closer than a distance to an earlier one chosen."""
    points = points.float()  # quicker, and near enough
    close = (torch.cdist(points, points) < distance).numpy()
    chosen = np.zeros(len(points), dtype=bool)
    for index, row in enumerate(close):
        chosen[index] = not row[chosen].any()
    return torch.from_numpy(chosen)
