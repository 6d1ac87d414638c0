"""Random pictures of every bit depth, number of channels and transparency."""

import numpy as np

from gradprom.data.image_files import Picture

KINDS = [(kind, c, alpha) for kind in (np.uint8, np.uint16) for c in (1, 3) for alpha in (0, 1)]


def random_picture(kind: type, channels: int, alpha: int, size=(37, 61), seed: int = 0) -> Picture:
    rng = np.random.default_rng(seed)
    top = np.iinfo(kind).max
    pixels = rng.integers(0, top, (*size, channels), kind, endpoint=True)
    return Picture(pixels, rng.integers(0, top, size, kind, endpoint=True) if alpha else None)
