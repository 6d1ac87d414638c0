"""Bicubic down-sampling, and the enlargement that undoes its size."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gradprom.degradations.base import Deterministic, divided, doubled, in_words

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class Downsample(Deterministic):
    """Bicubic down-sampling with antialiasing (a = −0.5, as in Pillow), clamped to [0, 1]."""

    name: str = "downsample"
    """Which degradation this is."""
    scale: int = 2
    """How many times smaller height and width become; any whole number >= 1."""

    def __post_init__(self) -> None:
        if self.scale < 1:
            raise ValueError(f"scale={self.scale}: allowed are whole numbers >= 1")

    def apply(self, batch: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        """[B, C, H, W] -> [B, C, H/scale, W/scale]."""
        return self._smaller(batch).clamp(0, 1).to(batch)

    def operator(self, batch: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        """[B, C, H, W] -> [B, C, H/scale, W/scale], not clamped to [0, 1]."""
        return self._smaller(batch).to(batch)

    def adjoint(
        self, batch: Tensor, parameters: Mapping[str, Tensor], shape: tuple[int, ...]
    ) -> Tensor:
        """[B, C, H/scale, W/scale] -> [B, C, H, W]: Rᵀ y C, where A x is R x Cᵀ."""
        wide = doubled(batch)
        rows, columns = (_matrix(size, self.scale).to(wide.device) for size in shape[-2:])
        return (rows.mT @ wide @ columns).to(batch)

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """[B, C, H/scale, W/scale].

        Raises
        ------
        ValueError
            If `scale` does not divide H and W.
        """
        return divided(shape, self.scale)

    def _smaller(self, batch: Tensor) -> Tensor:
        """The down-sampled images in float64."""
        from torch.nn import functional as F

        size, wide = self.output_shape(tuple(batch.shape))[-2:], doubled(batch)
        if wide.requires_grad:  # CUDA adds up the gradients of `interpolate` in no fixed order
            rows, columns = (_matrix(n, self.scale).to(wide.device) for n in batch.shape[-2:])
            return rows @ wide @ columns.mT
        return F.interpolate(wide, size, mode="bicubic", antialias=True)


Options = Downsample


@functools.lru_cache(maxsize=32)
def _matrix(size: int, scale: int) -> Tensor:
    """Down-sampling of one axis as a matrix [size/scale, size], float64 on the CPU."""
    import torch
    from torch.nn import functional as F

    unit = torch.eye(size, dtype=torch.float64)[None, None]
    return F.interpolate(unit, (size // scale, size), mode="bicubic", antialias=True)[0, 0]


def label(options: Mapping[str, Any]) -> str:
    """Such as `×2`."""
    return in_words("×{scale}", options, ("scale",), {})


def sort_key(options: Mapping[str, Any]) -> tuple[float, ...]:
    """After noises and blur, by the scale."""
    return 3, options["scale"]


def enlarge(images: Tensor, size: Sequence[int]) -> Tensor:
    """[B, C, h, w] -> [B, C, *size], bicubic (a = −0.5) and clamped to [0, 1].

    Images that already have the size are returned unchanged.
    """
    from torch.nn import functional as F

    if images.shape[-2:] == tuple(size):
        return images
    larger = F.interpolate(images, tuple(size), mode="bicubic", antialias=True)
    return larger.clamp(0, 1)
