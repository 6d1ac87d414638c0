"""Sizes of images: borders repeated, sides doubled.

On CUDA, torch's own functions for both add up gradients in no fixed order, or, held to equal bits
each time, by sorting.
"""

import torch
from torch import Tensor


def repeated(images: Tensor, multiple: int = 1, least: int = 1) -> Tensor:
    """Repeat the right and the lower border until both sides are multiples: [B, C, H, W].

    And until both have at least `least` pixels.
    """
    for dim in (3, 2):
        side = images.shape[dim]
        enough = max(side, least)
        if missing := enough + -enough % multiple - side:
            border = images.narrow(dim, side - 1, 1)
            sizes = [missing if axis == dim else -1 for axis in range(4)]
            images = torch.cat([images, border.expand(sizes)], dim)
    return images


def doubled(images: Tensor) -> Tensor:
    """Bilinear up-sampling by two, with the border repeated: [B, C, H, W] -> [B, C, 2H, 2W].

    As `F.interpolate(images, scale_factor=2, mode="bilinear", align_corners=False)`.
    """
    last = images.is_contiguous(memory_format=torch.channels_last) and not images.is_contiguous()
    images = images.movedim(1, 3) if last else images  # so that the layout stays
    for dim in (1, 2) if last else (2, 3):
        side = images.shape[dim]
        before = torch.cat([images.narrow(dim, 0, 1), images.narrow(dim, 0, side - 1)], dim)
        after = torch.cat([images.narrow(dim, 1, side - 1), images.narrow(dim, side - 1, 1)], dim)
        pair = torch.stack([images.lerp(before, 0.25), images.lerp(after, 0.25)], dim + 1)
        images = pair.flatten(dim, dim + 1)
    return images.movedim(3, 1) if last else images
