"""Gaussian blur (Section 4.4, A-5)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gradprom.degradations import circulant
from gradprom.degradations.base import Deterministic, SameShape, doubled, in_words
from gradprom.identity import added

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class Blur(Deterministic, SameShape):
    """Convolution of each channel with a Gaussian kernel."""

    name: str = "blur"
    """Which degradation this is."""
    kernel: int = 3
    """Height and width of the kernel in pixels; odd, >= 3."""
    sigma: float = 2.0
    """Standard deviation of the Gaussian in pixels, before it is cut to the kernel; > 0."""
    border: str = added("reflected")
    """What lies beyond a border: `reflected`, the mirror image; `circular`, the other side."""

    def __post_init__(self) -> None:
        if self.kernel < 3 or self.kernel % 2 == 0:
            raise ValueError(f"kernel={self.kernel}: allowed are odd numbers >= 3")
        if not (math.isfinite(self.sigma) and self.sigma > 0):
            raise ValueError(f"sigma={self.sigma}: allowed for a blur are finite numbers > 0")
        if self.border not in BORDERS:
            raise ValueError(f"border={self.border}: must be one of {', '.join(BORDERS)}")

    def apply(self, batch: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]; rows, then columns."""
        blurred = doubled(batch)
        for dim in (2, 3):
            blurred = self._filtered(BORDERS[self.border](blurred, dim, self.kernel // 2), dim)
        return blurred.to(batch)

    def operator(self, batch: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        """The same as `apply`; prepared, in the images' own precision, to be fast."""
        if (matrices := circulant.prepared(parameters, batch)) is not None:
            return circulant.filtered(batch, *matrices)
        return self.apply(batch, parameters)

    def adjoint(
        self, batch: Tensor, parameters: Mapping[str, Tensor], shape: tuple[int, ...]
    ) -> Tensor:
        """The blur of the image and its surroundings, with the surroundings folded back."""
        from torch.nn import functional as F

        if (matrices := circulant.prepared(parameters, batch)) is not None:
            return circulant.filtered(batch, *(matrix.mT for matrix in matrices))
        if self.border == "circular":
            return self.apply(batch, parameters)  # symmetric, and no border is cut
        radius = self.kernel // 2
        # the kernel is symmetric: the transposed filter differs only at the borders
        spread = F.pad(doubled(batch), (2 * radius,) * 4)
        for dim in (3, 2):
            spread = _folded(self._filtered(spread, dim), dim, radius)
        return spread.to(batch)

    def prepare(
        self, parameters: Mapping[str, Tensor], shape: tuple[int, ...]
    ) -> dict[str, Tensor]:
        """The blur along both axes as matrices `rows` and `columns`, [B, side, side] float32."""
        import torch

        matrices = []
        for side in shape[-2:]:
            eye = torch.eye(side, dtype=torch.float64)[None, None]
            matrix = self._filtered(BORDERS[self.border](eye, 2, self.kernel // 2), 2)
            matrices.append(matrix[0].float().expand(shape[0], -1, -1))
        return {**parameters, "rows": matrices[0], "columns": matrices[1]}

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The clean images' shape.

        Raises
        ------
        ValueError
            If it is too small to be continued.
        """
        if min(shape[-2:]) <= self.kernel // 2:
            height, width = shape[-2:]
            raise ValueError(
                f"a blur of {self.kernel}×{self.kernel} pixels needs images of more than "
                f"{self.kernel // 2} pixels a side, and these have {height}×{width}"
            )
        return shape

    def _filtered(self, images: Tensor, dim: int) -> Tensor:
        """The kernel along one axis, which loses its border."""
        # a sum of shifts, because a convolution may round differently on another device
        length = images.shape[dim] - self.kernel + 1
        return sum(
            (w * images.narrow(dim, k, length) for k, w in enumerate(self._weights())),
            start=images.new_zeros(()),
        )

    def _weights(self) -> list[float]:
        """The kernel along one axis; the weights sum to 1."""
        radius = self.kernel // 2
        distances = [k / self.sigma for k in range(-radius, radius + 1)]
        values = [math.exp(-d * d / 2) for d in distances]  # d**2 may overflow
        return [value / math.fsum(values) for value in values]


Options = Blur


def _mirrored(images: Tensor, dim: int, radius: int) -> Tensor:
    """Reflection padding along one axis, whose gradients CUDA adds up in a fixed order."""
    import torch

    length = images.shape[dim]
    before = images.narrow(dim, 1, radius).flip(dim)
    after = images.narrow(dim, length - 1 - radius, radius).flip(dim)
    return torch.cat([before, images, after], dim)


def _wrapped(images: Tensor, dim: int, radius: int) -> Tensor:
    """Circular padding along one axis."""
    import torch

    length = images.shape[dim]
    before, after = images.narrow(dim, length - radius, radius), images.narrow(dim, 0, radius)
    return torch.cat([before, images, after], dim)


BORDERS: dict[str, Callable[[Tensor, int, int], Tensor]] = {
    "reflected": _mirrored,
    "circular": _wrapped,
}
"""How an image is continued along one axis by some pixels, by name."""


def _folded(images: Tensor, dim: int, radius: int) -> Tensor:
    """The transpose of reflection padding: values beyond a border are added at their mirror."""
    length = images.shape[dim] - 2 * radius
    inner = images.narrow(dim, radius, length).clone()
    inner.narrow(dim, 1, radius).add_(images.narrow(dim, 0, radius).flip(dim))
    after = images.narrow(dim, radius + length, radius)
    inner.narrow(dim, length - 1 - radius, radius).add_(after.flip(dim))
    return inner


def label(options: Mapping[str, Any]) -> str:
    """Such as `blur 3×3 σ=2`."""
    form = "blur {kernel}×{kernel} σ={sigma:.12g}"
    return in_words(form, options, ("kernel", "sigma"), {"border": "reflected"})


def sort_key(options: Mapping[str, Any]) -> tuple[float, ...]:
    """After both noises, by the kernel's size."""
    return 2, options["kernel"], options["sigma"]
