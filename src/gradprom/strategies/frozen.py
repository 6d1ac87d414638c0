"""Frozen recognizer: its loss may train the enhancer, but it does not learn itself."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from gradprom.strategies.base import Strategy, check_lambda, with_main


@dataclass(kw_only=True)
class Frozen(Strategy):
    """θ gets ∇θ(L_IP + λ L_VR), φ nothing.

    Put the recognizer in eval mode, too: this strategy freezes its parameters, not its BatchNorm
    statistics.
    """

    compares: ClassVar[bool] = False
    learns: ClassVar[bool] = False

    name: str = "frozen"
    lam: float = 1e-4
    """λ of Eq. 1, >= 0."""
    pass_gradient: bool = True
    """Does ∇θ L_VR pass through the frozen recognizer into the enhancer? The paper's text says no,
    which would make the row equal to the enhancer alone; ESTR, which it describes, says yes."""

    def __post_init__(self) -> None:
        check_lambda(self.lam)

    def weights(self, gram: Tensor) -> Tensor:
        """(1, λ, …), or (1, 0, …) without `pass_gradient`."""
        return with_main(gram, self.lam if self.pass_gradient else 0.0)


Options = Frozen
