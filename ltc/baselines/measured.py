"""Classical quantizers to draw beside a rate-distortion function.

They are made from training samples of a source and measured on held-out ones.
"""

from collections.abc import Callable

import numpy as np
import torch

from ltc.baselines.scalar import ecsq
from ltc.baselines.vector import VectorQuantizer
from ltc.measurement import Measurement, summarise
from ltc.sources import Source

__all__ = ["BASELINES", "scalar_baseline", "vector_baseline"]


def scalar_baseline(
    source: Source, lmbda: float, generator: torch.Generator, count: int = 1 << 19
) -> Measurement:
    """Return what the best entropy-constrained scalar quantizers reach on a source.

    With a known density per scalar the numbers are quadrature, without a standard error;
    otherwise each component of the vector gets a quantizer of its own.

    Arguments:
        source: the source.
        lmbda: weight of the distortion in rate + lmbda * distortion.
        generator: where samples come from.
        count: vectors to train on at most, and to measure on where the source is endless.

    Returns:
        Rate in bits and mean squared error, per scalar, with standard errors.

    Example:
        >>> from ltc.sources import IIDUniform
        >>> best = scalar_baseline(IIDUniform(), 30.0, torch.Generator().manual_seed(0))
        >>> round(2**best.rate, 3), round(best.distortion * 2 ** (2 * best.rate), 3)
        (6.0, 1.0)
    """
    if source.density is not None:
        best = ecsq(source.density, lmbda)
        return Measurement(best.rate, 0.0, best.distortion, 0.0)
    train = source.training_set(count, generator).double().cpu().numpy()
    test = source.held_out(count, generator).double().cpu().numpy()
    bits, errors = np.zeros(len(test)), np.zeros(len(test))
    for seen, unseen in zip(train.T, test.T, strict=True):
        costs = ecsq(seen, lmbda).costs(unseen)
        bits, errors = bits + costs[0], errors + costs[1]
    d = source.dimension
    return summarise(torch.from_numpy(bits / d), torch.from_numpy(errors / d))


def vector_baseline(
    source: Source, lmbda: float, generator: torch.Generator, count: int = 1 << 19
) -> Measurement:
    """Return what an entropy-constrained vector quantizer reaches on a source.

    It quantizes source vectors, or pairs of them where these are scalars. Arguments and result as
    of `scalar_baseline`.

    Raises:
        InputError: the source has more than 4 dimensions, or lmbda asks for more points than there
            are samples for.

    Example:
        >>> from ltc.sources import IIDUniform
        >>> rng = torch.Generator().manual_seed(0)
        >>> best = vector_baseline(IIDUniform(), 30.0, rng, count=20_000)
        >>> 2.7 < best.rate < 2.8
        True
    """
    pair = 2 if source.dimension == 1 else 1
    train = source.training_set(count * pair, generator).double().cpu().numpy()
    test = source.held_out(count * pair, generator).double().cpu().numpy()
    train, test = (x[: len(x) // pair * pair].reshape(-1, x.shape[1] * pair) for x in (train, test))
    bits, errors = VectorQuantizer.fit(train, lmbda).costs(test)
    d = source.dimension * pair
    return summarise(torch.from_numpy(bits / d), torch.from_numpy(errors / d))


BASELINES: dict[str, Callable[[Source, float, torch.Generator], Measurement]] = {
    "ecsq": scalar_baseline,
    "ecvq": vector_baseline,
}
