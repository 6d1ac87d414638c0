"""Filters along one axis of an image whose borders meet, as matrices; each image has its own.

An image is filtered by `rows @ image @ columns.mT`: exact adjoints, and kernels of any phase. All
matrices are float64 [B, positions, side], and their rows add up to 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

RADIUS = 12
"""Pixels on each side of a Gaussian kernel's centre: 25×25, as in PnP-ReG's tests."""
SHARPNESS = -0.75
"""The parameter a of the bicubic kernel (Keys 1981), as in PnP-ReG's tests."""
LEAST_SIGMA = 1e-3
"""Below this standard deviation, in pixels, a Gaussian kernel is the identity."""


def gaussian(centres: Tensor, side: int, sigma: Tensor) -> Tensor:
    """Gaussian weights of the pixels around each centre.

    Parameters
    ----------
    centres
        Positions along the axis in pixels, [B, positions].
    side
        Length of the axis in pixels.
    sigma
        Standard deviations in pixels, [B], >= 0.
    """
    distances = _distances(centres, side)
    spread = sigma.double().clamp(min=LEAST_SIGMA).view(-1, 1, 1)
    return _normalised((-((distances / spread) ** 2) / 2).exp() * (distances.abs() <= RADIUS))


def bicubic(centres: Tensor, side: int, scale: Tensor) -> Tensor:
    """Bicubic weights of the pixels around each centre; the kernel is stretched by `scale`, [B].

    With the factor of a down-sampling as `scale` this is its antialiasing filter.
    """
    stretched = (_distances(centres, side) / scale.double().view(-1, 1, 1)).abs()
    return _normalised(_keys(stretched))


def enlarging(side: int, scale: Tensor, smaller: int) -> Tensor:
    """Bicubic enlargement of an axis from `smaller` pixels by `scale`, [B]: [B, side, smaller].

    Pixel k of the small image lies in the middle of the `scale` pixels that it stands for.
    """
    import torch

    factor = scale.double().view(-1, 1)
    places = torch.arange(side, dtype=torch.float64, device=scale.device)
    return _normalised(_keys(_distances((places + 0.5) / factor - 0.5, smaller).abs()))


def filtered(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """[B, C, H, W] -> [B, C, h, w] by matrices [B, h, H] and [B, w, W], of one B for all."""
    batch, channels, height, width = images.shape
    # each image's channels as one matrix: a product for each channel copies the filters
    along = images.reshape(batch, channels * height, width) @ columns.mT
    along = along.view(batch, channels, height, -1).transpose(1, 2).reshape(batch, height, -1)
    return (rows @ along).view(batch, rows.shape[1], channels, -1).transpose(1, 2)


def prepared(parameters: Mapping[str, Tensor], images: Tensor) -> list[Tensor] | None:
    """The matrices `rows` and `columns` of a draw, of the images' type; None if it has none."""
    if "rows" not in parameters:
        return None
    return [parameters[name].to(images) for name in ("rows", "columns")]


def _distances(centres: Tensor, side: int) -> Tensor:
    """From centres [B, positions] the shortest way to each pixel, [B, positions, side]."""
    import torch

    pixels = torch.arange(side, dtype=torch.float64, device=centres.device)
    half = side / 2
    return (pixels - centres.double()[..., None] + half).remainder(side) - half


def _keys(distances: Tensor) -> Tensor:
    """The bicubic kernel at distances >= 0."""
    a, x = SHARPNESS, distances
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return near.where(x <= 1, far.where(x < 2, x.new_zeros(())))


def _normalised(weights: Tensor) -> Tensor:
    return weights / weights.sum(-1, keepdim=True)
