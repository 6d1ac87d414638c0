"""DICOM, with the extra `dicom`: an image, or several frames, in grey; values as rescaled."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np

from gradprom.data.formats import contents
from gradprom.data.formats.contents import Contents, Header, Picture
from gradprom.data.names import shown
from gradprom.storage.files import replacing

_GREY = ("MONOCHROME1", "MONOCHROME2")
_SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")


def header(path: Path) -> Header:
    """See `formats.header`."""
    with _opened(path, pixels=False) as data:
        _require_grey(data)
        type = contents.rescaled_type(_stored_type(data), *_scale(data))
        return Header(
            "DICOM",
            contents.mode(type, 1),
            (int(data.Columns), int(data.Rows)),
            int(data.get("NumberOfFrames") or 1),
            _pseudonym(str(data.get("PatientID") or data.get("SeriesInstanceUID") or "")),
        )


def read(path: Path) -> Contents:
    """See `formats.read`. CT becomes Hounsfield units through the file's rescaling."""
    with _opened(path) as data:
        _require_grey(data)
        stored = data.pixel_array
        slope, intercept = _scale(data)
        inverted = data.PhotometricInterpretation == "MONOCHROME1"
    values = stored.reshape(-1, *stored.shape[-2:])
    frames = [contents.rescaled(frame, slope, intercept)[..., None] for frame in values]
    pages = [Picture(frame, inverted=inverted) for frame in frames]
    return Contents("DICOM", pages, original=data)


def write(path: Path, written: Contents) -> None:
    """Write frames with the other elements of the original, as a derived image of its own UID."""
    data = deepcopy(written.original)
    slope, intercept = _scale(data)
    bits = int(data.BitsStored) - int(data.PixelRepresentation)
    limits = (-(2**bits) if data.PixelRepresentation else 0, 2**bits - 1)
    values = np.stack([page.pixels[..., 0] for page in written.pages]).astype(np.float64)
    stored = np.rint((values - intercept) / slope).clip(*limits).astype(_stored_type(data))
    scale = stored.shape[-1] / int(data.Columns)
    for name in _SPACINGS:
        if name in data and scale != 1:
            setattr(data, name, [float(value) / scale for value in getattr(data, name)])
    data.set_pixel_data(
        stored if len(stored) > 1 else stored[0],
        data.PhotometricInterpretation,
        int(data.BitsStored),
    )
    data.ImageType = ["DERIVED", "SECONDARY", *list(data.get("ImageType", []))[2:]]
    with replacing(path) as stream:
        data.save_as(stream, enforce_file_format=True)


@contextmanager
def _opened(path: Path, pixels: bool = True) -> Iterator[Any]:
    """A data set of pydicom; errors in the block name the file, as ValueError."""
    try:
        import pydicom
    except ImportError:
        raise ValueError(
            f"{shown(path)}: DICOM is read with pydicom: pip install 'gradprom[dicom]'"
        ) from None
    try:
        yield pydicom.dcmread(path, stop_before_pixels=not pixels)
    except Exception as error:  # of many kinds: of pydicom, of its decoders, of missing elements
        raise ValueError(f"{shown(path)}: {error}") from error


def _pseudonym(patient: str) -> str:
    """A name that groups a patient's images without the id, because records show groups."""
    return f"patient {hashlib.sha256(patient.encode()).hexdigest()[:12]}" if patient else ""


def _require_grey(data: Any) -> None:
    kind = data.get("PhotometricInterpretation")
    if kind not in _GREY:
        raise ValueError(f"{kind or 'no image'}; grey images are read")


def _stored_type(data: Any) -> np.dtype[Any]:
    kind = "i" if data.PixelRepresentation else "u"
    return np.dtype(f"{kind}{max(1, int(data.BitsAllocated) // 8)}")


def _scale(data: Any) -> tuple[float, float]:
    """What stored values are multiplied by, and what is then added."""
    return float(data.get("RescaleSlope") or 1), float(data.get("RescaleIntercept") or 0)
