"""MGDA: the shortest convex combination of two gradients (Désidéri, C. R. Math. 350, 2012)."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gradprom.strategies.base import Strategy, check_lambda, two_scaled


@dataclass(kw_only=True)
class MGDA(Strategy):
    """θ gets γ g_0 + (1 - γ) λ g_1 with the γ in [0, 1] that makes it shortest.

    It follows the shorter gradient: with a small λ that is the auxiliary one, and the main loss
    hardly moves θ. A zero gradient on either side stops θ (Pareto-stationary).
    """

    two_losses: ClassVar[bool] = True

    name: str = "mgda"
    lam: float = 1e-4
    """λ of Eq. 1, >= 0; scales the auxiliary gradient before the comparison."""

    def __post_init__(self) -> None:
        check_lambda(self.lam)

    def weights(self, gram: Tensor) -> Tensor:
        """(γ, (1 - γ)λ), γ = clamp(⟨v_1, v_1 - v_0⟩ / ‖v_1 - v_0‖², 0, 1), v = (g_0, λ g_1).

        Raises
        ------
        ValueError
            Unless K = 2, the only case with a closed form.
        """
        main, both, auxiliary, factors = two_scaled(self.name, gram, self.lam)
        distance = main - 2 * both + auxiliary
        share = ((auxiliary - both) / distance).clamp(0, 1)
        # with equal gradients every share gives the same result, but 0/0 would not
        share = torch.where(distance == 0, 1.0, share)
        return torch.stack([share, 1 - share], -1) * factors


Options = MGDA
