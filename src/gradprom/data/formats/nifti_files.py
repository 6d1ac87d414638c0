"""NIfTI-1 and -2 (.nii, .nii.gz): a slice, or a volume whose third axis counts its slices."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradprom.data.formats import contents
from gradprom.data.formats.contents import Contents, Header, Picture
from gradprom.data.names import shown, suffix
from gradprom.storage.files import replacing


def header(path: Path) -> Header:
    """See `formats.header`."""
    with opened(path) as image:
        width, height, slices = _shape(path, image)
        type = contents.rescaled_type(image.header.get_data_dtype(), *_scale(image))
        return Header("NIfTI", contents.mode(type, 1), (width, height), slices)


def read(path: Path) -> Contents:
    """See `formats.read`. NIfTI keeps [W, H, slices]; values are scaled as the header says."""
    with opened(path) as image:
        shape = _shape(path, image)
        stored = np.asanyarray(image.dataobj.get_unscaled())
    if stored.dtype.kind not in "iuf":
        raise ValueError(f"{shown(path)}: {stored.dtype} values, expected numbers")
    values = contents.rescaled(stored, *_scale(image))
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ValueError(f"{shown(path)}: values that are not finite")
    slices = np.ascontiguousarray(values.reshape(shape).transpose(2, 1, 0))
    pages = [Picture(page[..., None]) for page in slices.astype(slices.dtype.newbyteorder("="))]
    return Contents("NIfTI", pages, original=image)


def write(path: Path, written: Contents) -> None:
    """Write slices with the header, affine map, data type and scaling of the original."""
    original = written.original
    values = np.stack([page.pixels[..., 0] for page in written.pages]).transpose(2, 1, 0)
    slope, intercept = _scale(original)
    type = original.header.get_data_dtype()
    if (slope, intercept) != (1.0, 0.0):
        values = (values.astype(np.float64) - intercept) / slope
    if type.kind in "iu":
        limits = np.iinfo(type)
        values = np.rint(values).clip(limits.min, limits.max)
    values = values.astype(type).reshape(*values.shape[:2], *original.shape[2:])
    scale = values.shape[0] / original.shape[0]
    image = original.__class__(values, original.affine @ _finer(scale), original.header)
    image.header.set_data_dtype(type)
    image.header.set_slope_inter(slope, intercept)
    content = image.to_bytes()
    if suffix(path) == ".nii.gz":
        import gzip

        content = gzip.compress(content, mtime=0)
    with replacing(path) as stream:
        stream.write(content)


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """An image of nibabel; errors in the block name the file, as ValueError."""
    from nibabel.filebasedimages import ImageFileError
    from nibabel.nifti1 import Nifti1Image
    from nibabel.nifti2 import Nifti2Image
    from nibabel.spatialimages import HeaderDataError
    from nibabel.wrapstruct import WrapStructError

    damaged = (EOFError, zlib.error, ImageFileError, HeaderDataError, WrapStructError)
    logging.getLogger("nibabel.global").setLevel(logging.CRITICAL)  # what it reports, it raises
    try:
        is_second, _ = Nifti2Image.path_maybe_image(path)
        yield (Nifti2Image if is_second else Nifti1Image).from_filename(path)
    except (OSError, ValueError, *damaged) as error:
        reason = str(getattr(error, "strerror", None) or error)
        raise ValueError(reason if shown(path) in reason else f"{shown(path)}: {reason}") from error


def _shape(path: Path, image: Any) -> tuple[int, int, int]:
    """Width, height and number of slices."""
    shape = image.shape
    if len(shape) < 2 or 0 in shape or any(length != 1 for length in shape[3:]):
        raise ValueError(
            f"{shown(path)}: an array of shape {shape}, expected (width, height, slices)"
        )
    return shape[0], shape[1], shape[2] if len(shape) > 2 else 1


def _scale(image: Any) -> tuple[float, float]:
    """What stored values are multiplied by, and what is then added."""
    return float(image.dataobj.slope), float(image.dataobj.inter)


def _finer(scale: float) -> NDArray[np.float64]:
    """From the voxels of slices that are `scale` times larger to those of the original."""
    shift = (1 / scale - 1) / 2  # between the centres of the first voxels
    return np.array(
        [[1 / scale, 0, 0, shift], [0, 1 / scale, 0, shift], [0, 0, 1, 0], [0, 0, 0, 1]]
    )
