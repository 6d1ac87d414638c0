"""Low-count noise: an image from a fraction of the dose, as Task-GAN's ultra-low-dose PET."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gradprom.degradations.base import Noise, in_words
from gradprom.degradations.poisson import LEAST_RATE, Poisson

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass
class LowCount(Noise):
    """A pixel y becomes Poisson(y · counts · dose) / (counts · dose), in [0, 1].

    The clean image stands for the full dose without noise. Counts that are left out at random leave
    Poisson counts, so that a low dose is Poisson noise of fewer counts.
    """

    name: str = "low_count"
    """Which degradation this is."""
    counts: float = 1000.0
    """Counts of a white pixel at full dose; > 0."""
    dose: float = 0.01
    """The share of them that is left, in (0, 1]; a white pixel keeps 1 to 500 counts."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.counts) and self.counts > 0):
            raise ValueError(f"counts={self.counts}: allowed are finite numbers > 0")
        if not 0 < self.dose <= 1:
            raise ValueError(f"dose={self.dose}: allowed are numbers > 0 and <= 1")
        if not 1 <= (left := self.counts * self.dose) <= 1 / LEAST_RATE:
            raise ValueError(
                f"counts={self.counts} at dose={self.dose} leave a white pixel {left:g} counts: "
                f"allowed are 1 to {1 / LEAST_RATE:g}"
            )

    @property
    def poisson(self) -> Poisson:
        """The noise of the counts that are left."""
        return Poisson(rate=1 / (self.counts * self.dose))

    def draw(
        self, ids: Sequence[str], shape: tuple[int, ...], generator: torch.Generator
    ) -> dict[str, Tensor]:
        """A uniform field, from which `apply` computes the counts of any image."""
        return self.poisson.draw(ids, shape, generator)

    def apply(self, batch: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        """The quantile of each pixel's own distribution; [B, C, H, W] -> [B, C, H, W]."""
        return self.poisson.apply(batch, parameters)

    def noise_level(self, parameters: Mapping[str, Tensor], batch_size: int) -> Tensor:
        """1/√(counts · dose), [B]: at a white pixel, where it is largest."""
        return self.poisson.noise_level(parameters, batch_size)


Options = LowCount


def label(options: Mapping[str, Any]) -> str:
    """Such as `1 % of 1000 counts`."""
    shown = {**options, "dose": 100 * options["dose"]}
    return in_words("{dose:.12g} % of {counts:.12g} counts", shown, ("dose", "counts"), {})


def sort_key(options: Mapping[str, Any]) -> tuple[float, ...]:
    """After Poisson noise of a rate, by the counts that are left, most first."""
    return 1, 1 + 1 / (options["counts"] * options["dose"])
