"""CAMUS made by code in both official layouts, with the traps of the real one."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

# Number, quality of each view, frame width and height. Two views of one patient may differ.
PATIENTS = (
    (1, "Good", "Good", 55, 78),
    (2, "Good", "Medium", 59, 97),
    (3, "Medium", "Medium", 74, 116),
    (4, "Good", "Good", 64, 90),
    (7, "Poor", "Medium", 55, 78),
    (12, "Medium", "Poor", 60, 91),
)
LISTS = {"training": (1, 2, 5, 7), "validation": (3,), "testing": (4, 6, 12)}
"""As in the published lists, some patients have no images."""

_HEADER = """ObjectType = Image
NDims = 3
BinaryData = True
BinaryDataByteOrderMSB = False
CompressedData = False
TransformMatrix = 1  0  0  0  1  0  0  0  1
ElementSpacing = 0.308       0.154        1.54
DimSize = {width}  {height}     {frames}
ElementNumberOfChannels = 1
ElementType = MET_UCHAR
ElementDataFile = {name}.raw
"""


def frame(seed: int, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """A speckled image and a mask of 0..3, both uint8 [height,width], alike in no axis."""
    rng = np.random.default_rng(seed)
    x, y = np.linspace(-1, 1, width), np.linspace(-1, 1, height)[:, None]
    inside = ((x - 0.2) / rng.uniform(0.3, 0.5)) ** 2 + ((y + 0.3) / rng.uniform(0.4, 0.6)) ** 2
    mask = np.where(inside < 1, 1, np.where(inside < 1.8, 2, 0))
    mask[(y[:, 0] > 0.5), : width // 3] = 3
    image = (60 + 90 * (inside > 1)) * rng.gamma(4, 0.25, mask.shape)
    return image.clip(0, 255).astype(np.uint8), mask.astype(np.uint8)


def _frames() -> Iterator[tuple[str, str, np.ndarray]]:
    for number, *_, width, height in PATIENTS:
        patient = f"patient{number:04d}"
        for code, name in enumerate(("2CH_ED", "2CH_ES", "4CH_ED", "4CH_ES")):
            image, mask = frame(10 * number + code, width, height)
            yield patient, f"{patient}_{name}", image
            yield patient, f"{patient}_{name}_gt", mask


def old_layout(parent: Path) -> Path:
    """`parent`/CAMUS as training/patientXXXX/*.mhd + .raw; sequences have a header alone."""
    root = parent / "CAMUS"
    for patient, name, pixels in _frames():
        folder = root / "training" / patient
        folder.mkdir(parents=True, exist_ok=True)
        height, width = pixels.shape
        write_header(folder / f"{name}.mhd", width, height)
        (folder / f"{name}.raw").write_bytes(pixels.tobytes())
        for view in ("2CH", "4CH"):
            write_header(folder / f"{patient}_{view}_sequence.mhd", width, height, frames=18)
    return _with_texts(root, "training")


def new_layout(parent: Path) -> Path:
    """`parent`/CAMUS_public as database_nifti/patientXXXX/*.nii.gz, arrays stored as [W,H]."""
    root = parent / "CAMUS_public"
    for patient, name, pixels in _frames():
        folder = root / "database_nifti" / patient
        folder.mkdir(parents=True, exist_ok=True)
        write_nifti(folder / f"{name}.nii.gz", pixels.T)
        if name.endswith("CH_ED"):
            sequence = f"{name.removesuffix('_ED')}_half_sequence.nii.gz"
            write_nifti(folder / sequence, np.stack([pixels.T] * 3, -1))
    return _with_texts(root, "database_nifti")


def write_header(path: Path, width: int, height: int, frames: int = 1) -> None:
    path.write_text(_HEADER.format(width=width, height=height, frames=frames, name=path.stem))


def write_nifti(path: Path, array: np.ndarray) -> None:
    import nibabel

    nibabel.save(nibabel.Nifti1Image(array, np.diag([0.308, 0.154, 1.54, 1])), path)


def _with_texts(root: Path, images: str) -> Path:
    for number, two, four, *_ in PATIENTS:
        for view, quality in (("2CH", two), ("4CH", four)):
            info = root / images / f"patient{number:04d}" / f"Info_{view}.cfg"
            info.write_text(
                f"ED: 1\nES: 18\nNbFrame: 18\nSex: F\nAge: 56\nImageQuality: {quality}\n"
            )
    lists = root / "database_split"
    lists.mkdir()
    for name, numbers in LISTS.items():
        text = "".join(f"patient{number:04d}\n" for number in numbers)
        (lists / f"subgroup_{name}.txt").write_text(text)
    return root
