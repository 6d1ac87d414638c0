"""TIFF with one or several pages: of up to 8 bits through Pillow, deeper ones through tifffile.

Pillow reads more compressions, but silently reduces 16-bit colour to 8 bits.
"""

from __future__ import annotations

import logging
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradprom.data.formats import contents, pillow_files
from gradprom.data.formats.contents import Contents, Header, Picture
from gradprom.data.names import shown
from gradprom.storage.files import replacing

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""How files begin; the last two are BigTIFF."""
_WHITE_IS_ZERO, _PALETTE, _GREY = 0, 3, (0, 1)
_CENTIMETRE = 3
_CLASSIC = 2**31  # bytes of pixels that are safely below the 4 GB of a file that is not BigTIFF
_METRE = {2: 0.0254, 3: 0.01}  # lengths of the units of resolution


@dataclass(frozen=True)
class _Original:
    """What is kept of a TIFF file besides its pixels."""

    resolution: tuple[float, float] | None
    unit: int
    description: str
    """Such as the spacing of slices in ImageJ's files."""
    size: tuple[int, ...]
    """Of its pages, for which the description is true."""


def header(path: Path) -> Header:
    """See `formats.header`."""
    with _opened(path) as pages:
        first = pages[0]
        height, width, channels = _shape(path, first)
        type = np.dtype(np.uint8) if _is_shallow(first) else first.dtype
        mode = "P" if first.photometric == _PALETTE else contents.mode(type, channels)
        return Header("TIFF", mode, (width, height), len(pages))


def read(path: Path) -> Contents:
    """See `formats.read`."""
    with _opened(path) as pages:
        original, palette = _original(pages[0]), pages[0].photometric == _PALETTE
        for page in pages:
            _require_whole(path, page)
        if _is_shallow(pages[0]):
            pictures = pillow_files.pages(path)
        else:
            pictures = [_deep_picture(path, page, number) for number, page in enumerate(pages)]
    metre = _METRE.get(original.unit)
    spacing = None
    if original.resolution is not None and metre is not None:
        x, y = original.resolution
        spacing = (x / metre, y / metre)
    return Contents("TIFF", pictures, palette, spacing, original)


def write(path: Path, written: Contents) -> None:
    """Write pages in their own data type, with the resolution and description of the original."""
    import tifffile

    first = written.pages[0]
    options: dict[str, Any] = {"photometric": "minisblack" if first.pixels.shape[2] < 3 else "rgb"}
    if first.inverted:
        options["photometric"] = "miniswhite"
    if first.alpha is not None:
        options["extrasamples"] = ["unassalpha"]
    options |= _metadata(written)
    large = sum(page.pixels.nbytes for page in written.pages) > _CLASSIC
    with replacing(path) as stream, tifffile.TiffWriter(stream, bigtiff=large) as writer:
        for number, picture in enumerate(written.pages):
            pixels = contents.joined(picture)
            writer.write(
                pixels if pixels.shape[2] > 1 else pixels[..., 0],
                compression="zlib",
                contiguous=False,
                metadata=None,
                **(options if number == 0 else options | {"description": None}),
            )


def _metadata(written: Contents) -> dict[str, Any]:
    original, size = written.original, written.pages[0].pixels.shape[:2]
    if not isinstance(original, _Original):
        if written.spacing is None:
            return {}
        x, y = (value / 100 for value in written.spacing)
        return {"resolution": (x, y), "resolutionunit": _CENTIMETRE}
    metadata: dict[str, Any] = {}
    if original.resolution is not None:
        scale = size[0] / original.size[0]
        x, y = original.resolution
        metadata = {"resolution": (x * scale, y * scale), "resolutionunit": original.unit}
    if original.description.isascii() and size == original.size:
        metadata["description"] = original.description or None
    return metadata


