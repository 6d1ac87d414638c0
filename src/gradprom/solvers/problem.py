"""The inverse problems of a batch: what was observed, and how."""

from dataclasses import dataclass

from torch import Tensor

from gradprom.degradations.observation import Observation


@dataclass(frozen=True)
class Problem:
    """y = A x + noise for a batch of images, each with an operator of its own."""

    observation: Observation
    """The operator A."""
    degraded: Tensor
    """y, [B, C, h, w]."""
    level: Tensor
    """[B]: σ, whose square weighs the regularizer against the data term (Eq. 4)."""

    def data_gradient(self, estimate: Tensor) -> Tensor:
        """D(x, y) = Aᵀ(A x − y) (Eq. 13), [B, C, H, W]."""
        return self.observation.data_gradient(estimate, self.degraded)

    def start(self) -> Tensor:
        """The degradation's first estimate, [B, C, H, W]."""
        return self.observation.start(self.degraded)

    def select(self, rows: Tensor) -> "Problem":
        """The problems of some images; `rows` is int64."""
        return Problem(
            self.observation.select(rows),
            self.degraded.index_select(0, rows),
            self.level.index_select(0, rows),
        )
