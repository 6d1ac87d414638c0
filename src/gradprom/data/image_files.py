"""Image files for `gradprom enhance`: 8 or 16 bits, grey or colour, with or without transparency.

Pillow silently reads 16-bit colour as 8-bit, so 16-bit PNG is read with `png` (PyPNG), and other
formats that would lose bits are rejected. Pictures are written as PNG, which keeps all of these.
Nothing here imports torch.
"""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradprom.data.image_io import open_image
from gradprom.errors import DataError, RunError
from gradprom.storage.files import replacing

FORMATS = ("PNG", "JPEG", "MPO", "TIFF", "BMP", "GIF", "WEBP")
"""Formats with 8 bits per channel, or that declare their bit depth (PNG, TIFF)."""
_BITS_PER_SAMPLE = 258  # TIFF tag


@dataclass
class Picture:
    """The content of an image file, in its own bit depth."""

    pixels: NDArray[Any]
    """uint8 or uint16 [H, W, C]; C is 1 (grey) or 3 (RGB)."""
    alpha: NDArray[Any] | None
    """Transparency, [H, W] of the same type, unchanged but enlarged with the picture; None if there
    is none."""

    def kind(self) -> str:
        """Such as `640×480, 16-bit grey, transparency kept`."""
        height, width, channels = self.pixels.shape
        bits, colour = 8 * self.pixels.itemsize, "grey" if channels == 1 else "colour"
        transparency = "" if self.alpha is None else ", transparency kept"
        return f"{width}×{height}, {bits}-bit {colour}{transparency}"

    def planes(self) -> NDArray[np.float32]:
        """float32 [C, H, W] in [0, 1]; the type's largest value is 1."""
        planes = self.pixels.transpose(2, 0, 1).astype(np.float32)
        return planes / np.float32(np.iinfo(self.pixels.dtype).max)

    def showing(self, planes: NDArray[np.float32]) -> "Picture":
        """The same kind of picture with other contents, [C, H, W] in [0, 1], of any size."""
        levels = np.iinfo(self.pixels.dtype).max
        pixels = np.rint(planes.clip(0, 1) * np.float32(levels)).astype(self.pixels.dtype)
        alpha = self.alpha if self.alpha is None else resized(self.alpha, *planes.shape[1:])
        return replace(self, pixels=pixels.transpose(1, 2, 0), alpha=alpha)


