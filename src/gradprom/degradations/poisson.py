"""Poisson noise (Section 4.4, A-5)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gradprom.degradations.base import Noise, constant_level, doubled, in_words, require_share

if TYPE_CHECKING:
    import torch
    from torch import Tensor

LEAST_RATE = 0.002
"""Below it, the probability of a zero count in a white pixel underflows float64."""


@dataclass
class Poisson(Noise):
    """Shot noise: a pixel y becomes Poisson(y / rate) · rate in [0, 1] (Section 4.4, A-5)."""

    name: str = "poisson"
    """Which degradation this is."""
    rate: float = 0.1
    """The value of one count, in units of the image's range [0, 1]; from 0.002 to 1. The noise has
    the standard deviation sqrt(rate · y)."""

    def __post_init__(self) -> None:
        in_counts = f"for {self.rate:g} counts of a white pixel write {1 / (self.rate or 1):.3g}"
        require_share("rate", self.rate, LEAST_RATE, in_counts)

    def draw(
        self, ids: Sequence[str], shape: tuple[int, ...], generator: torch.Generator
    ) -> dict[str, Tensor]:
        """A uniform field, from which `apply` computes the counts of any image."""
        import torch

        return {"uniform": torch.rand(shape, generator=generator, device=generator.device)}

    def apply(self, batch: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        """The quantile of each pixel's own distribution; [B, C, H, W] -> [B, C, H, W]."""
        mean = doubled(batch).clamp(0, 1) / self.rate
        uniform = doubled(parameters["uniform"]).to(mean.device)
        # larger counts would be clamped
        counts = quantile(uniform, mean, math.ceil(1 / self.rate))
        return (counts * self.rate).clamp(0, 1).to(batch)

    def noise_level(self, parameters: Mapping[str, Tensor], batch_size: int) -> Tensor:
        """√rate, [B]: at a white pixel, where it is largest."""
        return constant_level(math.sqrt(self.rate), parameters, batch_size)


Options = Poisson


def quantile(uniform: Tensor, mean: Tensor, largest: int) -> Tensor:
    """The least k with P(N <= k) >= uniform for N ~ Poisson(mean), at most `largest`.

    Both tensors are float64 of one shape; uniform in [0, 1), mean in [0, 700].
    """
    import torch

    counts = torch.zeros_like(mean)
    probability = torch.exp(-mean)  # of N = k
    cumulated = probability.clone()
    spare = torch.empty_like(mean)  # allocating for each k would take longer than the arithmetic
    for k in range(largest):
        counts += torch.gt(uniform, cumulated, out=spare)
        probability *= torch.div(mean, k + 1, out=spare)
        cumulated += probability
    return counts


def label(options: Mapping[str, Any]) -> str:
    """Such as `Poisson 0.1`."""
    return in_words("Poisson {rate:.12g}", options, ("rate",), {})


def sort_key(options: Mapping[str, Any]) -> tuple[float, ...]:
    """After Gaussian noise, by the rate."""
    return 1, options["rate"]
