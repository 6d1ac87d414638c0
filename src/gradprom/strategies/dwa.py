"""Dynamic weight average (Liu et al., "End-to-end multi-task learning with attention", CVPR 2019,
arXiv 1803.10704, Eq. 7)."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gradprom.strategies.base import LossStrategy, check_lambda, check_state, loss_factors


@dataclass(kw_only=True)
class DWA(LossStrategy):
    """θ gets ∇θ Σ w_k v_k, v = (L_IP, λ L_VR, …): a loss that falls slowly weighs more.

    w = K softmax(r/T), where r_k is a loss's mean over the last `window` steps, divided by that
    over the `window` before it; r = 1 until there are two. The paper's windows are epochs.
    """

    name: str = "dwa"
    lam: float = 1e-4
    """λ of Eq. 1, >= 0."""
    temperature: float = 2.0
    """T > 0: the larger, the more equal the weights."""
    window: int = 50
    """Steps over which a loss is averaged, >= 1."""

    def __post_init__(self) -> None:
        check_lambda(self.lam)
        if not 0 < self.temperature < math.inf:
            raise ValueError(f"temperature must be a finite number > 0, got {self.temperature}")
        if self.window < 1:
            raise ValueError(f"window must be >= 1, got {self.window}")
        self._steps = 0
        self._sums: Tensor | None = None  # [2, K] of the running window: losses, and their number
        self._means: Tensor | None = None  # [2, K]: of the last window, and of the one before it

    def weights(self, gram: Tensor, losses: Tensor | None = None) -> Tensor:
        """(w_0, λ w_1, …), by the windows that ended before this step; the w sum to K.

        The main loss's weight lies between 0 and K, and is 1 where all losses fall alike. A loss
        that is not finite does not count.
        """
        factors, values = loss_factors(self.name, gram, self.lam, losses)
        zeros = torch.zeros_like(values).expand(2, -1)
        sums = zeros if self._sums is None else self._sums.to(gram.device)
        means = zeros if self._means is None else self._means.to(gram.device)
        ratio = torch.where(means[1] > 0, means[0] / means[1], 1.0)
        finite = values.isfinite()
        sums = sums + torch.stack([torch.where(finite, values, 0.0), finite.to(values.dtype)])
        self._steps += 1
        if self._steps % self.window == 0:
            mean = torch.where(sums[1] > 0, sums[0] / sums[1], 0.0)
            means = torch.stack([mean, means[0] if self._steps > self.window else mean])
            sums = zeros
        self._sums, self._means = sums, means
        return factors * (ratio / self.temperature).softmax(-1) * len(ratio)

    def state_dict(self) -> dict[str, Tensor]:
        """The number of steps, and sums and means of the windows; empty before the first step."""
        if self._sums is None or self._means is None:
            return {}
        return {"steps": torch.tensor(self._steps), "sums": self._sums, "means": self._means}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue from a `state_dict`, on whichever device it was loaded."""
        check_state(self.name, state, ("steps", "sums", "means"))
        self._steps = int(state["steps"]) if state else 0
        self._sums = state["sums"].clone() if state else None
        self._means = state["means"].clone() if state else None


Options = DWA
