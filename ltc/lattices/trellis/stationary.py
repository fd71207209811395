"""The stationary model of a trellis whose sections repeat without end."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse.csgraph

from ltc.errors import InputError
from ltc.lattices.trellis.structure import FloatArray, Section

__all__ = ["Stationary", "stationary"]

# Steps times branches at most, some 20 s. Where masses are far apart, e^-30 and less, convergence
# may take millions of steps. What is not quite the eigenvector costs less, in nats a coordinate,
# than the bounds of the eigenvalue lie apart.
MOST_WORK = 1 << 31


class Stationary(NamedTuple):
    """What the backward pass over an endless trellis converges to, natural logarithms.

    Attributes:
        log_growth: what one more section multiplies the mass of all completions of a state by,
            shape (..., states): for all states the leading eigenvalue of the branch matrix, as
            near as the iteration came.
        log_completions: its right eigenvector, the mass of all completions of a state, shape
            (..., states); the greatest is one. A branch has the probability
            `p(branch | state) = mass(coset) b(next) / (growth(state) b(state))`: these sum to one
            whatever b is.
    """

    log_growth: FloatArray
    log_completions: FloatArray


def stationary(section: Section, log_mass: npt.ArrayLike) -> Stationary:
    """Return the model of an endless trellis of this one section.

    The branch matrix has the mass of all branches from state to state. Power iteration in
    float64 and in logarithms, branch by branch, until the bounds of Collatz and Wielandt on the
    eigenvalue, the least and the greatest growth of a state, meet, or for long enough (Horn
    and Johnson, *Matrix Analysis*, section 8.1; of such models: Shannon, *A mathematical theory of
    communication*, 1948, appendix 4).

    Arguments:
        section: a section that ends in as many states as it begins in, each reached from each.
        log_mass: natural logarithm of the mass of each coset, shape (..., cosets), finite.

    Raises:
        InputError: the section or the masses are not as above.

    Example: with two free branches from each state, one more section doubles the paths.
        >>> from ltc.lattices import Convolutional
        >>> model = stationary(Convolutional(8).section, [0.0, 0.0, 0.0, 0.0])
        >>> np.exp(model.log_growth).round(9).tolist()[:2]
        [2.0, 2.0]
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
    edges = scipy.sparse.coo_array((np.ones(leave.size), (leave[order], target)))
    if scipy.sparse.csgraph.connected_components(edges, connection="strong")[0] > 1:
        raise InputError("the states of the section are not all reached from each other")
    along = mass.reshape(-1, cosets)[:, section.coset.reshape(-1)[order]]
    grown, found = np.zeros((2, len(along), states))
    # Of a thousand tables one takes a thousand times as many steps as most.
    left, completions = np.arange(len(along)), found
    work = 0
    while len(left):
        work += along.size
        longer = np.logaddexp.reduceat(along + completions[:, target], first, axis=-1)
        growth = longer - completions
        # Logarithms of this size are rounded to about this.
        rounding = 1e-14 * (100 + np.abs(longer).max(-1))
        done = np.ptp(growth, -1) <= rounding
        done |= work > MOST_WORK
        if done.any():
            grown[left[done]] = growth[done]
            found[left[done]] = completions[done]
            left, along = left[~done], along[~done]
            completions, longer = completions[~done], longer[~done]
        # Half a step, the mean of the logarithms: a whole one would go in circles where a circle
        # of branches outweighs all others. The map does not expand, so its means converge
        # (Ishikawa, Proc. Amer. Math. Soc. 59, 1976).
        completions = (completions + longer) / 2
        completions -= completions.max(-1, keepdims=True)
    shape = (*mass.shape[:-1], states)
    return Stationary(grown.reshape(shape), found.reshape(shape))
