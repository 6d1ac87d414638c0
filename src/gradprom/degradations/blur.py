"""Gaussian blur (Section 4.4, A-5)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from gradprom.degradations.base import Deterministic, SameShape, doubled


@dataclass
class Blur(Deterministic, SameShape):
    """Convolution with a Gaussian kernel, each channel alone, borders reflected."""

    name: str = "blur"
    """Which degradation this is."""
    kernel: int = 3
    """Height and width of the kernel in pixels; odd, >= 3."""
    sigma: float = 2.0
    """Standard deviation of the Gaussian in pixels, before the kernel cuts it; > 0."""

    def __post_init__(self) -> None:
        if self.kernel < 3 or self.kernel % 2 == 0:
            raise ValueError(f"kernel={self.kernel}: allowed are odd numbers >= 3")
        if not (math.isfinite(self.sigma) and self.sigma > 0):
            raise ValueError(f"sigma={self.sigma}: allowed for a blur are finite numbers > 0")

    def apply(self, batch: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]; rows, then columns."""
        radius = self.kernel // 2
        blurred = F.pad(doubled(batch), (radius,) * 4, mode="reflect")
        for dim in (2, 3):
            # a sum of shifts: a convolution may round otherwise on another device
            length = batch.shape[dim]
            blurred = sum(
                (w * blurred.narrow(dim, k, length) for k, w in enumerate(self._weights())),
                start=blurred.new_zeros(()),
            )
        return blurred.to(batch)

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The clean images' own shape; ValueError where it is too small to be reflected."""
        if min(shape[-2:]) <= self.kernel // 2:
            height, width = shape[-2:]
            raise ValueError(
                f"a blur of {self.kernel}×{self.kernel} pixels needs images of more than "
                f"{self.kernel // 2} pixels a side, and these have {height}×{width}"
            )
        return shape

    def _weights(self) -> list[float]:
        """One axis of the kernel; they add up to 1."""
        radius = self.kernel // 2
        values = [math.exp(-((k / self.sigma) ** 2) / 2) for k in range(-radius, radius + 1)]
        return [value / math.fsum(values) for value in values]
