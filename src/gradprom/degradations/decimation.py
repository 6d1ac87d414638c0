"""Down-sampling by an antialiasing filter whose borders meet, as in tests of super-resolution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gradprom.degradations import circulant
from gradprom.degradations.base import Deterministic, divided, doubled, in_words

if TYPE_CHECKING:
    from torch import Tensor

FILTERS = ("bicubic", "gaussian")
SIGMA = 0.5
"""Standard deviation of the Gaussian filter, in pixels of the small image."""


@dataclass
class Decimation(Deterministic):
    """Bicubic (a = −0.75) or Gaussian filter, then one pixel of each square of `scale` pixels."""

    name: str = "decimation"
    """Which degradation this is."""
    scale: int = 2
    """How many times smaller height and width become; any whole number >= 1."""
    filter: str = "bicubic"
    """`bicubic`; or `gaussian`, whose σ is half a pixel of the small image."""

    def __post_init__(self) -> None:
        if self.scale < 1:
            raise ValueError(f"scale={self.scale}: allowed are whole numbers >= 1")
        if self.filter not in FILTERS:
            raise ValueError(f"filter={self.filter}: must be one of {', '.join(FILTERS)}")

    def apply(self, batch: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        """[B, C, H, W] -> [B, C, H/scale, W/scale], not clamped."""
        self.output_shape(tuple(batch.shape))
        wide = doubled(batch)
        return circulant.filtered(wide, *self._matrices(batch.shape, wide)).to(batch)

    def operator(self, batch: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        """The same as `apply`; prepared, in the images' own precision, to be fast."""
        if (matrices := circulant.prepared(parameters, batch)) is not None:
            return circulant.filtered(batch, *matrices)
        return self.apply(batch, parameters)

    def adjoint(
        self, batch: Tensor, parameters: Mapping[str, Tensor], shape: tuple[int, ...]
    ) -> Tensor:
        """[B, C, H/scale, W/scale] -> [B, C, H, W], by the transposed matrices."""
        if (matrices := circulant.prepared(parameters, batch)) is not None:
            return circulant.filtered(batch, *(matrix.mT for matrix in matrices))
        wide = doubled(batch)
        rows, columns = self._matrices(shape, wide)
        return circulant.filtered(wide, rows.mT, columns.mT).to(batch)

    def prepare(
        self, parameters: Mapping[str, Tensor], shape: tuple[int, ...]
    ) -> dict[str, Tensor]:
        """The filter along both axes, `rows` and `columns`, [B, side/scale, side] float32."""
        import torch

        wide = torch.zeros(shape[0], dtype=torch.float64)
        rows, columns = (matrix.float() for matrix in self._matrices(shape, wide))
        return {**parameters, "rows": rows, "columns": columns}

    def start(
        self, batch: Tensor, parameters: Mapping[str, Tensor], shape: tuple[int, ...]
    ) -> Tensor:
        """The small images enlarged bicubically, borders meeting: [B, C, H, W], not clamped."""
        wide = doubled(batch)
        scale = wide.new_full((len(wide),), self.scale)
        rows, columns = (
            circulant.enlarging(side, scale, side // self.scale) for side in shape[-2:]
        )
        return circulant.filtered(wide, rows, columns).to(batch)

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """[B, C, H/scale, W/scale].

        Raises
        ------
        ValueError
            If `scale` does not divide H and W.
        """
        return divided(shape, self.scale)

    def _matrices(self, shape: tuple[int, ...], wide: Tensor) -> list[Tensor]:
        """Of rows and of columns, on the device of `wide`, [B, side/scale, side] each."""
        import torch

        scale = wide.new_full((len(wide),), self.scale)
        matrices = []
        for side in shape[-2:]:
            steps = torch.arange(0, side, self.scale, dtype=wide.dtype, device=wide.device)
            centres = (steps + (self.scale - 1) / 2).expand(len(wide), -1)
            if self.filter == "bicubic":
                matrices.append(circulant.bicubic(centres, side, scale))
            else:
                matrices.append(circulant.gaussian(centres, side, SIGMA * scale))
        return matrices


Options = Decimation


def label(options: Mapping[str, Any]) -> str:
    """Such as `÷2 bicubic`."""
    return in_words("÷{scale} {filter}", options, ("scale", "filter"), {})


def sort_key(options: Mapping[str, Any]) -> tuple[float, ...]:
    """After down-sampling and completion, by scale and filter."""
    return 5, options["scale"], FILTERS.index(options["filter"])