@contextmanager
def _opened(path: Path) -> Iterator[list[Any]]:
    """All pages of a file; errors in the block name it."""
    import tifffile

    # it reports damage and goes on, or reports and raises
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    try:
        with tifffile.TiffFile(path) as file:
            pages = list(file.pages)
            if not pages or _continues(file, pages[-1]):
                raise ValueError("truncated")
            if file.is_imagej and (file.imagej_metadata or {}).get("images", 1) > len(pages):
                raise ValueError("an ImageJ stack of more than 4 GB; save it as BigTIFF")
            yield pages
    except OSError as error:
        raise ValueError(f"{shown(path)}: {error.strerror or error}") from error
    except (ValueError, RuntimeError, KeyError, IndexError, TypeError, struct.error) as error:
        reason = str(error)
        raise ValueError(reason if shown(path) in reason else f"{shown(path)}: {reason}") from error


def _continues(file: Any, last: Any) -> bool:
    """Whether the last page that could be read names a next one, so that pages are lost."""
    layout, handle = file.tiff, file.filehandle
    handle.seek(last.offset)
    (tags,) = struct.unpack(layout.tagnoformat, handle.read(layout.tagnosize))
    handle.seek(last.offset + layout.tagnosize + tags * layout.tagsize)
    content = handle.read(layout.offsetsize)
    return len(content) < layout.offsetsize or any(content)


def _shape(path: Path, page: Any) -> tuple[int, int, int]:
    """Height, width and channels."""
    samples = page.samplesperpixel
    unnamed = samples > (2 if page.photometric in _GREY else 4)
    if page.imagedepth > 1 or unnamed or page.dtype is None:
        raise ValueError(
            f"{shown(path)}: {samples} channels of {page.bitspersample} bits in {page.imagedepth} "
            f"layers; grey or RGB is read, slices as pages"
        )
    return page.imagelength, page.imagewidth, samples


def _require_whole(path: Path, page: Any) -> None:
    _shape(path, page)
    ends = [at + count for at, count in zip(page.dataoffsets, page.databytecounts, strict=True)]
    if not ends or max(ends) > path.stat().st_size:
        raise ValueError("truncated")


def _deep_picture(path: Path, page: Any, number: int) -> Picture:
    shape = _shape(path, page)
    if page.dtype.kind == "c" or page.photometric == _PALETTE:
        raise ValueError("complex numbers or a palette of 16 bits; grey or RGB is read")
    pixels = _deep_pixels(path, page, number)
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        raise ValueError("values that are not finite")
    if page.planarconfig == 2 and shape[2] > 1:
        pixels = np.moveaxis(pixels, 0, -1)
    inverted = page.photometric == _WHITE_IS_ZERO
    return contents.split(pixels.reshape(shape), inverted)


def _is_shallow(page: Any) -> bool:
    return bool(np.max(page.bitspersample) <= 8) and page.dtype != np.int8


def _deep_pixels(path: Path, page: Any, number: int) -> NDArray[Any]:
    try:
        return np.asarray(page.asarray())
    except zlib.error as error:
        raise ValueError(str(error)) from error
    except ValueError as error:
        # compressions for which tifffile needs another package; Pillow reads them, in grey
        if "imagecodecs" not in str(error):
            raise
        if page.samplesperpixel > 1:
            raise ValueError(f"{error}: pip install imagecodecs, or save it uncompressed") from None
        return np.asarray(pillow_files.open_image(path, number)).astype(page.dtype)


def _original(page: Any) -> _Original:
    tags = page.tags
    unit = tags["ResolutionUnit"].value if "ResolutionUnit" in tags else 2
    resolution = None
    if "XResolution" in tags and "YResolution" in tags:
        x, y = (tags[name].value for name in ("XResolution", "YResolution"))
        if all((x[0], x[1], y[0], y[1])):
            resolution = (x[0] / x[1], y[0] / y[1])
    return _Original(resolution, int(unit), page.description, (page.imagelength, page.imagewidth))
