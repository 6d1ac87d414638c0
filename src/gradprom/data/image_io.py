"""Readers of image and mask files for datasets; `text_files` has those of tables and lists.

Every error names the file: for images and masks it is a ValueError, which decoding collects, for
tables and lists a DataError.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gradprom import errors
from gradprom.data import formats
from gradprom.data.formats.contents import Contents, Picture
from gradprom.data.formats.pillow_files import open_image
from gradprom.data.names import shown
from gradprom.data.value_range import EIGHT_BITS, ValueRange, is_deep

if TYPE_CHECKING:
    from PIL.Image import Image

_SHOWN = 8  # values of an invalid mask that a message shows
_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)
_GREY_OF_RGB = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in Pillow


def picture(path: Path, channels: int) -> Image:
    """A file as grey (`channels` 1) or RGB (3), EXIF rotation applied, transparency dropped.

    Raises
    ------
    ValueError
        For a file that is not an image, holds several, or has more than 8 bits per channel.
    """
    pages = formats.read(path).pages
    if len(pages) > 1:
        raise ValueError(f"{shown(path)}: holds {len(pages)} images; one is expected")
    if is_deep(pages[0].pixels):
        raise ValueError(f"{shown(path)}: {pages[0].mode()}, expected 8 bits per channel")
    return _image(pages[0], channels)


def squashed(image: Image, size: int) -> NDArray[np.uint8]:
    """A grey or RGB image as uint8 [C,size,size], regardless of its proportions.

    Bicubic, with Pillow's antialiasing when shrinking.
    """
    from PIL.Image import Resampling

    pixels = np.asarray(image.resize((size, size), Resampling.BICUBIC))
    return np.ascontiguousarray(np.atleast_3d(pixels).transpose(2, 0, 1))


def fitted(page: Picture, channels: int, size: int, values: ValueRange) -> NDArray[np.uint8]:
    """A picture of any data type as uint8 [channels,size,size], from black 0 to white 255.

    `values` are those of black and white, for pictures of more than 8 bits. Resized as by
    `squashed`, and rounded once, afterwards.
    """
    if not is_deep(page.pixels):
        return squashed(_image(page, channels), size)
    from PIL import Image

    planes = [
        Image.fromarray(plane).resize((size, size), Image.Resampling.BICUBIC)
        for plane in page.planes(values)
    ]
    resized = np.stack([np.asarray(plane) for plane in planes])
    if len(resized) > channels:
        resized = np.tensordot(np.array([_GREY_OF_RGB], np.float32), resized, 1)
    levels = np.rint(resized.clip(0, 1) * EIGHT_BITS[1]).astype(np.uint8)
    return np.repeat(levels, channels // len(levels), axis=0)


def mask(
    path: Path,
    image: Image | Picture,
    size: int,
    *codes: Sequence[int],
    page: int = 0,
    read: Callable[[Path], Contents] = formats.read,
) -> NDArray[np.uint8]:
    """The mask of an image as class numbers, uint8 [size,size], by the nearest pixel.

    Parameters
    ----------
    path
        The mask's file.
    image
        Its image, before resizing.
    size
        Height and width of the result.
    codes
        Each lists, in ascending order, the file's values for the classes 0, 1, …; the first that
        has all values of the file is used. A palette's values are its indices, but where it is
        black and white and a code has 0 and 255, its colours.
    page
        Number of the mask in its file.
    read
        Reads the file, such as one that keeps it for the next mask.

    Raises
    ------
    ValueError
        If no code has all values, or the mask has another size than its image or several channels.
    """
    from PIL import Image as Images

    contents = read(path)
    if contents.palette:
        by_colours = any(set(code) == {0, 255} for code in codes)
        values = _palette_values(path, open_image(path, page), by_colours)
    else:
        values = _grey_values(path, contents.pages[page])
    if values.shape[::-1] != image.size:
        sizes = ("{}×{}".format(*pair) for pair in (values.shape[::-1], image.size))
        raise ValueError("{}: the mask has {} pixels, its image {}".format(shown(path), *sizes))
    present = np.unique(values)
    for code in codes:
        if np.isin(present, code).all():
            classes = Images.fromarray(np.searchsorted(code, values).astype(np.uint8))
            return np.asarray(classes.resize((size, size), Images.Resampling.NEAREST))
    shown_values = errors.listed([f"{value:g}" for value in present.tolist()], _SHOWN)
    raise ValueError(f"{shown(path)}: mask values {shown_values}, expected {_allowed(codes)}")


def _grey_values(path: Path, drawn: Picture) -> NDArray[Any]:
    if drawn.pixels.shape[2] > 1 or drawn.alpha is not None:
        transparent = "" if drawn.alpha is None else " with transparency"
        raise ValueError(
            f"{shown(path)}: {drawn.mode()}{transparent}, expected a mask of one channel"
        )
    if drawn.inverted:
        raise ValueError(
            f"{shown(path)}: {drawn.mode()} whose low values are bright, so that the background is "
            f"unclear; save the mask with 0 as black"
        )
    return drawn.pixels[..., 0]


def _palette_values(path: Path, drawn: Image, by_colours: bool) -> NDArray[Any]:
    """Indices into a palette, or 0 and 255 where its colours are black and white."""
    if drawn.mode != "P":  # a later frame of an animation
        raise ValueError(f"{shown(path)}: mode {drawn.mode}, expected a mask of one channel")
    indices = np.asarray(drawn)
    palette = np.array(drawn.getpalette(), dtype=np.int64).reshape(-1, 3)
    colours = {int(index): tuple(palette[index].tolist()) for index in np.unique(indices)}
    if by_colours and set(colours.values()) <= {_BLACK, _WHITE}:
        return palette[:, 0][indices]
    darkest = min(colours, key=lambda index: sum(colours[index]))
    is_black, are_grey = colours[darkest] == _BLACK, all(len({*c}) == 1 for c in colours.values())
    if (is_black and 0 in colours and darkest != 0) or (are_grey and darkest != min(colours)):
        how = "black" if is_black else "the darkest"
        raise ValueError(
            f"{shown(path)}: of its palette index {darkest} is {how} and {min(colours)} is not, so "
            f"that the background is unclear; save the mask in grey, with the classes' numbers as "
            f"values"
        )
    return indices


def _image(page: Picture, channels: int) -> Image:
    """A picture of 8 bits as grey or RGB."""
    from PIL import Image

    pixels = page.pixels[..., 0] if page.pixels.shape[2] == 1 else page.pixels
    return Image.fromarray(np.ascontiguousarray(pixels)).convert("L" if channels == 1 else "RGB")


def _allowed(codes: Sequence[Sequence[int]]) -> str:
    return " or ".join(", ".join(str(value) for value in code) for code in codes)
