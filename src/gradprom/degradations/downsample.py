"""Bicubic down-sampling, and the enlargement that undoes its size."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from gradprom.degradations.base import Deterministic, doubled


@dataclass
class Downsample(Deterministic):
    """Bicubic down-sampling with antialiasing (a = −0.5, as Pillow does it), cut to [0, 1]."""

    name: str = "downsample"
    """Which degradation this is."""
    scale: int = 2
    """How many times smaller height and width become; a power of two, and 1 for as they are."""

    def __post_init__(self) -> None:
        if self.scale < 1 or self.scale & (self.scale - 1):
            raise ValueError(f"scale={self.scale}: allowed are powers of two (2, 4, 8, ...)")

    def apply(self, batch: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        """[B, C, H, W] -> [B, C, H/scale, W/scale]."""
        size = self.output_shape(tuple(batch.shape))[-2:]
        smaller = F.interpolate(doubled(batch), size, mode="bicubic", antialias=True)
        return smaller.clamp(0, 1).to(batch)

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """[B, C, H/scale, W/scale]; ValueError where `scale` does not divide H and W."""
        *rest, height, width = shape
        if height % self.scale or width % self.scale:
            raise ValueError(f"{height}×{width} pixels cannot be divided by scale={self.scale}")
        return (*rest, height // self.scale, width // self.scale)


def enlarge(images: Tensor, size: Sequence[int]) -> Tensor:
    """[B, C, h, w] -> [B, C, *size], bicubic (a = −0.5) and cut to [0, 1].

    Images of that size already are given back untouched.
    """
    if images.shape[-2:] == tuple(size):
        return images
    larger = F.interpolate(images, tuple(size), mode="bicubic", antialias=True)
    return larger.clamp(0, 1)
