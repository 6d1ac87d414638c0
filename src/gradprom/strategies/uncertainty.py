"""Uncertainty weighting (Kendall et al., "Multi-task learning using uncertainty to weigh losses",
CVPR 2018, arXiv 1705.07115)."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gradprom.strategies.base import LossStrategy, check_lambda, check_state, loss_factors

LARGEST = 30.0
"""Bound of |s|, so that no weight leaves float32's range where a loss stays 0."""


@dataclass(kw_only=True)
class Uncertainty(LossStrategy):
    """θ gets ∇θ Σ v_k exp(-s_k), v = (L_IP, λ L_VR, …); each s_k descends v_k exp(-s_k) + s_k.

    s_k is the logarithm of what the paper calls the loss's variance. It begins at 0, with the
    weights of joint training, and ends at log v_k, where every loss counts for 1. So λ decides
    where the weights begin, and not where they end.
    """

    name: str = "uncertainty"
    lam: float = 1e-4
    """λ of Eq. 1, >= 0; scales the auxiliary losses at the beginning."""
    rate: float = 0.01
    """Learning rate of s, > 0, for descent along its gradient clipped to [-1, 1]."""

    def __post_init__(self) -> None:
        check_lambda(self.lam)
        if not 0 < self.rate < math.inf:
            raise ValueError(f"rate must be a finite number > 0, got {self.rate}")
        self._logs: Tensor | None = None  # [K], s

    def weights(self, gram: Tensor, losses: Tensor | None = None) -> Tensor:
        """(exp(-s_0), λ exp(-s_1), …), with the s before this step's losses have moved them.

        The main loss's weight goes from 1 to 1/L_IP. A loss that is not finite moves nothing.
        """
        factors, values = loss_factors(self.name, gram, self.lam, losses)
        logs = torch.zeros_like(factors) if self._logs is None else self._logs.to(gram.device)
        weights = factors * (-logs).exp()
        slope = (1 - values * (-logs).exp()).clamp(-1, 1)
        moved = (logs - self.rate * slope).clamp(-LARGEST, LARGEST)
        self._logs = torch.where(values.isfinite(), moved, logs)
        return weights

    def state_dict(self) -> dict[str, Tensor]:
        """s, [K]; empty before the first step."""
        return {} if self._logs is None else {"logs": self._logs}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue from a `state_dict`, on whichever device it was loaded."""
        check_state(self.name, state, ("logs",))
        self._logs = state["logs"].clone() if state else None


Options = Uncertainty
