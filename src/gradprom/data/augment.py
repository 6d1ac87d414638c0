"""The paper's augmentation (section 4.1), batched, in one affine sampling of image and mask:
flips, a rotation by up to ±10° and a centre crop at a scale of 50–100 %, resized back."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

MAX_ANGLE = math.radians(10)
MIN_SCALE = 0.5


def draw(batch_size: int, generator: torch.Generator) -> Tensor:
    """Random affine maps, float32 [B,2,3] on the CPU, independent of the images' device.

    A map takes an output pixel's offset (x right, y down, in pixels) from the image's centre to
    the offset of the input point it shows. The crop's scale is that of its sides.
    """
    uniform = torch.rand(batch_size, 4, dtype=torch.float64, generator=generator)
    flip_x, flip_y = (uniform[:, :2] < 0.5).unbind(1)
    angle = MAX_ANGLE * (2 * uniform[:, 2] - 1)
    scale = MIN_SCALE + (1 - MIN_SCALE) * uniform[:, 3]
    return compose(flip_x, flip_y, angle, scale)


def compose(flip_x: Tensor, flip_y: Tensor, angle: Tensor, scale: Tensor) -> Tensor:
    """Affine maps that crop, rotate and flip.

    Parameters
    ----------
    flip_x, flip_y : Tensor
        [B]: whether to flip left-right and up-down.
    angle : Tensor
        [B]: the rotation in radians, counter-clockwise on the screen.
    scale : Tensor
        [B]: the side of the crop as a share of the image's.

    Returns
    -------
    Tensor
        float32 [B,2,3].
    """
    x, y = 1 - 2 * flip_x.double(), 1 - 2 * flip_y.double()
    cos, sin, zero = scale * angle.cos(), scale * angle.sin(), torch.zeros_like(scale)
    rows = [torch.stack([cos * x, -sin * y, zero], 1), torch.stack([sin * x, cos * y, zero], 1)]
    return torch.stack(rows, 1).float()


def apply(images: Tensor, mask: Tensor | None, affine: Tensor) -> tuple[Tensor, Tensor | None]:
    """Sample images bilinearly, and masks at the nearest pixel, at the same points.

    Beyond its border an image is continued by its mirror image.

    Parameters
    ----------
    images : Tensor
        float [B,C,H,W] in [0,1].
    mask : Tensor or None
        Integers [B,H,W]; the type is kept.
    affine : Tensor
        [B,2,3], as `draw` gives it.
    """
    height, width = images.shape[-2:]
    grid = _grid(affine.to(images.device), height, width)
    # rounded, the four weights may not add up to exactly 1
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
    """The point in the image that each output pixel shows, as `_sample` takes it: [B,H,W,2]."""
    grid = affine.new_empty(len(affine), 2, height, width)
    x = torch.arange(width, device=affine.device) - (width - 1) / 2
    y = (torch.arange(height, device=affine.device) - (height - 1) / 2).unsqueeze(1)
    for axis, size in enumerate((width, height)):
        a = affine[:, axis, :, None, None]
        # measured from the image's outer edge: pixel i is at i + ½
        place = torch.add(a[:, 0] * x, a[:, 1] * y + (a[:, 2] + size / 2), out=grid[:, axis])
        # folded at both outer edges: the distance to the nearest multiple of 2 · size
        place.sub_((place / (2 * size)).round_(), alpha=2 * size).abs_()
        place.clamp_(0.5, size - 0.5).mul_(2 / _padded(size)).sub_(1)
    return grid.permute(0, 2, 3, 1)


def _sample(values: Tensor, grid: Tensor, mode: str) -> Tensor:
    """grid_sample of [B,C,H,W], padded to sides that are powers of two.

    Only then are the pixels' coordinates in [-1,1] exact, and with them identity and flips.
    """
    height, width = values.shape[-2:]
    missing = (0, _padded(width) - width, 0, _padded(height) - height)
    if any(missing):
        values = F.pad(values, missing)  # the padding is never read
    return F.grid_sample(values, grid, mode=mode, align_corners=False)


def _padded(size: int) -> int:
    return 1 << (size - 1).bit_length()
