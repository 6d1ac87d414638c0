"""Low resolution at the full number of pixels, as of Task-GAN's faces."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gradprom.degradations.base import Deterministic, SameShape, doubled, in_words

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class LowResolution(Deterministic, SameShape):
    """Gaussian blur, bicubic down-sampling, and bicubic up-sampling to the size it had.

    All of it is linear and of one axis at a time: an image X becomes R X Cᵀ, clamped to [0, 1].
    Borders are reflected before the blur; sides that `factor` does not divide are rounded up.
    """

    name: str = "low_resolution"
    """Which degradation this is."""
    factor: int = 8
    """How many times smaller a side becomes in between; >= 2."""
    sigma: float = 4.0
    """Standard deviation of the Gaussian in pixels, cut at 3 of them; > 0. The publication does not
    say."""

    def __post_init__(self) -> None:
        if self.factor < 2:
            raise ValueError(f"factor={self.factor}: allowed are whole numbers >= 2")
        if not (math.isfinite(self.sigma) and self.sigma > 0):
            raise ValueError(f"sigma={self.sigma}: allowed are finite numbers > 0")

    def apply(self, batch: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]."""
        return self._product(batch, transposed=False).clamp(0, 1).to(batch)

    def operator(self, batch: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W], not clamped to [0, 1]."""
        return self._product(batch, transposed=False).to(batch)

    def adjoint(
        self, batch: Tensor, parameters: Mapping[str, Tensor], shape: tuple[int, ...]
    ) -> Tensor:
        """Rᵀ Y C."""
        return self._product(batch, transposed=True).to(batch)

    def _product(self, batch: Tensor, transposed: bool) -> Tensor:
        wide = doubled(batch)
        rows, columns = (
            _matrix(size, self.factor, self.sigma).to(wide.device) for size in batch.shape[-2:]
        )
        return rows.mT @ wide @ columns if transposed else rows @ wide @ columns.mT


Options = LowResolution


@functools.lru_cache(maxsize=32)
def _matrix(size: int, factor: int, sigma: float) -> Tensor:
    """Blur, down- and up-sampling of one axis, [size, size] in float64 on the CPU."""
    import torch
    from torch.nn import functional as F

    def resized(matrix: Tensor, rows: int) -> Tensor:
        shape = (rows, matrix.shape[1])
        return F.interpolate(matrix[None, None], shape, mode="bicubic", antialias=True)[0, 0]

    radius = math.ceil(3 * sigma)
    offsets = torch.arange(-radius, radius + 1)
    weights = torch.exp(-(offsets.double() ** 2) / (2 * sigma**2))
    # a place outside is the one that a mirror at the border shows, as often as it takes
    places = torch.arange(size)[:, None] + offsets
    period = max(2 * (size - 1), 1)
    places = (places % period).minimum(-places % period)
    blur = torch.zeros(size, size, dtype=torch.float64)
    blur.scatter_add_(1, places, (weights / weights.sum()).expand(size, -1))
    return resized(resized(blur, -(-size // factor)), size)


def label(options: Mapping[str, Any]) -> str:
    """Such as `×8 and back`."""
    return in_words("×{factor} and back", options, ("factor",), {"sigma": 4.0})


def sort_key(options: Mapping[str, Any]) -> tuple[float, ...]:
    """Beside down-sampling, by the factor."""
    return 3, options["factor"]
