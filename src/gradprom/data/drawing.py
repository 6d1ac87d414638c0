"""What drawn images share: the points of a grid, and pixels as means of points."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def centres(count: int) -> Array:
    """The middles of equal parts of an axis from -1 to 1, [count]."""
    return (np.arange(count) + 0.5) / count * 2 - 1


def halved(values: Array) -> Array:
    """Means of 2×2 points: [...,2H,2W] -> [...,H,W]."""
    rows = values[..., 0::2, :] + values[..., 1::2, :]
    return (rows[..., 0::2] + rows[..., 1::2]) / 4
