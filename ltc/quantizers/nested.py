"""Fixed-rate quantization with nested lattices."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ltc.checks import integer
from ltc.lattices import Lattice
from ltc.lattices.backend import runs_on_numba
from ltc.quantizers.lattice import LatticeQuantizer
from ltc.threads import each_in_parallel, one_thread

__all__ = ["NestedQuantizer"]

# Random codewords, and steps, to find the shift by. Their mean is known to 0.01 of the ratio.
CENTRE_SAMPLES, CENTRE_STEPS = 4096, 8
# Scalars to choose the scale on.
SCALE_SAMPLES = 1 << 14
# The search for the nearest codeword: length of the random steps in units of the fine lattice,
# how much of the way back to the vector is taken from a codeword, and the least part of a coarse
# vector that is taken away from a point outside. Chosen on E8 and Leech at 1 and 2 bits.
STEP, BACK, PUSH = 0.5, 0.15, 0.03
# Two points of a lattice of unit volume are further apart.
SAME = 1e-6
# Radii of the coarse cell beyond which a vector is only a direction.
FAR = 1000.0
# Scalars that are quantized at a time, so that what is computed from them stays in the cache.
TOGETHER = 1 << 16


class NestedQuantizer(LatticeQuantizer):
    """The points of a shifted lattice in a Voronoi cell of the lattice scaled by an integer.

    A Voronoi code: there are `ratio ** n` points, one in each coset of the coarse lattice, so the
    rate is log2(ratio) bits per sample, whatever the source (Conway and Sloane, *A fast encoding
    method for lattice codes and quantizers*, IEEE Trans. Inform. Theory 29, 1983). The index of a
    point is its coordinates in the basis, modulo the ratio. The shift moves the fine lattice off
    the origin to where no point lies on the boundary of the coarse cell and their mean is zero.

    A vector whose nearest lattice point lies outside the code is overloaded. Its codeword is
    searched: a random step, the nearest lattice point, and, where that lies in another coarse
    cell, a move away from that cell, otherwise back towards the vector; the best codeword met is
    taken. The scale starts where it minimises the distortion of samples, and is learned.

    Arguments:
        lattice: the fine lattice, of unit volume.
        ratio: what the fine lattice is multiplied by to give the coarse one, q.
        search: steps of the search for the codeword of an overloaded vector; 32 lose about
            0.05 dB against 128 at one bit per sample, 0.005 dB at two (measured: E8, Leech).

    Attributes:
        shift: what is taken from lattice points to give codewords, shape (n,), float64.

    Raises:
        InputError: `ratio` is no integer from 2 to 65536, or `search` none from 0.

    Example:
        >>> from ltc.lattices import E8
        >>> quantizer = NestedQuantizer(E8(), ratio=4)
        >>> points = quantizer.quantize(torch.randn(5, 8, generator=torch.Generator().manual_seed(0)))
        >>> index = quantizer.index(points)
        >>> index.min() >= 0, index.max() < 4, torch.allclose(quantizer.point(index).float(), points)
        (tensor(True), tensor(True), True)
    """  # noqa: E501

    _basis: Tensor
    _inverse: Tensor
    _steps: Tensor
    shift: Tensor

    def __init__(self, lattice: Lattice, ratio: int = 4, search: int = 32) -> None:
        super().__init__(lattice, train="ste")
        hint = ", the number of codewords per sample: 4 for 2 bits"
        self.ratio = integer("quantizer.ratio", ratio, 2, 1 << 16, hint)
        search = integer("quantizer.search", search, 0, hint=", a number of steps")
        n = lattice.dimension
        basis = torch.as_tensor(lattice.generator_matrix, dtype=torch.float64)
        rng = torch.Generator().manual_seed(0)
        self.register_buffer("_basis", basis, persistent=False)
        self.register_buffer("_inverse", torch.linalg.inv(basis), persistent=False)
        steps = torch.randn(search, n, generator=rng, dtype=torch.float64) * STEP / n**0.5
        self.register_buffer("_steps", steps, persistent=False)
        # Coders and decoders must have the same, to the last place: it goes into checkpoints.
        start = lattice.sample_voronoi(1, rng, torch.float64)[0]
        self.register_buffer("shift", start.clone())
        index = torch.randint(ratio, (CENTRE_SAMPLES, n), generator=rng)
        for _ in range(CENTRE_STEPS):
            self.shift += self.point(index).mean(0)
        # The mean is a multiple of lattice points; ties are still possible, if rare. Not here:
        self.shift += 1e-3 * start

    @property
    def name(self) -> str:
        """The name of the fine lattice, as a nested one."""
        return f"nested-{self.lattice.name}"

    def suitable_entropy(self, target: str) -> tuple[str, dict[str, Any]]:
        """Return the model of equal code lengths, whatever was chosen."""
        return "fixed_rate", {"_target_": "ltc.entropy.FixedRate", "ratio": self.ratio}

    def index(self, points: Tensor) -> Tensor:
        """Return the indices of codewords.

        Arguments:
            points: lattice units, shape (..., n). Of other points of the shifted lattice, the
                index is that of the codeword in the same coset of the coarse lattice.

        Returns:
            Integers from 0 to ratio - 1, shape (..., n), int64.
        """
        whole = ((points.double() + self.shift) @ self._inverse).round()
        return whole.remainder(self.ratio).long()

    def point(self, index: Tensor) -> Tensor:
        """Return the codewords of indices.

        Arguments:
            index: integers from 0 to ratio - 1, shape (..., n).

        Returns:
            Lattice units, shape (..., n), float64.
        """
        points = index.double() @ self._basis - self.shift
        return points - self.ratio * self.lattice.closest_point(points / self.ratio)

    @torch.no_grad()
    def initialise(self, distortion: float, latents: Tensor) -> None:
        """Start at the scale that minimises the mean squared error of latents, shape (..., n).

        At fixed rate the distortion is what the rate allows: the one that is asked for is ignored.
        """
        # Here, because scipy.optimize is not needed to compress a file, and takes long to load.
        from scipy.optimize import minimize_scalar

        x = latents.reshape(-1, self.lattice.dimension).double()
        x = x[: max(1, SCALE_SAMPLES // x.shape[1])]

        def error(log_scale: float) -> float:
            scale = math.exp(log_scale)
            squares = (scale * self.quantize(x / scale) - x).square()
            with one_thread():  # the order of a sum is not the machine's affair
                return float(squares.mean())

        # Where the vectors and the coarse cell have the same energy.
        with one_thread():
            energy = max(float(x.square().mean()), 1e-30)
        guess = 0.5 * math.log(energy) - math.log(self._radius / x.shape[1] ** 0.5)
        bounds = (guess - math.log(3), guess + math.log(3))
        found = minimize_scalar(error, bounds=bounds, method="bounded", options={"xatol": 0.01})
        self.log_scale.fill_(found.x)

    def quantize(self, vectors: Tensor) -> Tensor:
        """Return the nearest codewords, or near ones; lattice units, shape (..., n) in and out."""
        return self._quantize(vectors)[0]

    def forward(self, vectors: Tensor) -> tuple[Tensor, None]:
        """Quantize in training.

        Arguments:
            vectors: lattice units, shape (..., n).

        Returns:
            The points, same shape, and None. The gradient passes straight through to the
            latents, except to overloaded ones: their codewords do not move with them (Esser et
            al., *Learned step size quantization*, ICLR 2020). That of the scale is the true one.
        """
        points, overloaded = self._quantize(vectors)
        # What the scale changes in the vectors changes no codeword, which is the nearest already.
        vectors = vectors * self.scale / self.scale.detach()
        straight = vectors + (points - vectors).detach()
        return torch.where(overloaded, points, straight), None

    @property
    def _radius(self) -> float:
        """Root of the mean squared length of the vectors of the coarse cell."""
        moment = self.lattice.second_moment or 1 / 12
        return self.ratio * (self.lattice.dimension * moment) ** 0.5

    @torch.no_grad()
    def _quantize(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Return codewords, shape (..., n), and which vectors are overloaded, shape (..., 1)."""
        rows = vectors.reshape(-1, self.lattice.dimension)
        points = torch.empty_like(rows)
        overloaded = torch.empty(len(rows), dtype=torch.bool, device=rows.device)
        size = max(1, TOGETHER // rows.shape[1]) if runs_on_numba(rows) else max(1, len(rows))

        def quantize(start: int) -> None:
            part = slice(start, start + size)
            points[part], overloaded[part] = self._quantize_rows(rows[part].double())

        if len(rows) > size:
            list(each_in_parallel(quantize, range(0, len(rows), size)))
        else:
            quantize(0)
        return points.reshape(vectors.shape), overloaded.reshape(*vectors.shape[:-1], 1)

    def _quantize_rows(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return codewords, shape (count, n) as x, and which vectors are overloaded, (count,)."""
        nearest = self.lattice.closest_point(x + self.shift)
        whole = (nearest @ self._inverse).round_()
        nearest -= self.shift
        points = self.point(whole.remainder_(self.ratio))
        overloaded = (points - nearest).abs().amax(-1) > SAME
        if overloaded.any():
            points[overloaded] = self._search(x[overloaded], points[overloaded])
        return points, overloaded

    def _search(self, x: Tensor, start: Tensor) -> Tensor:
        """Return codewords near overloaded vectors; shape (count, n) in and out.

        Arguments:
            x: the vectors.
            start: any codewords, to start from.
        """
        reach = self._radius / x.norm(dim=-1, keepdim=True)
        # In single precision, in which what is as far away as that is only a direction.
        x = x * (FAR * reach).clamp(max=1)
        reach = self._radius / x.norm(dim=-1, keepdim=True)
        given = x.float()
        at = (x * reach.clamp(max=1)).float()
        # As far as the corners of a cell may lie, and no further: the steps are to stay small.
        target = (x * (3 * reach).clamp(max=1)).float()
        best = start.float()
        least = (best * (best - 2 * given)).sum(-1, keepdim=True)
        shift = self.shift.float()
        if runs_on_numba(x):
            from ltc.quantizers.nested_kernel import move as compiled

            move: Callable[..., None] = compiled
        else:
            move = _move
        for step in self._steps.float():
            nearest = self.lattice._closest_point(at + (step + shift)) - shift
            # The coarse point whose cell the lattice point lies in.
            coarse = self.ratio * self.lattice._closest_point(nearest / self.ratio)
            move(given, target, nearest, coarse, at, best, least, back=BACK, push=PUSH, same=SAME)
        # The same to the last place as a decoder's. Rounding may have taken a point on the
        # boundary for a codeword: it is another one then.
        found = self.point(self.index(best))

        def cost(points: Tensor) -> Tensor:
            return (points * (points - 2 * x)).sum(-1, keepdim=True)

        return torch.where(cost(found) < cost(start), found, start)


def _move(
    x: Tensor,
    target: Tensor,
    nearest: Tensor,
    coarse: Tensor,
    at: Tensor,
    best: Tensor,
    least: Tensor,
    back: float,
    push: float,
    same: float,
) -> None:
    """Keep the codewords that are better than the best, and move on; in place.

    Arguments:
        x: the vectors, shape (count, n) as all but the last.
        target: where to move back to from a codeword.
        nearest: lattice points near where the search is.
        coarse: the coarse points whose cells they lie in.
        at: where the search is.
        best: the best codewords.
        least: their squared distance to the vectors, less the vectors' squared lengths, (count, 1).
        back: how much of the way back is taken from a codeword.
        push: the least part of a coarse vector that is taken away from a point outside.
        same: squared length below which a coarse vector is the origin.
    """
    points = nearest - coarse
    found = (points * (points - 2 * x)).sum(-1, keepdim=True)
    best.copy_(torch.where(found < least, points, best))
    least.copy_(torch.minimum(found, least))
    # How far beyond the plane halfway to the coarse point.
    norm = coarse.square().sum(-1, keepdim=True)
    beyond = (nearest * coarse).sum(-1, keepdim=True) / norm.clamp(min=same) - 0.5
    outside = at - beyond.clamp(min=push) * coarse
    at.copy_(torch.where(norm < same, at + back * (target - at), outside))
