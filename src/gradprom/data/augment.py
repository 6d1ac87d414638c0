"""The paper's augmentation (section 4.1), batched, in one affine sampling of image and mask:
flips, a rotation by up to ±10° and a centre crop at a scale of 50–100 %, resized back.

Nothing is enlarged, which would show networks softer images than those that they are tested on.
Crops come from images at twice the working size, which the cache has where the files have the
pixels (`Finer`), and are reduced with antialiasing. Where they have no more, images are flipped and
turned by quarters, which moves pixels and keeps their values.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

MAX_ANGLE = math.radians(10)
MIN_SCALE = 0.5
FINER = 2
"""How many times larger than the working size the images are that crops come from."""


def draw(
    batch_size: int, generator: torch.Generator, least: Tensor | None = None, square: bool = True
) -> Tensor:
    """Random affine maps, float32 [B,2,3] on the CPU, independent of the images' device.

    A map takes an output pixel's offset (x right, y down, in pixels of the working size) from the
    image's centre to the offset of the input point it shows. The crop's scale is that of its sides.

    Parameters
    ----------
    batch_size
        B.
    generator
        Of the CPU.
    least
        [B]: the smallest crop of each image, in [0.5, 1]; None: there are no finer images.
    square
        Whether images are as high as wide: only then are they turned by quarters.
    """
    uniform = torch.rand(batch_size, 4, dtype=torch.float64, generator=generator)
    flip_x, flip_y = (uniform[:, :2] < 0.5).unbind(1)
    if least is None:
        turns = math.pi / 2 * (uniform[:, 2] < 0.5) * square
        return compose(flip_x, flip_y, turns, torch.ones(batch_size)).round()
    angle = MAX_ANGLE * (2 * uniform[:, 2] - 1)
    scale = least + (1 - least) * uniform[:, 3]
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


def apply(images: Tensor, affine: Tensor) -> Tensor:
    """Sample images bilinearly, float [B,C,H,W] in [0,1], under maps [B,2,3] as `draw` gives them.

    Beyond its border an image is continued by its mirror image.
    """
    grid = _grid(affine.to(images.device), *images.shape[-2:])
    # rounded, the four weights may not add up to exactly 1
    return _sample(images, grid, "bilinear").clamp_(0, 1)


def apply_to_finer(images: Tensor, affine: Tensor) -> Tensor:
    """Sample images of `FINER` times the working size, with antialiasing, at the working size.

    An output pixel is the mean of 2×2 points. At a scale of 1 these are the pixels that it covers,
    at a scale of ½ they meet in the one that it shows, so that neither loses sharpness.

    Parameters
    ----------
    images
        float [B,C,2·H,2·W] in [0,1].
    affine
        [B,2,3], as `draw` gives it; its scales are at least ½.

    Returns
    -------
    Tensor
        float [B,C,H,W] in [0,1].
    """
    height, width = (side // FINER for side in images.shape[-2:])
    affine = affine.to(images.device)
    pitch = FINER * affine[:, :, 0].norm(dim=1)  # of output pixels, in pixels of `images`
    grid = _grid(affine, height, width, FINER, spread=(pitch - 1) / (2 * pitch))
    return F.avg_pool2d(_sample(images, grid, "bilinear"), 2).clamp_(0, 1)


def apply_to_mask(mask: Tensor, affine: Tensor) -> Tensor:
    """Sample masks at the nearest pixel, integers [B,H,W] at the working size."""
    grid = _grid(affine.to(mask.device), *mask.shape[-2:])
    sampled = _sample(mask.unsqueeze(1).to(affine.dtype), grid, "nearest")
    return sampled.squeeze(1).to(mask.dtype)


def _grid(
    affine: Tensor, height: int, width: int, finer: int = 1, spread: Tensor | None = None
) -> Tensor:
    """The points in the image that output pixels show, as `_sample` takes them.

    Parameters
    ----------
    affine
        [B,2,3].
    height, width
        Of the output; the image's are `finer` times larger.
    spread
        [B]: how far the points of a pixel lie from its centre along each axis, in output pixels.
        None: each pixel shows the point at its centre.

    Returns
    -------
    Tensor
        [B,H,W,2]; [B,2·H,2·W,2] with `spread`.
    """
    x, y = _places(affine, width, spread).unsqueeze(1), _places(affine, height, spread).unsqueeze(2)
    grid = affine.new_empty(len(affine), 2, y.shape[1], x.shape[2])
    for axis, size in enumerate((width, height)):
        a = affine[:, axis, :, None, None]
        # measured from the image's outer edge: pixel i is at i + ½
        place = torch.add(a[:, 0] * x, a[:, 1] * y + (a[:, 2] + size / 2), out=grid[:, axis])
        # folded at both outer edges: the distance to the nearest multiple of 2 · size
        place.sub_((place / (2 * size)).round_(), alpha=2 * size).abs_()
        edge = 0.5 / finer
        place.clamp_(edge, size - edge).mul_(2 * finer / _padded(finer * size)).sub_(1)
    return grid.permute(0, 2, 3, 1)


def _places(affine: Tensor, size: int, spread: Tensor | None) -> Tensor:
    """Offsets of the output's points from its centre along one axis: [1,size] or [B,2·size]."""
    centres = torch.arange(size, device=affine.device) - (size - 1) / 2
    if spread is None:
        return centres.unsqueeze(0)
    both = torch.stack([-spread, spread], dim=1)
    return (centres[None, :, None] + both[:, None, :]).flatten(1)


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
