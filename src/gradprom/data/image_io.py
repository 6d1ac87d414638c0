"""Ordinary image, mask and table files, as the datasets that keep them read them.

Every error names the file: of images and masks as ValueError, which decoding collects, of tables
as DataError.
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

_SHOWN = 8  # values shown of a mask that has others than it may have


def open_image(path: Path) -> Image:
    """The fully read image of a file, recognised by its content and never by its extension.

    Raises ValueError, naming the file and why, where it is missing, empty, truncated or no image.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            image.load()  # open() reads the header alone: truncation shows only here
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

    Raises ValueError for a file that is no image or holds more than 8 bits a channel.
    """
    from PIL import ImageOps

    image = open_image(path)
    if image.mode[0] in "IF":  # conversion would clip it to white
        raise ValueError(f"{path}: mode {image.mode}, expected 8 bits a channel")
    return ImageOps.exif_transpose(image).convert("L" if channels == 1 else "RGB")


def squashed(image: Image, size: int) -> NDArray[np.uint8]:
    """A grey or RGB image as uint8 [C,size,size], whatever its proportions.

    Bicubic, which Pillow widens when shrinking (no aliasing) and which enlarges without blocks.
    """
    from PIL.Image import Resampling

    pixels = np.asarray(image.resize((size, size), Resampling.BICUBIC))
    return np.ascontiguousarray(np.atleast_3d(pixels).transpose(2, 0, 1))


def mask(path: Path, image: Image, size: int, *codes: Sequence[int]) -> NDArray[np.uint8]:
    """The mask of an image as class numbers, uint8 [size,size], by the nearest pixel.

    Each of `codes` lists, in ascending order, the file's values for the classes 0, 1, …; the
    first that knows all values of the file is used. Raises ValueError where none does, or where
    the mask has another size than its image or more than one channel.
    """
    from PIL import Image as Images

    drawn = open_image(path)
    if drawn.size != image.size:
        mask_size, image_size = ("{}×{}".format(*each_image.size) for each_image in (drawn, image))
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
    """The rows of a comma-separated table as `columns`, and those of `optional` that it has.

    Cells are without surrounding blanks. Raises DataError for a missing file or column.
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
    """The offenders of a message, one a line."""
    return "".join(f"\n  {line}" for line in lines)


def _allowed(codes: Sequence[Sequence[int]]) -> str:
    return " or ".join(", ".join(str(value) for value in code) for code in codes)
