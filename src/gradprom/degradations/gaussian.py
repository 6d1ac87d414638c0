"""White Gaussian noise (Section 4.2)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gradprom.degradations.base import SameShape


@dataclass
class Gaussian(SameShape):
    """Additive white Gaussian noise, the same σ at every pixel and channel (Section 4.2)."""

    name: str = "gaussian"
    """Which degradation this is."""
    sigma: float = 0.1
    """Standard deviation of the noise in image units, where the image's range is [0, 1]; >= 0."""
    clamp: bool = True
    """Whether the noisy image is cut to [0, 1], as ESTR does it."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.sigma) and self.sigma >= 0):
            raise ValueError(f"sigma={self.sigma}: allowed are finite numbers >= 0")

    def draw(
        self, ids: Sequence[str], shape: tuple[int, ...], generator: torch.Generator
    ) -> dict[str, Tensor]:
        """A standard normal field: σ scales it in `apply`, so every σ sees the same field."""
        noise = torch.empty(shape, device=generator.device, dtype=torch.float32)
        return {"noise": noise.normal_(generator=generator)}

    def apply(self, batch: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        """batch + σ·noise, cut to [0, 1] if `clamp`; [B, C, H, W] -> [B, C, H, W]."""
        noisy = batch + self.sigma * parameters["noise"].to(batch)
        return noisy.clamp_(0, 1) if self.clamp else noisy
