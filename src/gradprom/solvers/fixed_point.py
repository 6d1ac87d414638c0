"""The fixed point of an iteration, image by image: who has converged costs nothing any more."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class Iteration(Protocol):
    """One step of a solver for the images that are still moving."""

    def __call__(self, estimate: Tensor) -> Tensor:
        """The next estimate, [B, C, H, W]."""

    def select(self, rows: Tensor) -> None:
        """Go on with some images alone; `rows` is int64, places among the present ones."""


@dataclass
class Stopping:
    """When an image stops (section 5.2): whichever comes first."""

    iterations: int = 500
    """At most; >= 1."""
    tolerance: float = 1e-7
    """Converged: the mean square of a step is smaller; 0: no image ever is."""
    limit: float = 100.0
    """Diverged: a value is larger than this, or no number."""

    def __post_init__(self) -> None:
        if self.iterations < 1:
            raise ValueError(f"iterations={self.iterations}: allowed are whole numbers >= 1")
        if not self.tolerance >= 0:
            raise ValueError(f"tolerance={self.tolerance}: allowed are numbers >= 0")
        if not self.limit > 0:
            raise ValueError(f"limit={self.limit}: allowed are numbers > 0")


@dataclass(frozen=True)
class Solution:
    """Where an iteration has ended."""

    estimate: Tensor
    """[B, C, H, W]: the last estimate, of an image that diverged the last one within the limit."""
    iterations: Tensor
    """[B] int64."""
    converged: Tensor
    """[B] bool."""
    diverged: Tensor
    """[B] bool."""


@torch.no_grad()
def fixed_point(
    iteration: Iteration,
    start: Tensor,
    stopping: Stopping,
    watch: Callable[[Tensor, Tensor], None] | None = None,
) -> Solution:
    """Iterate from `start` [B, C, H, W] until every image has stopped.

    The host asks the device after each step whether an image has.

    Parameters
    ----------
    iteration
        What is iterated; used up.
    start
        The first estimate.
    stopping
        When an image stops.
    watch
        Called after each step with the rows of `start` that still move, and their estimates.
    """
    estimate, moving = start.clone(), torch.arange(len(start), device=start.device)
    iterations = torch.zeros_like(moving)
    converged, diverged = (torch.zeros_like(moving, dtype=torch.bool) for _ in range(2))
    present = start
    for _ in range(stopping.iterations):
        following = iteration(present)
        step = (following - present).square().mean((1, 2, 3))
        within = following.abs().amax((1, 2, 3)) <= stopping.limit  # false for NaN
        present = following.where(within.view(-1, 1, 1, 1), present)
        iterations.index_add_(0, moving, torch.ones_like(moving))
        met = within & (step < stopping.tolerance)
        if watch is not None:
            watch(moving, present)
        if bool((met | ~within).any()):
            estimate.index_copy_(0, moving, present)
            converged.index_copy_(0, moving, met)
            diverged.index_copy_(0, moving, ~within)
            rows = (within & ~met).nonzero().flatten()
            moving, present = moving[rows], present[rows]
            if not len(rows):
                break
            iteration.select(rows)
    estimate.index_copy_(0, moving, present)
    return Solution(estimate, iterations, converged, diverged)
