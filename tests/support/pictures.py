"""Random pictures of every bit depth, number of channels and transparency."""

from pathlib import Path

import numpy as np

from gradprom.data import formats
from gradprom.data.formats.contents import Contents, Picture

KINDS = [(kind, c, alpha) for kind in (np.uint8, np.uint16) for c in (1, 3) for alpha in (0, 1)]


def random_picture(kind: type, channels: int, alpha: int, size=(37, 61), seed: int = 0) -> Picture:
    rng = np.random.default_rng(seed)
    top = np.iinfo(kind).max
    pixels = rng.integers(0, top, (*size, channels), kind, endpoint=True)
    return Picture(pixels, rng.integers(0, top, size, kind, endpoint=True) if alpha else None)


def write(path: Path, picture: Picture) -> None:
    """As the only image of a file."""
    formats.write(path, Contents("", [picture]))


def read(path: Path) -> Picture:
    """The only image of a file."""
    (page,) = formats.read(path).pages
    return page
