"""What image files hold, whatever their format."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradprom.data.value_range import ValueRange


@dataclass(frozen=True)
class Header:
    """What a file says of its images before any is decoded."""

    format: str
    """Such as `PNG`."""
    mode: str
    """Colours and data type, such as `RGB` or `16-bit grey`."""
    size: tuple[int, int]
    """Width and height in pixels."""
    pages: int = 1
    """Number of images."""
    patient: str = ""
    """A pseudonym of whom a DICOM file shows; empty in all other formats."""

    @property
    def deep(self) -> bool:
        """Whether it is of another type than 8 bits per channel."""
        return "-bit" in self.mode


@dataclass
class Picture:
    """One image, in the data type of its file."""

    pixels: NDArray[Any]
    """[H, W, C] of any integer or float type; C is 1 (grey) or 3 (RGB)."""
    alpha: NDArray[Any] | None = None
    """Transparency, [H, W] of the same type, unchanged but enlarged with the picture; None if there
    is none."""
    inverted: bool = False
    """Whether low values are bright, as in some X-ray images."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.pixels.shape[1], self.pixels.shape[0]

    def mode(self) -> str:
        """Such as `RGB` or `16-bit grey`."""
        return mode(self.pixels.dtype, self.pixels.shape[2])

    def planes(self, values: ValueRange) -> NDArray[np.float32]:
        """float32 [C, H, W] in [0, 1], from black to white; what lies outside is clipped."""
        low, high = values
        planes = np.array(self.pixels.transpose(2, 0, 1), dtype=np.float32, order="C")
        # in place, for pictures may be nearly as large as the memory
        planes -= np.float32(low)
        planes /= np.float32(high - low)
        np.clip(planes, 0, 1, out=planes)
        return np.subtract(1, planes, out=planes) if self.inverted else planes

    def cut(self, rows: slice, columns: slice) -> Picture:
        """A part of the picture, without transparency; a view."""
        return replace(self, pixels=self.pixels[rows, columns], alpha=None)

    def empty(self, height: int, width: int) -> Picture:
        """The same kind of picture at another size, with pixels that `show` is to set."""
        pixels = np.empty((height, width, self.pixels.shape[2]), self.pixels.dtype)
        alpha = self.alpha if self.alpha is None else resized(self.alpha, height, width)
        return replace(self, pixels=pixels, alpha=alpha)

    def show(self, rows: slice, planes: NDArray[np.float32], values: ValueRange) -> None:
        """Set some rows to [C, h, W] in [0, 1], from black to white."""
        low, high = values
        scaled = planes.clip(0, 1)
        if self.inverted:
            np.subtract(1, scaled, out=scaled)
        scaled *= np.float32(high - low)
        scaled += np.float32(low)
        self.pixels[rows] = _cast(scaled.transpose(1, 2, 0), self.pixels.dtype)

    def showing(self, planes: NDArray[np.float32], values: ValueRange) -> Picture:
        """The same kind of picture with other contents, [C, H, W] in [0, 1], of any size."""
        picture = self.empty(*planes.shape[1:])
        picture.show(slice(None), planes, values)
        return picture


@dataclass
class Contents:
    """All images of a file, of one size, number of channels and data type."""

    format: str
    """Such as `PNG`."""
    pages: list[Picture]
    palette: bool = False
    """Whether the file keeps indices into a table of colours, by which its images are read."""
    spacing: tuple[float, float] | None = None
    """Pixels per metre along x and y; None where the file does not say."""
    original: Any = None
    """What a writer of the same format keeps of the file."""

    def kind(self) -> str:
        """Such as `640×480, 16-bit grey, transparency kept`."""
        first = self.pages[0]
        height, width, channels = first.pixels.shape
        type = first.pixels.dtype
        bits = f"{8 * type.itemsize}-bit {'float ' if type.kind == 'f' else ''}"
        count = f"{len(self.pages)} images of " if len(self.pages) > 1 else ""
        transparency = "" if first.alpha is None else ", transparency kept"
        colour = "grey" if channels == 1 else "colour"
        return f"{count}{width}×{height}, {bits}{colour}{transparency}"

    def enlarged(self, pages: list[Picture]) -> Contents:
        """The same file with other pages, all of which may be larger than before."""
        scale = pages[0].size[0] / self.pages[0].size[0]
        spacing = self.spacing and (self.spacing[0] * scale, self.spacing[1] * scale)
        return replace(self, pages=pages, spacing=spacing)


def mode(type: np.dtype[Any], channels: int) -> str:
    """Colours and data type, such as `RGB` (of 8 bits) or `16-bit grey`."""
    colours = "grey" if channels < 3 else "RGB"
    if type == np.uint8:
        return colours
    kind = {"f": " float", "i": " signed"}.get(type.kind, "")
    return f"{8 * type.itemsize}-bit{kind} {colours}"


def rescaled(stored: NDArray[Any], slope: float, intercept: float) -> NDArray[Any]:
    """Stored values times `slope` plus `intercept`, in the type of `rescaled_type`."""
    type = rescaled_type(stored.dtype, slope, intercept)
    if (slope, intercept) == (1, 0):
        return stored
    return stored.astype(type) * type.type(slope) + type.type(intercept)


def rescaled_type(stored: np.dtype[Any], slope: float, intercept: float) -> np.dtype[Any]:
    """That of the stored values if they are as they are, int32 if they stay whole, or float32."""
    if (slope, intercept) == (1, 0):
        return stored
    whole = float(slope).is_integer() and float(intercept).is_integer()
    fits = stored.kind in "iu" and stored.itemsize < 4 and abs(slope) < 2**14
    return np.dtype(np.int32 if whole and fits else np.float32)


def split(pixels: NDArray[Any], inverted: bool = False) -> Picture:
    """A picture from [H, W, 1 to 4], of which the second or fourth channel is transparency."""
    colours = 1 if pixels.shape[2] < 3 else 3
    alpha = pixels[..., colours] if pixels.shape[2] > colours else None
    return Picture(pixels[..., :colours], alpha, inverted)


def joined(picture: Picture) -> NDArray[Any]:
    """The inverse of `split`: [H, W, 1 to 4], transparency last if there is any."""
    if picture.alpha is None:
        return picture.pixels
    return np.concatenate([picture.pixels, picture.alpha[..., None]], axis=2)


def alike(pages: list[Picture]) -> bool:
    """Whether all pages are of one size, number of channels, and data type."""
    kinds = {(p.pixels.shape, p.pixels.dtype.newbyteorder("="), p.alpha is None) for p in pages}
    return len(kinds) == 1


def _cast(values: NDArray[np.float32], type: np.dtype[Any]) -> NDArray[Any]:
    if type.kind == "f":
        return values.astype(type)
    limits = np.iinfo(type)
    # float64 holds the limits of 32 bits, and float32 those of 16 in half the memory
    exact = np.rint(values if type.itemsize < 4 else values.astype(np.float64))
    return np.clip(exact, limits.min, limits.max, out=exact).astype(type)


def resized(alpha: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """Transparency at another size [H, W]; bilinear, which stays in its range."""
    if alpha.shape == (height, width):
        return alpha
    from PIL import Image

    image = Image.fromarray(alpha.astype(np.float32))
    larger = image.resize((width, height), Image.Resampling.BILINEAR)
    return _cast(np.asarray(larger), alpha.dtype)
