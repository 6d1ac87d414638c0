"""Iterations whose fixed points minimise ½‖A x − y‖² + σ²·R(x) (Eq. 4)."""

from collections.abc import Callable

import torch
from torch import Tensor

from gradprom.solvers.problem import Problem

Proximal = Callable[[Tensor, Tensor], Tensor]
"""P: images [B, C, H, W] and the levels σ [B] of the noise that it removes -> images."""
Gradient = Callable[[Tensor], Tensor]
"""G: images [B, C, H, W] -> the regularizer's gradient there."""


class ForwardBackward:
    """f(x) = P_{ησ²}(x − η·D(x, y)) (Eq. 12)."""

    def __init__(self, problem: Problem, proximal: Proximal, step: float) -> None:
        self.problem, self.proximal, self.step = problem, proximal, step

    def forward_step(self, estimate: Tensor) -> Tensor:
        """x − η·D(x, y), [B, C, H, W]."""
        return estimate - self.step * self.problem.data_gradient(estimate)

    def __call__(self, estimate: Tensor) -> Tensor:
        """f(x), [B, C, H, W]."""
        return self.proximal(self.forward_step(estimate), self.step**0.5 * self.problem.level)

    def select(self, rows: Tensor) -> None:
        """Go on with some images."""
        self.problem = self.problem.select(rows)


class GradientDescent:
    """g(x) = x − η·(D(x, y) + σ²·G(x)) (Eq. 14)."""

    def __init__(
        self, problem: Problem, gradient: Gradient, step: float, turns: bool = False
    ) -> None:
        self.problem, self.gradient, self.step, self.turns = problem, gradient, step, turns
        self.number = 0
        """Steps taken; with `turns`, G sees the image in the (number mod 8)-th orientation."""

    def descent(self, estimate: Tensor) -> Tensor:
        """D(x, y) + σ²·G(x), [B, C, H, W]."""
        turn = self.number % 8 if self.turns else 0
        prior = turned_back(self.gradient(turned(estimate, turn)), turn)
        weight = self.problem.level.square().to(estimate).view(-1, 1, 1, 1)
        return self.problem.data_gradient(estimate) + weight * prior

    def __call__(self, estimate: Tensor) -> Tensor:
        """g(x), [B, C, H, W]."""
        following = estimate - self.step * self.descent(estimate)
        self.number += 1
        return following

    def select(self, rows: Tensor) -> None:
        """Go on with some images."""
        self.problem = self.problem.select(rows)


class AdamDescent(GradientDescent):
    """Gradient descent with the steps of Adam (Kingma and Ba 2014), whose fixed points are g's."""

    BETAS, EPSILON = (0.9, 0.999), 1e-8

    def __init__(
        self, problem: Problem, gradient: Gradient, step: float, turns: bool = False
    ) -> None:
        super().__init__(problem, gradient, step, turns)
        self.first: Tensor | None = None
        self.second: Tensor | None = None

    def __call__(self, estimate: Tensor) -> Tensor:
        """The next estimate, [B, C, H, W]."""
        slope, (beta1, beta2) = self.descent(estimate), self.BETAS
        self.number += 1
        first = torch.zeros_like(slope) if self.first is None else self.first
        second = torch.zeros_like(slope) if self.second is None else self.second
        self.first = first.lerp(slope, 1 - beta1)
        self.second = second.lerp(slope.square(), 1 - beta2)
        mean = self.first / (1 - beta1**self.number)
        spread = (self.second / (1 - beta2**self.number)).sqrt()
        return estimate - self.step * mean / (spread + self.EPSILON)

    def select(self, rows: Tensor) -> None:
        """Go on with some images and their moments."""
        super().select(rows)
        assert self.first is not None and self.second is not None
        self.first, self.second = self.first[rows], self.second[rows]


def turned(images: Tensor, turn: int) -> Tensor:
    """The images in one of 8 orientations: quarter turns, from the fifth on of the mirror image."""
    return torch.rot90(images.flip(-1) if turn >= 4 else images, turn % 4, (-2, -1))


def turned_back(images: Tensor, turn: int) -> Tensor:
    """Undo `turned`."""
    upright = torch.rot90(images, -(turn % 4), (-2, -1))
    return upright.flip(-1) if turn >= 4 else upright
