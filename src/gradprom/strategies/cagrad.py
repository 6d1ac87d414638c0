"""CAGrad (Liu et al., "Conflict-averse gradient descent for multi-task learning", NeurIPS 2021,
arXiv 2110.14048, Algorithm 1)."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gradprom.strategies.base import Strategy, check_lambda, precision, two_scaled


@dataclass(kw_only=True)
class CAGrad(Strategy):
    """θ gets the d that helps the loss it helps least the most, within ‖d - s‖ <= c‖s‖.

    s = g_0 + λ g_1, where the paper has the mean of the gradients: so c = 0 is joint training. A
    loss is helped by ⟨v, d⟩, v = (g_0, λ g_1): with a small λ it is the auxiliary one.
    """

    two_losses: ClassVar[bool] = True

    name: str = "cagrad"
    lam: float = 1e-4
    """λ of Eq. 1, >= 0; scales the auxiliary gradient before the comparison."""
    c: float = 0.5
    """How far the step may leave s, as a share of its length, >= 0; the paper has 0.4 and 0.5."""

    def __post_init__(self) -> None:
        check_lambda(self.lam)
        if not 0 <= self.c < math.inf:
            raise ValueError(f"c must be a finite number >= 0, got {self.c}")

    def weights(self, gram: Tensor) -> Tensor:
        """(1, λ) + c‖s‖/‖g_w‖ (x, (1 - x)λ), with g_w = x v_0 + (1 - x) v_1 and the x in [0, 1]
        that minimizes ⟨g_w, s⟩ + c‖s‖‖g_w‖.

        The main loss's weight is at least 1. With a gradient that is zero the weights are (1, λ).
        With gradients that oppose each other exactly, g_w vanishes and s is shortened by its
        share c, to no less than 0.

        Raises
        ------
        ValueError
            Unless K = 2.
        """
        main, both, auxiliary, factors = two_scaled(self.name, gram, self.lam)
        defined = (main > 0) & (auxiliary > 0)
        # of unit size, because products of squares may leave float32's range
        size = torch.where(defined, main + auxiliary, 1.0)
        main, both, auxiliary = main / size, both / size, auxiliary / size
        radius = self.c * (main + 2 * both + auxiliary).clamp(min=0).sqrt()
        x = _share(main, both, auxiliary, radius)
        parts = torch.stack([x, 1 - x], -1)
        own = parts[..., 0].square() * main + parts[..., 1].square() * auxiliary
        square = own + 2 * x * (1 - x) * both
        opposed = (square <= precision(gram) * own).unsqueeze(-1)
        extra = (radius / square.clamp(min=0).sqrt()).unsqueeze(-1) * parts
        extra = torch.where(opposed, -min(self.c, 1.0), extra)
        return torch.where(defined.unsqueeze(-1), 1 + extra, 1.0) * factors


def _share(main: Tensor, both: Tensor, auxiliary: Tensor, radius: Tensor) -> Tensor:
    """The x in [0, 1] that minimizes ⟨g_w, s⟩ + radius·‖g_w‖; arguments and x are [...].

    ‖g_w‖² = A x² + 2B x + C, and ⟨g_w, s⟩ rises by `slope` with x. The derivative is zero where
    y = A x + B has y/√(y² + AC - B²) = -slope/(radius √A). Without such a y, x is an end.
    """
    slope, curvature = main - auxiliary, (main - 2 * both + auxiliary).clamp(min=0)
    tiny = torch.finfo(main.dtype).tiny
    ratio = slope / (radius * curvature.sqrt()).clamp(min=tiny)
    inside = ratio.abs() < 1
    apart = (main * auxiliary - both.square()).clamp(min=0).sqrt()
    y = -ratio * apart / torch.where(inside, 1 - ratio.square(), 1.0).sqrt()
    x = torch.where(inside, (y + auxiliary - both) / curvature, (slope < 0).to(main.dtype))
    # equal gradients: every x gives the same result, but 0/0 would not
    return torch.where(curvature > 0, x, 0.5).clamp(0, 1)


Options = CAGrad
