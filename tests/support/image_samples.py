"""Image files of several formats, made by code and by other writers than the project's own."""

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import tifffile
from numpy.typing import NDArray


def levels(type: Any, shape: tuple[int, ...], top: int, low: int = 0, seed: int = 0) -> NDArray:
    """Random values from `low` to `top`, both of which occur."""
    values = np.random.default_rng(seed).integers(low, top, shape, endpoint=True)
    values.flat[0], values.flat[-1] = low, top
    return values.astype(type)


def tiff(path: Path, pages: NDArray, **options: Any) -> None:
    """A page for each [H, W] or [H, W, 3] of an array."""
    kind = "rgb" if pages.ndim == 4 else "minisblack"
    with tifffile.TiffWriter(path) as writer:
        for page in pages:
            writer.write(page, **{"photometric": kind, "metadata": None, **options})


def nifti(path: Path, slices: NDArray, slope: float = 1, intercept: float = 0) -> None:
    """A volume [slices, H, W] of voxels of 0.5 × 0.5 × 3 mm, stored as it is given."""
    affine = np.diag([-0.5, -0.5, 3.0, 1.0])
    affine[:3, 3] = (10, 20, -30)
    image = nibabel.Nifti1Image(slices.transpose(2, 1, 0), affine)
    image.header.set_data_dtype(slices.dtype)
    image.header.set_slope_inter(slope, intercept)
    image.to_filename(path)


def dicom(path: Path, frames: NDArray, patient: str = "p1", **elements: Any) -> None:
    """A CT slice [H, W], or several frames, of 0.4 mm pixels."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID = CTImageStorage
    data.SOPInstanceUID = generate_uid()
    data.PatientID, data.PixelSpacing = patient, [0.4, 0.4]
    for name, value in elements.items():
        setattr(data, name, value)
    kind = elements.get("PhotometricInterpretation", "MONOCHROME2")
    data.set_pixel_data(frames, kind, 12, generate_instance_uid=False)
    data.save_as(path, enforce_file_format=True)