def resized(alpha: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """Transparency at another size [H, W]; bilinear, which stays in its range."""
    if alpha.shape == (height, width):
        return alpha
    from PIL import Image

    image = Image.fromarray(alpha.astype(np.float32))
    larger = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.rint(np.asarray(larger)).astype(alpha.dtype)


def read(path: Path) -> Picture:
    """Read a picture; palettes become RGB, bilevel pictures grey, EXIF rotation is applied.

    Raises
    ------
    ValueError
        For a file that is not an image, is damaged, or would lose bits; with its name and why.
    """
    from PIL import Image, ImageOps

    open_image(path)  # its errors name the file and the reason
    with Image.open(path) as image:
        _refuse(path, image)
        if _is_deep_png(path):
            return _read_deep_png(path)
        upright = ImageOps.exif_transpose(image)
        if upright.mode.startswith("I;16"):
            return _split(np.asarray(upright).astype(np.uint16)[..., None])
        mode = "L" if upright.mode in ("1", "L", "LA") else "RGB"
        pixels = np.asarray(upright.convert(mode + "A" * upright.has_transparency_data))
    return _split(pixels.reshape(*pixels.shape[:2], -1))


def write(path: Path, picture: Picture) -> None:
    """Write a picture as PNG in its own bit depth and channels, atomically."""
    import png
    from PIL import Image

    channels = [picture.pixels] if picture.alpha is None else [picture.pixels, picture.alpha]
    pixels = np.dstack(channels)
    height, width, count = pixels.shape
    with replacing(path) as stream:
        if pixels.dtype == np.uint8:
            squeezed = pixels[..., 0] if count == 1 else pixels
            Image.fromarray(np.ascontiguousarray(squeezed)).save(stream, format="PNG")
        else:
            writer = png.Writer(
                width, height, greyscale=count < 3, alpha=count % 2 == 0, bitdepth=16
            )
            writer.write(stream, pixels.reshape(height, -1))


def assign(source: Path, output: Path) -> dict[Path, Path]:
    """The output of each input: a file to a file or into a folder, a folder to a folder.

    Every file of a folder must be a picture, except for hidden ones and subfolders; its output has
    its name with `.png`.

    Raises
    ------
    DataError
        If files are not readable pictures; the message lists them all.
    RunError
        If an output is not PNG, would replace an input, or belongs to two inputs.
    """
    if source.is_dir():
        if output.exists() and not output.is_dir():
            raise RunError(f"{source} is a folder and {output} is a file; name a folder for -o")
        files = sorted(p for p in source.iterdir() if p.is_file() and p.name[0] != ".")
        if not files:
            raise DataError(f"{source} holds no files")
        targets = {path: output / f"{path.stem}.png" for path in files}
    else:
        into = output / f"{source.stem}.png" if output.is_dir() else output
        targets = {source: into}
    _check_inputs(list(targets))
    _check_outputs(targets)
    return targets


def _check_inputs(files: list[Path]) -> None:
    unreadable = []
    for path in files:
        try:
            read(path)
        except ValueError as error:
            unreadable.append(str(error))
    if len(files) == 1 and unreadable:
        raise DataError(f"{unreadable[0]}; an 8- or 16-bit picture is expected")
    if unreadable:
        lines = "".join(f"\n  {line}" for line in unreadable)
        raise DataError(
            f"{len(unreadable)} of {len(files)} files are not readable pictures:{lines}"
        )


def _check_outputs(targets: dict[Path, Path]) -> None:
    for target in targets.values():
        if target.suffix.lower() != ".png":
            raise RunError(
                f"{target}: pictures are written as PNG, without loss; "
                f"name it {target.with_suffix('.png').name}"
            )
    inputs = {path.resolve() for path in targets}
    overwritten = [target for target in targets.values() if target.resolve() in inputs]
    if overwritten:
        raise RunError(f"{overwritten[0]} is an input and would be replaced; choose another -o")
    counts = Counter(targets.values())
    doubled = [str(path) for path, target in targets.items() if counts[target] > 1]
    if doubled:
        raise RunError(f"inputs that differ only in their extension: {', '.join(doubled)}")


def _refuse(path: Path, image: Any) -> None:
    """Reject files that could only be read in part."""
    if image.format not in FORMATS:
        raise ValueError(f"{path}: format {image.format}; convert it to PNG")
    # the second picture of an MPO is a phone's preview or depth
    frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    if frames > 1:
        raise ValueError(f"{path}: holds {frames} pictures; one is expected")
    deep = image.mode.startswith("I;16")
    bits = image.tag_v2.get(_BITS_PER_SAMPLE, (1,)) if image.format == "TIFF" else (1,)
    if image.mode in ("I", "F") or (max(bits) > 8 and not deep):
        raise ValueError(
            f"{path}: mode {image.mode} of {max(bits)} bits; "
            f"TIFF is read with 8 bits or 16-bit grey, PNG also with 16-bit colour"
        )


def _is_deep_png(path: Path) -> bool:
    """Whether the header says PNG with 16 bits per channel."""
    with path.open("rb") as stream:
        header = stream.read(25)
    return header[:8] == b"\x89PNG\r\n\x1a\n" and header[24] == 16


def _read_deep_png(path: Path) -> Picture:
    import png

    try:
        width, height, rows, info = png.Reader(filename=str(path)).asDirect()
        flat = np.array([np.array(row, np.uint16) for row in rows])
    except png.Error as error:
        raise ValueError(f"{path}: {error}") from error
    return _split(flat.reshape(height, width, info["planes"]))


def _split(pixels: NDArray[Any]) -> Picture:
    """Separate transparency from colour: [H, W, 1 to 4]."""
    colours = 1 if pixels.shape[2] < 3 else 3
    return Picture(
        pixels[..., :colours], pixels[..., colours] if pixels.shape[2] > colours else None
    )
