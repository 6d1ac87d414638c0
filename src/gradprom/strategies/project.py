"""One-sided projection: an auxiliary gradient loses its component against the main one."""

from dataclasses import dataclass

import torch
from torch import Tensor

from gradprom.strategies.base import Strategy, check_lambda, with_main


@dataclass(kw_only=True)
class Project(Strategy):
    """If ⟨g_0, g_k⟩ < 0, g_k loses its component along g_0, so that it is orthogonal to it.

    The main gradient is never changed. θ gets g_0 + λ Σ g_k.
    """

    name: str = "project"
    lam: float = 1e-4
    """λ of Eq. 1, >= 0."""

    def __post_init__(self) -> None:
        check_lambda(self.lam)

    def weights(self, gram: Tensor) -> Tensor:
        """(1 + λ Σ [s_k < 0]·|s_k|/‖g_0‖², λ, …) with s_k = ⟨g_0, g_k⟩.

        The removed components lie along g_0, so they are expressed in g_0's weight.
        """
        main, agreement = gram[..., :1, 0], gram[..., 0, 1:]
        against = torch.where((agreement < 0) & (main > 0), agreement / main, 0.0)
        weights = with_main(gram, self.lam)
        weights[..., 0] -= self.lam * against.sum(-1)
        return weights


Options = Project
