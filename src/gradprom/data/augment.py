"""The paper's augmentation (section 4.1), batched, in one affine sampling of image and mask:
flips, a rotation by up to ±10° and a centre crop at a scale of 50–100 %, resized back."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

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
    """Sample images float [B,C,H,W] in [0,1] bilinearly and masks, integers [B,H,W] that are kept
    as such, at the nearest pixel.

    Both are read at the same points; beyond its border an image goes on as its mirror image.
    """
    height, width = images.shape[-2:]
    grid = _grid(affine.to(images.device), height, width)
    # four weights need not add up to 1 to the last bit
    sampled = _sample(images, grid, "bilinear").clamp_(0, 1)
    if mask is None:
        return sampled, None
    return sampled, _nearest(mask, grid, images.dtype)


def apply_to_mask(mask: Tensor, affine: Tensor) -> Tensor:
    """Sample masks, integers [B,H,W], as `apply` does."""
    grid = _grid(affine.to(mask.device), *mask.shape[-2:])
    return _nearest(mask, grid, affine.dtype)


def _nearest(mask: Tensor, grid: Tensor, dtype: torch.dtype) -> Tensor:
    sampled = _sample(mask.unsqueeze(1).to(dtype), grid, "nearest")
    return sampled.squeeze(1).to(mask.dtype)


def _grid(affine: Tensor, height: int, width: int) -> Tensor:
    """Where each output pixel reads, inside the image, as `_sample` takes it: [B,H,W,2]."""
    grid = affine.new_empty(len(affine), 2, height, width)
    x = torch.arange(width, device=affine.device) - (width - 1) / 2
    y = (torch.arange(height, device=affine.device) - (height - 1) / 2).unsqueeze(1)
    for axis, size in enumerate((width, height)):
        a = affine[:, axis, :, None, None]
        # from the image's outer edge: pixel i lies at i + ½
        place = torch.add(a[:, 0] * x, a[:, 1] * y + (a[:, 2] + size / 2), out=grid[:, axis])
        # folded at both outer edges: the distance to the nearest multiple of 2 · size
        place.sub_((place / (2 * size)).round_(), alpha=2 * size).abs_()
        place.clamp_(0.5, size - 0.5).mul_(2 / _padded(size)).sub_(1)
    return grid.permute(0, 2, 3, 1)


def _sample(values: Tensor, grid: Tensor, mode: str) -> Tensor:
    """grid_sample of [B,C,H,W] on an image whose sides are powers of two: in its [-1,1] no other
    pixel lies exactly, and identity and flips would not be exact."""
    height, width = values.shape[-2:]
    missing = (0, _padded(width) - width, 0, _padded(height) - height)
    if any(missing):
        values = F.pad(values, missing)  # which is never read
    return F.grid_sample(values, grid, mode=mode, align_corners=False)


def _padded(size: int) -> int:
    return 1 << (size - 1).bit_length()
