"""The stationary model of a trellis whose sections repeat without end."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ltc.errors import InputError
from ltc.lattices.trellis.structure import FloatArray, Section

__all__ = ["Stationary", "stationary"]

MOST_STEPS = 100_000


class Stationary(NamedTuple):
    """What the backward pass over an endless trellis converges to, natural logarithms.

    Attributes:
        log_eigenvalue: the leading eigenvalue of the branch matrix, shape (...): what one more
            section multiplies the partition function by.
        log_completions: its right eigenvector, the mass of all completions of a state, shape
            (..., states); the greatest is one. A branch has the probability
            `p(branch | state) = mass(coset) b(next) / (eigenvalue b(state))`.
    """

    log_eigenvalue: FloatArray
    log_completions: FloatArray


def stationary(section: Section, log_mass: npt.ArrayLike) -> Stationary:
    """Return the model of an endless trellis of this one section.

    The branch matrix has the mass of all branches from state to state. Power iteration in
    float64 and in logarithms, branch by branch, until the bounds of Collatz and Wielandt on the
    eigenvalue, the least and the greatest growth of a state, meet (Horn and Johnson, *Matrix
    Analysis*, section 8.1; of such models: Shannon, *A mathematical theory of communication*,
    1948, appendix 4).

    Arguments:
        section: a section that ends in as many states as it begins in, each reached from each.
        log_mass: natural logarithm of the mass of each coset, shape (..., cosets), finite.

    Raises:
        InputError: the section or the masses are not as above, or the iteration does not
            converge.

    Example: with two free branches from each state, one more section doubles the paths.
        >>> from ltc.lattices import Convolutional
        >>> model = stationary(Convolutional(8).section, [0.0, 0.0, 0.0, 0.0])
        >>> float(np.exp(model.log_eigenvalue).round(9))
        2.0
    """
    mass = np.asarray(log_mass, dtype=np.float64)
    states, cosets = len(section.previous), len(section.offset)
    if mass.shape[-1:] != (cosets,) or not np.isfinite(mass).all():
        raise InputError(
            f"got log masses of shape {mass.shape}; expected finite numbers, (..., {cosets})"
        )
    # The branches, grouped by the state that they leave.
    leave = section.previous.reshape(-1)
    order = np.argsort(leave, kind="stable")
    count = np.bincount(leave, minlength=states)
    if len(count) != states or not count.all():
        raise InputError(
            f"the section ends in {states} states, but {np.count_nonzero(count)} of "
            f"{max(states, len(count))} are left by a branch; only a section that repeats has a "
            "stationary model"
        )
    first = np.cumsum(count) - count
    target = (np.arange(leave.size) // section.previous.shape[1])[order]
    along = mass.reshape(-1, cosets)[:, section.coset.reshape(-1)[order]]
    eigenvalue, found = np.zeros(len(along)), np.zeros((len(along), states))
    # Of a thousand tables one takes a thousand times as many steps as most.
    left, completions = np.arange(len(along)), found
    for _ in range(MOST_STEPS):
        longer = np.logaddexp.reduceat(along + completions[:, target], first, axis=-1)
        growth = longer - completions
        least, greatest = growth.min(-1), growth.max(-1)
        # Logarithms of this size are rounded to about this.
        rounding = 1e-14 * (100 + np.abs(longer).max(-1))
        done = greatest - least <= rounding
        if done.any():
            eigenvalue[left[done]] = (least[done] + greatest[done]) / 2
            found[left[done]] = completions[done]
            left, along = left[~done], along[~done]
            completions, longer = completions[~done], longer[~done]
        if not len(left):
            break
        # Half a step, the mean of the logarithms: a whole one would go in circles where a circle
        # of branches outweighs all others. The map does not expand, so its means converge
        # (Ishikawa, Proc. Amer. Math. Soc. 59, 1976).
        completions = (completions + longer) / 2
        completions -= completions.max(-1, keepdims=True)
    else:
        raise InputError(
            f"the backward masses have not converged after {MOST_STEPS} steps; expected a section "
            "whose states are all reached from each other, and masses less far apart"
        )
    leading = mass.shape[:-1]
    return Stationary(eigenvalue.reshape(leading), found.reshape(*leading, states))
