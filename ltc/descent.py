"""Gradient descent on what is not a run of its own: transforms, before and after training."""

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["gradient_descent"]


def gradient_descent(
    optimizer: torch.optim.Optimizer, steps: int, loss: Callable[[int], Tensor]
) -> None:
    """Take steps whose rate falls to zero, along half a period of the cosine.

    What a constant rate leaves of a few samples' noise can outweigh the gain.

    Arguments:
        optimizer: of the parameters, which it changes.
        steps: how many.
        loss: returns what is to be minimised, of the number of a step.

    Example:
        >>> x = torch.tensor([3.0], requires_grad=True)
        >>> gradient_descent(torch.optim.Adam([x], lr=0.1), 200, lambda step: (x - 1).square())
        >>> round(x.item(), 2)
        1.0
    """
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(steps):
        optimizer.zero_grad()
        loss(step).backward()
        optimizer.step()
        schedule.step()
