"""Anscombe's transform, by which filters for Gaussian noise remove Poisson noise.

The square root of counts has nearly one standard deviation, whatever their mean. Anscombe 1948; the
inverse is the closed form of Mäkitalo & Foi 2011, unbiased where the plain one is too low: at few
counts.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]
_SHIFT = 3 / 8


def stabilized(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Counts >= 0 to values whose noise has the standard deviation 1, nearly."""
    return 2 * np.sqrt(counts + _SHIFT)


def mean_counts(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean counts whose stabilized values have this mean; 0 for what is too small."""
    least = stabilized(np.zeros(1))
    d = np.maximum(values, least)
    root = np.sqrt(1.5)
    counts = d**2 / 4 + root / 4 / d - 11 / 8 / d**2 + 5 / 8 * root / d**3 - 1 / 8
    return np.maximum(counts, 0)


def of_counts(denoise: Callable[[Image, float], Image]) -> Callable[[Image, float], Image]:
    """A filter for Poisson noise from one for Gaussian noise.

    Parameters
    ----------
    denoise
        From an image in [0, 1] and the standard deviation of its noise to the denoised image.

    Returns
    -------
    Callable
        From an image in [0, 1] and √rate, the standard deviation of its noise where it is white, to
        the denoised image. A count has the value `rate`.
    """

    def filtered(image: Image, level: float) -> Image:
        rate = level**2
        white = float(stabilized(np.array(1 / rate)))
        values = stabilized(image.clip(0).astype(np.float64) / rate) / white
        denoised = denoise(values.astype(np.float32), 1 / white).astype(np.float64)
        return (mean_counts(denoised * white) * rate).astype(np.float32)

    return filtered
