"""Plug-and-play ADMM (Chan et al. 2016) with a falling noise level."""

import math

import torch
from torch import Tensor

from gradprom.solvers.iterations import Proximal
from gradprom.solvers.problem import Problem

FIRST_LEVEL = 49 / 255
"""The noise level that the first step removes, as in Zhang et al. 2021."""
INNER_STEPS = 12
"""Of conjugate gradients in each data step, from the previous solution on."""


class ADMM:
    """Alternates a data step, a denoising step P and a dual step; the estimate is P's output.

    The denoiser's level s falls geometrically from `FIRST_LEVEL` to that of the problem over
    `steps` iterations, then stays; the penalty is ρ = σ²/s².
    """

    def __init__(self, problem: Problem, proximal: Proximal, steps: int) -> None:
        self.problem, self.proximal, self.steps = problem, proximal, steps
        self.number = 0
        self.dual: Tensor | None = None
        """u, the scaled dual variable."""
        self.data_solution: Tensor | None = None

    def __call__(self, estimate: Tensor) -> Tensor:
        """The next estimate, [B, C, H, W]."""
        level = self._level()
        penalty = (self.problem.level / level).square().to(estimate).view(-1, 1, 1, 1)
        dual = torch.zeros_like(estimate) if self.dual is None else self.dual
        start = estimate if self.data_solution is None else self.data_solution
        solution = data_step(self.problem, estimate - dual, penalty, start, INNER_STEPS)
        following = self.proximal(solution + dual, level)
        self.number += 1
        dual = dual + solution - following
        # scaled by the penalty, which changes
        self.dual = dual * (self._level() / level).square().to(dual).view(-1, 1, 1, 1)
        self.data_solution = solution
        return following

    def select(self, rows: Tensor) -> None:
        """Go on with some images and their dual variables."""
        assert self.dual is not None and self.data_solution is not None
        self.problem = self.problem.select(rows)
        self.dual, self.data_solution = self.dual[rows], self.data_solution[rows]

    def _level(self) -> Tensor:
        share = min(self.number / max(self.steps - 1, 1), 1.0)
        last = self.problem.level
        return (math.log(FIRST_LEVEL) * (1 - share) + last.log() * share).exp().maximum(last)


def data_step(
    problem: Problem, centre: Tensor, penalty: Tensor, start: Tensor, steps: int
) -> Tensor:
    """argmin ½‖A x − y‖² + ρ/2·‖x − centre‖², by conjugate gradients for each image.

    Parameters
    ----------
    problem
        A and y.
    centre
        [B, C, H, W].
    penalty
        ρ > 0, [B, 1, 1, 1].
    start
        The first estimate.
    steps
        Of conjugate gradients.
    """
    observation = problem.observation

    def normal(x: Tensor) -> Tensor:
        return observation.adjoint(observation.operator(x)) + penalty * x

    solution = start
    residual = observation.adjoint(problem.degraded) + penalty * centre - normal(solution)
    direction, size = residual, _squared(residual)
    for _ in range(steps):
        image = normal(direction)
        # an image that is solved exactly has no direction left, and no length along it
        length = size / (direction * image).sum((1, 2, 3), keepdim=True).clamp(min=1e-30)
        solution = solution + length * direction
        residual = residual - length * image
        following = _squared(residual)
        direction = residual + following / size.clamp(min=1e-30) * direction
        size = following
    return solution


def _squared(images: Tensor) -> Tensor:
    return images.square().sum((1, 2, 3), keepdim=True)
