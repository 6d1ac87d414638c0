"""PNG, JPEG, BMP, GIF and WEBP: images of 8 bits through Pillow, PNG of 16 bits through PyPNG.

Pillow silently reads 16-bit colour as 8-bit; formats in which it would do so are rejected.
"""

from __future__ import annotations

import contextlib
import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gradprom.data.formats import contents
from gradprom.data.formats.contents import Contents, Header, Picture
from gradprom.data.names import shown
from gradprom.storage.files import replacing

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("PNG", "JPEG", "MPO", "TIFF", "BMP", "GIF", "WEBP")
"""Formats with 8 bits per channel, or that declare their bit depth (PNG, TIFF)."""
_INCH = 0.0254  # in metres


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Image]:
    """An image of which only the header is read, recognised by its content, not by its suffix.

    Raises
    ------
    ValueError
        If the file is missing, empty or not an image, or Pillow finds it damaged in the block; with
        its name and why.
    """
    from PIL import Image, UnidentifiedImageError

    Image.MAX_IMAGE_PIXELS = None  # the files are the user's own, and any size is promised
    try:
        with Image.open(path) as image:
            yield image
    except UnidentifiedImageError as error:
        reason = "not an image" if path.stat().st_size else "empty file"
        raise ValueError(f"{shown(path)}: {reason}") from error
    except OSError as error:
        raise ValueError(f"{shown(path)}: {error.strerror or error}") from error
    except (ValueError, SyntaxError, EOFError, struct.error, zlib.error) as error:
        raise ValueError(f"{shown(path)}: {error}") from error


def open_image(path: Path, page: int = 0) -> Image:
    """A fully read image of a file.

    Raises
    ------
    ValueError
        If the file is missing, empty, truncated or not an image; with its name and why.
    """
    with opened(path) as image:
        image.seek(page)
        image.load()  # opening reads only the header: truncation shows only here
        return image


def header(path: Path) -> Header:
    """See `formats.header`."""
    with opened(path) as image:
        format, mode, pages = image.format or "unknown", image.mode, _count(image)
    channels = _deep_png(path)
    if channels is not None:
        mode = contents.mode(np.dtype(np.uint16), channels)
    return Header(format, mode, image.size, pages)


def read(path: Path) -> Contents:
    """See `formats.read`."""
    with opened(path) as image:
        format, palette, spacing = image.format, image.mode == "P", spacing_of(image)
    if format not in FORMATS:
        raise ValueError(f"{shown(path)}: format {format}; convert it to PNG or TIFF")
    if _deep_png(path) is not None:
        return Contents("PNG", [_read_deep_png(path)], spacing=spacing)
    return Contents(str(format), pages(path), palette, spacing)


def pages(path: Path) -> list[Picture]:
    """All images of a file of 8 bits per channel; ValueError as from `opened`."""
    pictures = []
    with opened(path) as image:
        for number in range(_count(image)):
            image.seek(number)
            image.load()
            pictures.append(_of_image(image))
    return _alike(pictures)


def _alike(frames: list[Picture]) -> list[Picture]:
    """Frames of an animation, of which Pillow reads each in the least mode that holds it."""
    if len({frame.alpha is None for frame in frames}) > 1:
        frames = [replace(frame, alpha=None) for frame in frames]
    most = max(frame.pixels.shape[2] for frame in frames)
    if all(frame.pixels.shape[2] == most for frame in frames):
        return frames
    return [
        replace(frame, pixels=frame.pixels.repeat(most // frame.pixels.shape[2], axis=2))
        for frame in frames
    ]


def _of_image(image: Image) -> Picture:
    """An image of 8 bits per channel, turned upright; copied only where it has to be."""
    from PIL import ExifTags, ImageOps

    if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
        image = ImageOps.exif_transpose(image)
    mode = "L" if image.mode in ("1", "L", "LA", "La") else "RGB"
    mode += "A" * image.has_transparency_data
    pixels = np.asarray(image if image.mode == mode else image.convert(mode))
    return contents.split(pixels.reshape(*pixels.shape[:2], -1))


def spacing_of(image: Image) -> tuple[float, float] | None:
    """Pixels per metre along x and y, of the file's resolution; None where it has none."""
    resolution = image.info.get("dpi")
    try:
        x, y = (float(value) / _INCH for value in resolution or ())
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return (x, y) if x > 0 and y > 0 and np.isfinite([x, y]).all() else None


def write(path: Path, written: Contents) -> None:
    """Write one picture as PNG in its own bit depth and channels, with its resolution."""
    import png
    from PIL import Image

    (picture,) = written.pages
    pixels = contents.joined(picture)
    height, width, count = pixels.shape
    x, y = (round(value) for value in written.spacing or (0, 0))
    with replacing(path) as stream:
        if pixels.dtype == np.uint8:
            dpi = {"dpi": (x * _INCH, y * _INCH)} if x and y else {}
            squeezed = np.ascontiguousarray(pixels[..., 0] if count == 1 else pixels)
            Image.fromarray(squeezed).save(stream, format="PNG", **dpi)
        else:
            resolution = {"x_pixels_per_unit": x, "y_pixels_per_unit": y, "unit_is_meter": True}
            writer = png.Writer(
                width,
                height,
                greyscale=count < 3,
                alpha=count % 2 == 0,
                bitdepth=16,
                **(resolution if x and y else {}),
            )
            writer.write(stream, pixels.reshape(height, -1))


def _count(image: Image) -> int:
    """How many images a file holds; of an MPO the second is a phone's preview or depth."""
    return 1 if image.format == "MPO" else int(getattr(image, "n_frames", 1))


def _deep_png(path: Path) -> int | None:
    """The number of channels of a PNG file of 16 bits per channel; None for any other file."""
    with path.open("rb") as stream:
        start = stream.read(26)
    if start[:8] != b"\x89PNG\r\n\x1a\n" or start[24] != 16:
        return None
    return {0: 1, 2: 3, 4: 2, 6: 4}[start[25]]


def _read_deep_png(path: Path) -> Picture:
    import png

    try:
        width, height, rows, info = png.Reader(filename=str(path)).asDirect()
        flat: NDArray[Any] = np.array([np.array(row, np.uint16) for row in rows])
    except png.Error as error:
        raise ValueError(f"{shown(path)}: {error}") from error
    return contents.split(flat.reshape(height, width, info["planes"]))
