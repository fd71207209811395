"""What is known and measured about a lattice."""

import math
import time
from typing import Any

import numpy as np
import torch

from ltc.errors import InputError
from ltc.lattices.base import Lattice

__all__ = ["best", "card", "second_moment", "sphere_bound", "zador_bound"]


def sphere_bound(dimension: int) -> float:
    """Return the least second moment that any quantizer of a dimension could have.

    `Gamma(n/2 + 1)^(2/n) / ((n + 2) pi)`, that of a ball (Zador, IEEE Trans. Inform. Theory 28,
    1982; Conway and Sloane, chapter 2, equation 82).

    Arguments:
        dimension: n.

    Example:
        >>> round(sphere_bound(1), 6)  # in one dimension the ball is an interval
        0.083333
    """
    n = dimension
    return math.exp(2 / n * math.lgamma(n / 2 + 1)) / ((n + 2) * math.pi)


def zador_bound(dimension: int) -> float:
    """Return a second moment that the best quantizer of a dimension is not above.

    `Gamma(n/2 + 1)^(2/n) Gamma(2/n + 1) / (n pi)`, that of random points (Zador, IEEE Trans.
    Inform. Theory 28, 1982; Conway and Sloane, chapter 2, equation 82).

    Arguments:
        dimension: n.

    Example:
        >>> round(zador_bound(1), 6)
        0.5
    """
    n = dimension
    log_gammas = 2 / n * math.lgamma(n / 2 + 1) + math.lgamma(2 / n + 1)
    return math.exp(log_gammas) / (n * math.pi)


def best(cards: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return of each dimension up to 24 the card of the lattice with the least second moment.

    The best number that there is of each counts: the literature's, or a more precise one.
    """
    found: dict[int, dict[str, Any]] = {}
    for one in cards:
        n = one["dimension"]
        if n <= 24 and (n not in found or _gap(one) < _gap(found[n])):
            found[n] = one
    return [found[n] for n in sorted(found)]


def _gap(found: dict[str, Any]) -> float:
    gap: float | None = found["high_rate_gap"]
    return found["high_rate_gap_estimate"] if gap is None else gap


def second_moment(
    lattice: Lattice, samples: int, generator: torch.Generator
) -> tuple[float, float]:
    """Estimate the normalized second moment by Monte Carlo.

    Arguments:
        lattice: the lattice.
        samples: vectors uniform over the Voronoi cell.
        generator: where the randomness comes from.

    Returns:
        The estimate of G and its standard error.

    Example:
        >>> from ltc.lattices import E8
        >>> moment, error = second_moment(E8(), 10_000, torch.Generator().manual_seed(0))
        >>> abs(moment - E8.second_moment) < 4 * error
        True
    """
    total, squares, left = 0.0, 0.0, samples
    while left:
        count = min(left, 1 << 17, max(1, (1 << 22) // lattice.dimension))
        norm = lattice.sample_voronoi(count, generator).double().square().mean(-1)
        total += float(norm.sum())
        squares += float(norm.square().sum())
        left -= count
    mean = total / samples
    return mean, math.sqrt(max(squares / samples - mean**2, 0.0) / samples)


def card(lattice: Lattice, samples: int = 1_000_000, seed: int = 0) -> dict[str, Any]:
    """Return what is known of a lattice, and what is measured here.

    Arguments:
        lattice: the lattice, of unit volume.
        samples: vectors for the second moment; coordinates, of a lattice that runs across blocks.
        seed: of the samples.

    Returns:
        JSON values; None for what is not known. Lengths are at unit volume, rates in bits per
        sample, throughput in samples (coordinates) per second of `closest_point`, float32.

    Raises:
        InputError: what its `closest_point` returns is not in the lattice.

    Example:
        >>> from ltc.lattices import E8
        >>> card(E8(), samples=1000)["kissing_number"]
        240
    """
    generator = torch.Generator().manual_seed(seed)
    count = max(2, samples // lattice.dimension) if lattice.runs_across else samples
    moment, error = second_moment(lattice, count, generator)
    coordinates = min(1_000_000, max(100_000, samples))
    x = 10 * torch.randn(max(1, coordinates // lattice.dimension), lattice.dimension)
    points = lattice.closest_point(x[:100])  # compiles
    if not lattice.runs_across:
        integers = points.double().numpy() @ np.linalg.inv(lattice.generator_matrix)
        if np.abs(integers - integers.round()).max() > 1e-3:
            raise InputError(
                f"{lattice.name}: closest_point returns points that are not in the lattice; "
                "_closest_point gets and returns vectors in units in which its volume is one"
            )
    start = time.perf_counter()
    lattice.closest_point(x)
    throughput = x.numel() / (time.perf_counter() - start)
    trellis = lattice.trellis
    stated, ball = lattice.second_moment, sphere_bound(lattice.dimension)
    if stated is not None and stated < 0.999 * ball:
        raise InputError(
            f"{lattice.name}: second_moment={stated:.6f} is below that of the ball, {ball:.6f}, "
            "which no lattice beats; correct it, or leave it out"
        )
    known = ("minimal_norm", "kissing_number", "covering_radius", "second_moment", "high_rate_gap")
    return {
        "name": lattice.name,
        "dimension": lattice.dimension,
        "generator_matrix": None if lattice.runs_across else lattice.generator_matrix.tolist(),
        "determinant": lattice.determinant,
        **{key: getattr(lattice, key, None) for key in known},
        "second_moment_literature_stderr": lattice.second_moment_stderr,
        "second_moment_estimate": moment,
        "second_moment_stderr": error,
        "high_rate_gap_estimate": 0.5 * math.log2(2 * math.pi * math.e * moment),
        "gap_to_sphere_bound": 0.5 * math.log2(moment / sphere_bound(lattice.dimension)),
        "sphere_bound": sphere_bound(lattice.dimension),
        "zador_bound": zador_bound(lattice.dimension),
        "granular_gain_db": 10 * math.log10(1 / 12 / moment),
        "states": None if trellis is None else max(trellis.states),
        "branches": None if trellis is None else trellis.branches,
        "throughput": throughput,
    }
