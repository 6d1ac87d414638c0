"""Readers of ordinary image, mask and table files, for datasets.

Every error names the file: for images and masks it is a ValueError, which decoding collects, for
tables a DataError.
"""

from __future__ import annotations

import csv
import struct
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gradprom import errors
from gradprom.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

_SHOWN = 8  # values of an invalid mask that a message shows


def open_image(path: Path) -> Image:
    """The fully read image of a file, recognised by its content and not by its extension.

    Raises
    ------
    ValueError
        If the file is missing, empty, truncated or not an image; with its name and why.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            image.load()  # open() reads only the header: truncation shows only here
            return image
    except UnidentifiedImageError as error:
        reason = "not an image" if path.stat().st_size else "empty file"
        raise ValueError(f"{path}: {reason}") from error
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror or error}") from error
    except (ValueError, SyntaxError, EOFError, struct.error, zlib.error) as error:
        raise ValueError(f"{path}: {error}") from error
    except Image.DecompressionBombError as error:
        raise ValueError(f"{path}: {error}") from error


def picture(path: Path, channels: int) -> Image:
    """A file as grey (`channels` 1) or RGB (3), EXIF rotation applied, transparency dropped.

    Raises
    ------
    ValueError
        For a file that is not an image or has more than 8 bits per channel.
    """
    from PIL import ImageOps

    image = open_image(path)
    if image.mode[0] in "IF":  # conversion would clip it to white
        raise ValueError(f"{path}: mode {image.mode}, expected 8 bits per channel")
    return ImageOps.exif_transpose(image).convert("L" if channels == 1 else "RGB")


def squashed(image: Image, size: int) -> NDArray[np.uint8]:
    """A grey or RGB image as uint8 [C,size,size], regardless of its proportions.

    Bicubic, with Pillow's antialiasing when shrinking.
    """
    from PIL.Image import Resampling

    pixels = np.asarray(image.resize((size, size), Resampling.BICUBIC))
    return np.ascontiguousarray(np.atleast_3d(pixels).transpose(2, 0, 1))


def mask(path: Path, image: Image, size: int, *codes: Sequence[int]) -> NDArray[np.uint8]:
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
        has all values of the file is used.

    Raises
    ------
    ValueError
        If no code has all values, or the mask has another size than its image or several channels.
    """
    from PIL import Image as Images

    drawn = open_image(path)
    if drawn.size != image.size:
        mask_size, image_size = ("{}×{}".format(*picture.size) for picture in (drawn, image))
        raise ValueError(f"{path}: the mask has {mask_size} pixels, its image {image_size}")
    if drawn.mode not in ("1", "L", "P"):
        raise ValueError(f"{path}: mode {drawn.mode}, expected a mask of one 8-bit channel")
    values = np.asarray(drawn.convert("L") if drawn.mode == "1" else drawn)
    present = np.unique(values)
    for code in codes:
        if np.isin(present, code).all():
            near = Images.fromarray(values).resize((size, size), Images.Resampling.NEAREST)
            return np.searchsorted(code, np.asarray(near)).astype(np.uint8)
    raise ValueError(
        f"{path}: mask values {errors.listed(present.tolist(), _SHOWN)}, expected {_allowed(codes)}"
    )


def rows(table: Path, columns: Sequence[str], *optional: str) -> list[dict[str, str]]:
    """The rows of a comma-separated table: `columns`, and those of `optional` that it has.

    Surrounding whitespace of cells is removed.

    Raises
    ------
    DataError
        For a missing file or column.
    """
    try:
        with table.open(newline="", encoding="utf-8-sig", errors="replace") as file:
            header, *cells = csv.reader(file)
    except ValueError:
        raise DataError(f"{table} is empty.") from None
    except (OSError, csv.Error) as error:
        raise DataError(f"{table} cannot be read: {error}.") from error
    header = [name.strip() for name in header]
    missing = [column for column in columns if column not in header]
    if missing:
        raise DataError(
            f"{table} lacks the column {' and '.join(missing)}; it has: {', '.join(header)}."
        )
    positions = {name: header.index(name) for name in (*columns, *optional) if name in header}
    return [
        {name: row[at].strip() if at < len(row) else "" for name, at in positions.items()}
        for row in cells
        if any(cell.strip() for cell in row)
    ]


def listed(lines: Iterable[str]) -> str:
    """The items of a message, one per line, as `errors.lines` cuts them short."""
    return errors.lines([*lines])


def _allowed(codes: Sequence[Sequence[int]]) -> str:
    return " or ".join(", ".join(str(value) for value in code) for code in codes)
