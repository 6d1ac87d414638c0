"""Image sizes and scales that enhancers share."""

import torch.nn.functional as F
from torch import Tensor


def padded(x: Tensor, multiple: int = 1, least: int = 1) -> Tensor:
    """Repeat the right and the bottom border until both sides fit.

    By repetition, because a reflection needs an image larger than the padding.

    Parameters
    ----------
    x
        Images [B, C, H, W].
    multiple
        Both sides become multiples of this.
    least
        Both sides become at least this.
    """
    padding: list[int] = []
    for side in (x.shape[-1], x.shape[-2]):
        larger = max(side, least)
        padding += [0, larger + -larger % multiple - side]
    return F.pad(x, padding, mode="replicate") if any(padding) else x


def require_scale(scale: int) -> int:
    """The scale, if it is a whole number >= 1.

    Raises
    ------
    ValueError
        If it is not.
    """
    if scale < 1:
        raise ValueError(f"scale={scale}: allowed are whole numbers >= 1")
    return scale
