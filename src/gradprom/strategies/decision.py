"""What a strategy decided at one step, for the log."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gradprom.strategies.base import cosines


@dataclass(frozen=True, eq=False)
class Decision:
    """A decision and its basis; tensors on the device, without waiting for it."""

    weights: Tensor
    """[K], or [layers, K] for a decision per layer: what each loss's gradient was weighted with."""
    gram: Tensor | None
    """[K, K] or [layers, K, K]: inner products of the gradients; None if not computed."""
    lam: float
    """The strategy's λ."""
    overall: "Decision | None" = None
    """If a part of θ decided and it was measured: what all of θ would have decided."""

    @property
    def _whole(self) -> Tensor:
        """[K, K] over all layers; NaN if no inner products were computed."""
        if self.gram is None:
            size = self.weights.shape[-1]
            return self.weights.new_full((size, size), math.nan)
        return self.gram if self.gram.dim() == 2 else self.gram.sum(0)

    @property
    def cosine(self) -> Tensor:
        """[K-1] in [-1, 1]: main with each auxiliary gradient; 0 if one is zero, NaN if unknown."""
        return cosines(self._whole)

    @property
    def norms(self) -> Tensor:
        """[K] >= 0: Euclidean norms of the gradients, not scaled by λ; NaN if unknown."""
        return self._whole.diagonal().sqrt()

    @property
    def gate(self) -> Tensor:
        """[K-1] in [0, 1]: 1 where an auxiliary gradient joined, else 0; the mean over layers."""
        is_open = torch.atleast_2d(self.weights)[:, 1:] != 0
        return is_open.to(self.weights.dtype).mean(0)

    @property
    def ratio(self) -> Tensor:
        """[K-1] >= 0: λ‖g_k‖/‖g_0‖, an auxiliary gradient's size relative to the main one's if it
        joins with all of λ; NaN if unknown or if the main gradient is zero."""
        norms = self.norms
        return torch.where(norms[0] == 0, math.nan, self.lam * norms[1:] / norms[0])
