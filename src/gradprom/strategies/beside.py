"""A loss with a fixed weight beside those that a strategy weighs."""

from typing import Any

import torch
from torch import Tensor

from gradprom.strategies.base import Strategy


class Beside(Strategy):
    """Weighs all losses but the last by a strategy, which does not see that one; it always joins.

    Parameters
    ----------
    strategy
        Weighs the losses before the last one, by their gradients alone.
    weight
        The weight of the last loss.
    """

    def __init__(self, strategy: Strategy, weight: float) -> None:
        self.strategy, self.weight = strategy, weight
        self.name, self.lam = strategy.name, strategy.lam
        self.granularity, self.gate_on = strategy.granularity, strategy.gate_on

    @property
    def compares(self) -> bool:  # type: ignore[override]
        """As the strategy."""
        return self.strategy.compares

    @property
    def learns(self) -> bool:  # type: ignore[override]
        """As the strategy."""
        return self.strategy.learns

    def weights(self, gram: Tensor) -> Tensor:
        """The strategy's weights [..., K - 1] for a `gram` [..., K, K], and the fixed one."""
        inner = self.strategy.weights(gram[..., :-1, :-1])
        return torch.cat([inner, inner.new_full((*inner.shape[:-1], 1), self.weight)], -1)

    def state_dict(self) -> dict[str, Any]:
        """That of the strategy."""
        return self.strategy.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a `state_dict`."""
        self.strategy.load_state_dict(state)
