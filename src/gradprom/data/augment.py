"""The paper's augmentation (section 4.1), batched, in one affine sampling of image and mask:
flips, a rotation by up to ±10° and a centre crop at a scale of 50–100 %, resized back."""

from __future__ import annotations

import math

import torch
from torch import Tensor

MAX_ANGLE = math.radians(10)
MIN_SCALE = 0.5


def draw(batch_size: int, generator: torch.Generator) -> Tensor:
    """Random affine maps, float32 [B,2,3] on the CPU, whatever device the images are on.

    A map takes an output pixel's offset (x right, y down, in pixels) from the image's centre to
    the offset of the input point it shows. The crop's scale is that of its sides.
    """
    uniform = torch.rand(batch_size, 4, dtype=torch.float64, generator=generator)
    flip_x, flip_y = (uniform[:, :2] < 0.5).unbind(1)
    angle = MAX_ANGLE * (2 * uniform[:, 2] - 1)
    scale = MIN_SCALE + (1 - MIN_SCALE) * uniform[:, 3]
    return compose(flip_x, flip_y, angle, scale)


def compose(flip_x: Tensor, flip_y: Tensor, angle: Tensor, scale: Tensor) -> Tensor:
    """Affine maps float32 [B,2,3] that crop at `scale`, rotate by `angle` (radians,
    counter-clockwise as seen) and flip left-right and up-down; each argument is [B]."""
    x, y = 1 - 2 * flip_x.double(), 1 - 2 * flip_y.double()
    cos, sin, zero = scale * angle.cos(), scale * angle.sin(), torch.zeros_like(scale)
    rows = [torch.stack([cos * x, -sin * y, zero], 1), torch.stack([sin * x, cos * y, zero], 1)]
    return torch.stack(rows, 1).float()


def apply(images: Tensor, mask: Tensor | None, affine: Tensor) -> tuple[Tensor, Tensor | None]:
    """Sample images float [B,C,H,W] bilinearly and masks int64 [B,H,W] at the nearest pixel.

    Both are read at the same points; beyond its border an image goes on as its mirror image.
    """
    # Pixel coordinates and gathering, where grid_sample would round through [-1,1]: identity and
    # flips stay exact, and devices without grid_sample's mirrored border serve as well.
    height, width = images.shape[-2:]
    x, y = _points(affine.to(images.device), height, width)
    left, top = x.floor(), y.floor()
    right_share, bottom_share = (x - left).unsqueeze(1), (y - top).unsqueeze(1)
    left, top = left.long(), top.long()
    right, bottom = (left + 1).clamp(max=width - 1), (top + 1).clamp(max=height - 1)
    above = torch.lerp(_take(images, left, top), _take(images, right, top), right_share)
    below = torch.lerp(_take(images, left, bottom), _take(images, right, bottom), right_share)
    sampled = torch.lerp(above, below, bottom_share)
    if mask is None:
        return sampled, None
    nearest = ((x + 0.5).floor().long(), (y + 0.5).floor().long())
    return sampled, _take(mask.unsqueeze(1), *nearest).squeeze(1)


def _points(affine: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Where each output pixel reads: x and y in input pixels, float32 [B,H,W], inside the image."""
    center_x, center_y = (width - 1) / 2, (height - 1) / 2
    x = torch.arange(width, device=affine.device) - center_x
    y = (torch.arange(height, device=affine.device) - center_y).unsqueeze(1)
    a = affine[:, :, :, None, None]
    return (
        _mirror(a[:, 0, 0] * x + a[:, 0, 1] * y + a[:, 0, 2] + center_x, width),
        _mirror(a[:, 1, 0] * x + a[:, 1, 1] * y + a[:, 1, 2] + center_y, height),
    )


def _mirror(position: Tensor, size: int) -> Tensor:
    """Fold positions back at the outer edges of the first and the last pixel (-½, size - ½)."""
    folded = (position + 0.5).remainder(2 * size)
    # Only what lies outside is folded: inside, the arithmetic would cost exactness.
    folded = torch.minimum(folded, 2 * size - folded) - 0.5
    inside = (position >= -0.5) & (position <= size - 0.5)
    return torch.where(inside, position, folded).clamp(0, size - 1)


def _take(values: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """values [B,C,H,W] at the pixels x, y int64 [B,H,W]."""
    index = (y * values.shape[-1] + x).flatten(1).unsqueeze(1)
    index = index.expand(-1, values.shape[1], -1)
    return values.flatten(2).gather(2, index).unflatten(2, x.shape[1:])
