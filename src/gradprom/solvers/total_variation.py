"""Total variation as the regularizer, by the primal-dual iteration of Condat and Vu (2013)."""

import torch
from torch import Tensor

from gradprom.solvers.problem import Problem

PRIMAL_STEP, DUAL_STEP = 0.3, 0.3
"""τ and σ: 1/τ − 8σ >= L/2, for operators whose normal matrix AᵀA has a norm L up to 1.8."""


class TotalVariation:
    """One step towards argmin ½‖A x − y‖² + w·TV(x).

    TV is isotropic: the sum over pixels and channels of the length of (∂x/∂h, ∂x/∂v), by forward
    differences.

    Parameters
    ----------
    problem
        The problems; their level does not count.
    weight
        w, [B].
    """

    def __init__(self, problem: Problem, weight: Tensor) -> None:
        self.problem, self.weight = problem, weight.view(-1, 1, 1, 1, 1)
        self.dual: Tensor | None = None

    def __call__(self, estimate: Tensor) -> Tensor:
        """The next estimate, [B, C, H, W]."""
        # the dual step comes first: from a dual of 0, a start that fits the data would not move
        slopes = differences(estimate)
        before = torch.zeros_like(slopes) if self.dual is None else self.dual
        dual = before + DUAL_STEP * slopes
        # onto the ball of radius w, pixel by pixel
        dual = dual / (dual.norm(dim=1, keepdim=True) / self.weight).clamp(min=1)
        self.dual = dual
        data = self.problem.data_gradient(estimate)
        return estimate - PRIMAL_STEP * (data + differences_adjoint(2 * dual - before))

    def select(self, rows: Tensor) -> None:
        """Go on with some images and their dual variables."""
        assert self.dual is not None
        self.problem, self.weight = self.problem.select(rows), self.weight[rows]
        self.dual = self.dual[rows]


def differences(images: Tensor) -> Tensor:
    """Forward differences down and to the right, 0 at the border: [B, 2, C, H, W]."""
    down, right = torch.zeros_like(images), torch.zeros_like(images)
    down[..., :-1, :] = images[..., 1:, :] - images[..., :-1, :]
    right[..., :-1] = images[..., 1:] - images[..., :-1]
    return torch.stack([down, right], dim=1)


def differences_adjoint(field: Tensor) -> Tensor:
    """The transpose of `differences`: [B, 2, C, H, W] -> [B, C, H, W]."""
    down, right = field.unbind(1)
    result = torch.zeros_like(down)
    result[..., 1:, :] += down[..., :-1, :]
    result[..., :-1, :] -= down[..., :-1, :]
    result[..., 1:] += right[..., :-1]
    result[..., :-1] -= right[..., :-1]
    return result
