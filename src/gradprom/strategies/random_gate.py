"""A random gate: the control for whether GradProm's choice of steps matters."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gradprom.strategies.base import Strategy, check_lambda, check_share, with_main


@dataclass(kw_only=True)
class RandomGate(Strategy):
    """θ gets ∇θ L_IP, and λ∇θ L_VR as well with probability `rate`; φ gets ∇φ L_VR either way.

    Each auxiliary loss has its own draw. All data-parallel ranks draw the same.
    """

    compares: ClassVar[bool] = False

    name: str = "random_gate"
    lam: float = 1e-4
    """λ of Eq. 1, >= 0."""
    rate: float = 0.5
    """Probability that a gate is open, in [0, 1], such as a gated run's share of open gates."""
    seed: int = 0
    """Seed of the gate's own random numbers, >= 0; no others are used or changed."""

    def __post_init__(self) -> None:
        check_lambda(self.lam)
        check_share("rate", self.rate)
        if self.seed < 0:
            raise ValueError(f"seed must be >= 0, got {self.seed}")
        self._generator = torch.Generator().manual_seed(self.seed)

    def weights(self, gram: Tensor) -> Tensor:
        """(1, λ with probability `rate` else 0, …)."""
        # drawn on the CPU: the same decisions on every device, without waiting for it
        draws = torch.rand(gram.shape[-1] - 1, generator=self._generator)
        is_open = (draws < self.rate).to(gram.device, gram.dtype, non_blocking=True)
        return with_main(gram, is_open * self.lam)

    def state_dict(self) -> dict[str, Tensor]:
        """The state of the gate's random numbers, a uint8 tensor on the CPU."""
        return {"generator": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue from a `state_dict`, on whichever device it was loaded."""
        self._generator.set_state(state["generator"].cpu())


Options = RandomGate
