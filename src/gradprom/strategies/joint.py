"""Joint training: both losses always, λ times the auxiliary one (Eq. 6)."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from gradprom.strategies.base import Strategy, check_lambda, check_share, with_main


@dataclass(kw_only=True)
class Joint(Strategy):
    """θ gets ∇θ(L_IP + λ·open_share·L_VR), φ gets ∇φ L_VR."""

    compares: ClassVar[bool] = False

    name: str = "joint"
    lam: float = 1e-4
    """λ of Eq. 1, >= 0."""
    open_share: float = 1.0
    """Scales λ, in [0, 1]. Set to a gated run's share of open gates, it is the control that
    distinguishes well-chosen steps from a smaller λ."""

    def __post_init__(self) -> None:
        check_lambda(self.lam)
        check_share("open_share", self.open_share)

    def weights(self, gram: Tensor) -> Tensor:
        """(1, λ·open_share, …)."""
        return with_main(gram, self.lam * self.open_share)


Options = Joint
