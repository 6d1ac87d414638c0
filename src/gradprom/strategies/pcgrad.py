"""PCGrad (Yu et al., "Gradient surgery for multi-task learning", NeurIPS 2020, Algorithm 1)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from gradprom.strategies.base import Strategy, check_lambda, scaled


@dataclass(kw_only=True)
class PCGrad(Strategy):
    """Every gradient loses its components against the others, the main one too; θ gets the sum.

    Works on (g_0, λ g_1, …). The original draws the order of the others at random; here each
    gradient meets them by rising index, the main one first, so that a step is reproducible. For
    K = 2 there is only one order.
    """

    name: str = "pcgrad"
    lam: float = 1e-4
    """λ of Eq. 1, >= 0; scales the auxiliary gradients before the comparison."""

    def __post_init__(self) -> None:
        check_lambda(self.lam)

    def weights(self, gram: Tensor) -> Tensor:
        """Sum over i of the weights of gradient i after its projections, times (1, λ, …)."""
        gram, factors = scaled(gram, self.lam)
        total = torch.zeros_like(gram[..., 0])
        for i in range(gram.shape[-1]):
            total += _projected(gram, i)
        return total * factors


def _projected(gram: Tensor, i: int) -> Tensor:
    """Gradient i without its components against the others, as weights [..., K]."""
    weights = torch.zeros_like(gram[..., 0])
    weights[..., i] = 1.0
    for j in range(gram.shape[-1]):
        if j != i:
            agreement, square = (gram[..., j, :] * weights).sum(-1), gram[..., j, j]
            against = (agreement < 0) & (square > 0)
            weights[..., j] -= torch.where(against, agreement / square, 0.0)
    return weights


Options = PCGrad
