"""Projection on the dual cone (Lopez-Paz and Ranzato, "Gradient Episodic Memory", Eq. 11,
arXiv 1706.08840)."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gradprom.strategies.base import Strategy, check_lambda, two_scaled


@dataclass(kw_only=True)
class DualProj(Strategy):
    """θ gets the vector nearest to v_0 + v_1 = g_0 + λ g_1 along which neither loss rises.

    Unlike `pcgrad`, it changes nothing while the sum agrees with both gradients, even if they
    conflict. Where it disagrees with the shorter one, which is λ g_1 for a small λ, the sum loses
    its component along that, however small λ is: in effect the main gradient is projected.
    """

    two_losses: ClassVar[bool] = True

    name: str = "dualproj"
    lam: float = 1e-4
    """λ of Eq. 1, >= 0; scales the auxiliary gradient before the comparison."""

    def __post_init__(self) -> None:
        check_lambda(self.lam)

    def weights(self, gram: Tensor) -> Tensor:
        """(1 + m_0, (1 + m_1)λ), m_i = max(0, -⟨v_i, v_0 + v_1⟩/‖v_i‖²): at most one m is not 0.

        The main loss's weight is at least 1.

        Raises
        ------
        ValueError
            Unless K = 2.
        """
        main, both, auxiliary, factors = two_scaled(self.name, gram, self.lam)
        squares = torch.stack([main, auxiliary], -1)
        against = squares + both.unsqueeze(-1)
        added = torch.where((against < 0) & (squares > 0), -against / squares, 0.0)
        return (1 + added) * factors


Options = DualProj
