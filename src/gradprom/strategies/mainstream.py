"""The enhancer alone: the baseline that every auxiliary loss has to beat (Benchmark-i)."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from gradprom.strategies.base import Strategy, with_main


@dataclass(kw_only=True)
class Mainstream(Strategy):
    """θ gets ∇θ L_IP; auxiliary losses, where given, are measured (`measure`) but never used."""

    compares: ClassVar[bool] = False
    learns: ClassVar[bool] = False
    has_auxiliary: ClassVar[bool] = False

    name: str = "mainstream"

    def weights(self, gram: Tensor) -> Tensor:
        """(1, 0, …)."""
        return with_main(gram, 0.0)


Options = Mainstream
