"""The range of values from black to white: taken from the data, for a file's type only bounds it.

A scanner of 12 bits writes files of 16: read by their type they would be almost black. Of a set of
images the range is the smallest of 8, 10, 12, 14 and 16 bits that holds them all, so that it tells
of the scanner and not of single images. Values below 0 (Hounsfield units, for example) and numbers
with a fraction outside [0, 1] have no such range: it must be given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

ValueRange = tuple[float, float]
"""The values of black and of white."""

EIGHT_BITS: ValueRange = (0.0, 255.0)
BITS = (8, 10, 12, 14, 16)


@dataclass
class Extremes:
    """The lowest and highest value of images with more than 8 bits, and their data types."""

    low: float = np.inf
    high: float = -np.inf
    types: set[str] = field(default_factory=set)

    def add(self, pixels: NDArray[Any]) -> None:
        """Take an image into account, unless it is one of 8 bits."""
        if is_deep(pixels) and pixels.size:
            # NaN stays out: a file with a NaN among its values is refused when it is read
            self.low = min(self.low, float(pixels.min()))
            self.high = max(self.high, float(pixels.max()))
            self.types.add(pixels.dtype.newbyteorder("=").name)

    def __bool__(self) -> bool:
        return bool(self.types)

    def range(self) -> ValueRange | None:
        """The range that the values have by the rule above; None if it must be given."""
        if self.low < 0:
            return None
        if all(np.dtype(type).kind in "iu" for type in self.types):
            bits = next((bits for bits in BITS if self.high < 2**bits), None)
            return None if bits is None else (0.0, 2.0**bits - 1)
        return (0.0, 1.0) if self.high <= 1 else None

    def text(self) -> str:
        """Such as `uint16 values from 0 to 4012`."""
        return f"{' and '.join(sorted(self.types))} values from {self.low:g} to {self.high:g}"


def chosen(
    extremes: Extremes, given: ValueRange | None, trained: ValueRange | None
) -> ValueRange | None:
    """The range in which images are enhanced: as given, else as trained, else as they have it.

    Fractions of white are read as such whatever integers the network was trained on.

    Parameters
    ----------
    extremes
        Of the images.
    given
        By the person, or None.
    trained
        That of the training files, if these had more than 8 bits.

    Returns
    -------
    tuple or None
        None if it must be given.
    """
    own = extremes.range()
    if given is None and trained is not None and own != (0.0, 1.0):
        return trained
    return given or own


def is_deep(pixels: NDArray[Any]) -> bool:
    """Whether an image has another type than 8 bits per channel, whose range is always 0 to 255."""
    return pixels.dtype != np.uint8


def checked(values: Sequence[float], name: str) -> ValueRange | None:
    """A range that was given; None for an empty one.

    Raises
    ------
    ValueError
        Unless it has two finite values, the lower one first.
    """
    if not values:
        return None
    if len(values) != 2 or not np.isfinite(values).all() or values[0] >= values[1]:
        given = ",".join(f"{value:g}" for value in values)
        raise ValueError(
            f"{name}[{given}]: must be two values, that of black and a higher one of white"
        )
    return float(values[0]), float(values[1])


def text(values: ValueRange) -> str:
    """Such as `0 to 4095`."""
    return f"{values[0]:g} to {values[1]:g}"
