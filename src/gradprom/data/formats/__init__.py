"""Image files of every format: read, in their own data type, and written.

    PNG, JPEG, BMP, GIF, WEBP   `pillow_files`
    TIFF                        `tiff_files`
    NIfTI                       `nifti_files`
    DICOM                       `dicom_files`, with the extra `dicom`

A file is recognised by its content, except for NIfTI, which is by its suffix. Nothing here imports
torch.
"""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import ModuleType

from gradprom.data import names
from gradprom.data.formats import dicom_files, nifti_files, pillow_files, tiff_files
from gradprom.data.formats.contents import Contents, Header, alike
from gradprom.data.value_range import Extremes

STACKS = (".tif", ".tiff", ".gif", ".webp", ".nii", ".nii.gz", ".dcm", ".dicom")
"""Suffixes of formats in which a file can hold several images."""
SUFFIXES = (".bmp", ".jfif", ".jpe", ".jpeg", ".jpg", ".png", *STACKS)
"""Suffixes of all formats that are read."""
WRITTEN: dict[str, ModuleType] = {
    ".png": pillow_files,
    ".tif": tiff_files,
    ".tiff": tiff_files,
    ".nii": nifti_files,
    ".nii.gz": nifti_files,
    ".dcm": dicom_files,
}
"""Suffixes of the formats that are written."""

_MAGIC = 132  # bytes of a file that tell its format


def is_image_name(path: Path) -> bool:
    """Whether a file's suffix is that of a format that is read."""
    return names.suffix(path) in SUFFIXES


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM by its content: its name often has no suffix."""
    try:
        return path.is_file() and _start(path)[128:] == b"DICM"
    except ValueError:
        return False


def stem(path: Path) -> str:
    """A file's name without the suffix of its format, in the form of `names.key`."""
    return names.key(path.name[: -len(names.suffix(path))] if is_image_name(path) else path.name)


def may_be_stack(path: Path) -> bool:
    """Whether a file can hold several images, by its suffix."""
    return names.suffix(path) in STACKS or not is_image_name(path)


def pages_of(path: Path) -> tuple[int, str]:
    """How many images a file holds, and whose they are, where it can say so; else 1 and "".

    Only files that can hold several by their suffix are opened. What is wrong with one shows when
    it is read.
    """
    if not may_be_stack(path):
        return 1, ""
    try:
        known = header(path)
    except ValueError:
        return 1, ""
    return known.pages, known.patient


def header(path: Path) -> Header:
    """What a file says of its images, of which none is decoded.

    Raises
    ------
    ValueError
        For a file that is missing, no image, or of a format that is not read; with its name and
        why.
    """
    known: Header = _format(path).header(path)
    return known


def read(path: Path) -> Contents:
    """All images of a file.

    Palettes become RGB, bilevel images grey, and EXIF rotation is applied.

    Raises
    ------
    ValueError
        For a file that is missing, damaged, no image, or would lose bits; with its name and why.
    """
    contents: Contents = _format(path).read(path)
    if not alike(contents.pages):
        raise ValueError(
            f"{names.shown(path)}: images of different sizes or kinds, such as previews; "
            f"save the one that is meant by itself"
        )
    return contents


def extremes(paths: Iterable[Path]) -> Extremes:
    """Of all images of more than 8 bits in some files, but in those that cannot be read."""
    extremes = Extremes()
    for path in dict.fromkeys(paths):
        with suppress(ValueError):
            if header(path).deep:
                for page in read(path).pages:
                    extremes.add(page.pixels)
    return extremes


def write(path: Path, contents: Contents) -> None:
    """Write images in their own data type, atomically, in the format that the suffix names."""
    WRITTEN[names.suffix(path)].write(path, contents)


def _format(path: Path) -> ModuleType:
    if names.suffix(path) in (".nii", ".nii.gz"):
        return nifti_files
    start = _start(path)
    if start[:4] in tiff_files.MAGIC:
        return tiff_files
    return dicom_files if start[128:] == b"DICM" else pillow_files


def _start(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(_MAGIC)
    except OSError as error:
        raise ValueError(f"{names.shown(path)}: {error.strerror or error}") from error
