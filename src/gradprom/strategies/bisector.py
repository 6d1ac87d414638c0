"""The bisector of the two gradients' directions (ConFIG, arXiv 2408.11104, Eq. 2)."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gradprom.strategies.base import Strategy, check_lambda, two_scaled


@dataclass(kw_only=True)
class Bisector(Strategy):
    """θ follows u = v_0/‖v_0‖ + v_1/‖v_1‖, v = (g_0, λ g_1), as far as both gradients go along it.

    Both losses gain in proportion to their gradients' length, whatever λ, which enters only the
    length of the step. Two losses share this direction in ConFIG, IMTL-G (Liu et al., ICLR 2021),
    FairGrad with α = 1 (arXiv 2402.15638) and Nash-MTL (arXiv 2202.01017); the length is ConFIG's.
    """

    two_losses: ClassVar[bool] = True

    name: str = "bisector"
    lam: float = 1e-4
    """λ of Eq. 1, >= 0; scales the auxiliary gradient, and so only the length of the step."""

    def __post_init__(self) -> None:
        check_lambda(self.lam)

    def weights(self, gram: Tensor) -> Tensor:
        """(ℓ/‖v_0‖, λℓ/‖v_1‖) with ℓ = (‖v_0‖ + ‖v_1‖)/2; (1, λ) where a gradient is zero.

        The main loss's weight is at least 1/2, and that for a small λ; gradients of equal length
        get (1, λ).

        Raises
        ------
        ValueError
            Unless K = 2.
        """
        main, _, auxiliary, factors = two_scaled(self.name, gram, self.lam)
        norms = torch.stack([main, auxiliary], -1).sqrt()
        half = norms.mean(-1, keepdim=True)
        defined = (norms > 0).all(-1, keepdim=True)
        return torch.where(defined, half / norms, 1.0) * factors


Options = Bisector
