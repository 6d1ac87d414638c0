"""Pixel-wise completion: pixels are missing at random, as in inpainting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gradprom.degradations.base import Noiseless, SameShape, in_words

if TYPE_CHECKING:
    import torch
    from torch import Tensor

LARGEST_DROP = 0.99
GREY = 0.5
"""What the missing pixels of a first estimate are."""


@dataclass
class Completion(Noiseless, SameShape):
    """y = M x: each pixel, with all its channels, is set to zero with probability `drop`."""

    name: str = "completion"
    """Which degradation this is."""
    drop: float = 0.5
    """Probability that a pixel is dropped, in [0, 0.99]."""

    def __post_init__(self) -> None:
        if not 0 <= self.drop <= LARGEST_DROP:
            raise ValueError(f"drop={self.drop}: allowed are numbers from 0 to {LARGEST_DROP}")

    def draw(
        self, ids: Sequence[str], shape: tuple[int, ...], generator: torch.Generator
    ) -> dict[str, Tensor]:
        """`mask` [B, 1, H, W], True where a pixel stays.

        From a uniform field: a larger `drop` drops the same pixels and more.
        """
        import torch

        size = (shape[0], 1, *shape[2:])
        return {"mask": torch.rand(size, generator=generator, device=generator.device) >= self.drop}

    def apply(self, batch: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        """The pixels that are kept, and zeros; [B, C, H, W] -> [B, C, H, W]."""
        return batch * parameters["mask"].to(batch)

    def operator(self, batch: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        """M x: the same as `apply`."""
        return self.apply(batch, parameters)

    def adjoint(
        self, batch: Tensor, parameters: Mapping[str, Tensor], shape: tuple[int, ...]
    ) -> Tensor:
        """Mᵀ y = M y: M is diagonal."""
        return self.apply(batch, parameters)

    def start(
        self, batch: Tensor, parameters: Mapping[str, Tensor], shape: tuple[int, ...]
    ) -> Tensor:
        """The pixels that are kept, and grey."""
        return batch + GREY * (~parameters["mask"]).to(batch)


Options = Completion


def label(options: Mapping[str, Any]) -> str:
    """Such as `completion 0.5`."""
    return in_words("completion {drop:.12g}", options, ("drop",), {})


def sort_key(options: Mapping[str, Any]) -> tuple[float, ...]:
    """After down-sampling, by the probability."""
    return 4, options["drop"]
