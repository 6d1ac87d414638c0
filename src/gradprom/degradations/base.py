"""What a degradation is: the seam that every file of this package stands behind."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor


class Degradation(Protocol):
    """What every degradation offers; images are [B, C, H, W] with values in [0, 1]."""

    name: str

    def draw(
        self, ids: Sequence[str], shape: tuple[int, ...], generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Draw what is random for clean images of `shape` [B, C, H, W].

        The tensors have the first dimension B and lie on the generator's device.
        """
        ...

    def apply(self, batch: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        """Degrade `batch` [B, C, H, W] by a draw, on the batch's device, without randomness."""
        ...

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the degraded images of clean images of `shape` [B, C, H, W].

        Raises ValueError for images that it cannot degrade.
        """
        ...


class Deterministic:
    """A degradation that draws nothing."""

    def draw(
        self, ids: Sequence[str], shape: tuple[int, ...], generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Nothing is random here."""
        return {}


class SameShape:
    """A degradation that leaves the shape as it is."""

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The clean images' own shape."""
        return shape


def scale_of(degradation: Degradation) -> int:
    """How many times smaller than the clean images the degraded ones are; a power of two."""
    side = 2**20
    return side // degradation.output_shape((1, 1, side, side))[-1]


def doubled(values: Tensor) -> Tensor:
    """The values in float64, in which every device finds the same float32 in the end.

    They are on the CPU where their own device has no float64 (MPS).
    """
    return (values.cpu() if values.device.type == "mps" else values).double()
