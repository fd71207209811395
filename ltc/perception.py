"""How far the distribution of reconstructions is from that of the source."""

import torch
from torch import Tensor

__all__ = ["debiased_wasserstein", "sliced_wasserstein"]

# Directions in which vectors are compared.
DIRECTIONS = 16


def sliced_wasserstein(x: Tensor, y: Tensor, rng: torch.Generator) -> Tensor:
    """Return the squared sliced Wasserstein-2 distance of two sets of vectors.

    Of scalars it is the Wasserstein-2 distance itself: sorted samples are coupled best. Vectors are
    compared so along random directions, in the mean, which is at most the squared Wasserstein-2
    distance per scalar, and equal to it where one set is the other, scaled and rotation-invariant
    (Rabin, Peyre, Delon and Bernot, *Wasserstein barycenter and its application to texture
    mixing*, SSVM 2011; Bonneel and others, J. Math. Imaging Vis. 51, 2015).

    Arguments:
        x: samples of one distribution, shape (count, d).
        y: as many samples of the other.
        rng: chooses the directions.

    Returns:
        The distance per scalar.

    Example: half as far from zero as the other.
        >>> x = torch.tensor([[-1.0], [1.0], [2.0]])
        >>> sliced_wasserstein(x, x.flip(0) / 2, torch.Generator().manual_seed(0))
        tensor(0.5000)
    """
    one, other = _sorted_along(torch.stack([x, y]), rng)
    return (one - other).square().mean()


def debiased_wasserstein(x: Tensor, y: Tensor, rng: torch.Generator) -> Tensor:
    """Estimate `sliced_wasserstein` from few samples, for training.

    Few samples of one distribution are apart too: half of how far those of each are is taken from
    how far the two are, as in Sinkhorn divergences (Genevay, Peyre and Cuturi, AISTATS 2018).
    Otherwise what is least is too narrow. Samples are compared with the other half's, as those
    that belong together are near for another reason than their distribution.

    Arguments:
        x: samples of one distribution, shape (count, d).
        y: what became of them, likewise.
        rng: chooses the directions.

    Returns:
        The estimate per scalar, which may be negative, differentiable.

    Example: the same samples, but for their order.
        >>> x = torch.tensor([[-1.0], [1.0], [2.0], [4.0]])
        >>> debiased_wasserstein(x, x, torch.Generator().manual_seed(0))
        tensor(0.)
    """
    half = len(x) // 2
    halves = torch.stack([x[:half], x[half : 2 * half], y[:half], y[half : 2 * half]])
    x1, x2, y1, y2 = _sorted_along(halves, rng)
    across = (x1 - y2).square() + (x2 - y1).square()
    within = (x1 - x2).square() + (y1 - y2).square()
    return (across - within).mean() / 2


def _sorted_along(sets: Tensor, rng: torch.Generator) -> Tensor:
    """Return sets of vectors, shape (sets, count, d), sorted along directions, (sets, ., count)."""
    d = sets.shape[-1]
    shape = (DIRECTIONS if d > 1 else 1, d)
    directions = torch.randn(shape, generator=rng, device=rng.device, dtype=sets.dtype)
    along = torch.nn.functional.normalize(directions, dim=1)
    return (along @ sets.mT).sort()[0]
