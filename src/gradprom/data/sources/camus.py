"""CAMUS (Leclerc et al. 2019): 2D echocardiography of 500 patients, two- and four-chamber views at
end-diastole and end-systole, with the left ventricle's outlines.

The paper trains on 450 and tests on 50 patients, and segments the endocardium (section 4.1).
Both published layouts are read: MetaImage (.mhd + .raw) and NIfTI. They decode to equal arrays.
"""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from gradprom.data import image_io, text_files
from gradprom.data.base import Entry, Facts
from gradprom.data.dataset_card import About
from gradprom.data.file_source import FileOptions, FileSource
from gradprom.data.formats import nifti_files
from gradprom.data.locate import Part
from gradprom.data.names import decoded, shown
from gradprom.data.splits import of_groups, stratified
from gradprom.errors import DataError, in_lines, listed

SPLITS = {
    "official": "the published lists of patients, train/val/test 400/50/50",
    "paper": "450/50 patients, seeded, image qualities in the same proportion in both",
}
PATIENTS = 500
PAPER_TEST = 50
FRAMES = ("2CH_ED", "2CH_ES", "4CH_ED", "4CH_ES")

FACTS = Facts(channels=1, classes=(), mask_classes=("background", "endocardium"))

# Folder and suffix of each layout. The newer one first: it has all patients, the older one 450.
# Other datasets, too, have a folder `training`.
_LAYOUTS = (
    (Part("database_nifti", holds="patient*/"), ".nii.gz"),
    (Part("training", holds="patient*/"), ".mhd"),
)
_LISTS = {"train": "training", "val": "validation", "test": "testing"}
_PATIENT = re.compile(r"patient\d+")
_QUALITIES = ("Poor", "Medium", "Good")

# In the published masks: 0 background, 1 cavity within the endocardium, 2 myocardium, 3 atrium.
_ENDOCARDIUM = 1
_HIGHEST = 3

ABOUT = About(
    title="CAMUS",
    get="Get it from https://www.creatis.insa-lyon.fr/Challenge/camus/ (to be cited) and unpack "
    "it: database_nifti or, of the older release, training, and database_split.",
    licence="CC BY-NC-SA 4.0, free for non-commercial research",
    folders=("CAMUS", "CAMUS_public"),
    layout="""
        database_nifti/patient0001/   patient0001_{2CH,4CH}_{ED,ES}[_gt].nii.gz
                                      Info_{2CH,4CH}.cfg
        training/patient0001/         or, older, the same as .mhd with .raw
        database_split/               subgroup_{training,validation,testing}.txt
    """,
    splits=SPLITS,
    traps=(
        "Frames of a patient are never in two parts. With few of the patients on disk the split "
        "official may have none for testing, which is an error; paper then divides what is there.",
        "Headers of sequences may lack their pixels: only *_E[DS] frames are read.",
        "NIfTI keeps arrays as width × height: both layouts are turned to decode alike.",
        "Masks hold 1 cavity, 2 myocardium, 3 left atrium: 1 is the mask, 2 and 3 are background.",
        "Pixels are twice as wide as high (0.308 × 0.154 mm): frames are squashed to squares.",
    ),
)


@dataclass
class Options(FileOptions):
    """Every frame is resized to `size`."""

    name: str = "camus"
    splits: ClassVar = SPLITS


class Camus(FileSource):
    """Either official layout: patientXXXX/patientXXXX_{2CH,4CH}_{ED,ES} with `_gt` masks."""

    options: Options
    resizes = True
    about, known, layouts = ABOUT, FACTS, tuple((part,) for part, _ in _LAYOUTS)

    def index(self) -> list[Entry]:
        """Frames by patient; the id is the file's stem, the group the patient.

        The sequences, whose data are often missing, are skipped.
        """
        folder, suffix = self._patients()
        entries = []
        offenders = [
            f"{path}: a link to nothing" for path in folder.glob("patient*") if not path.exists()
        ]
        for patient in _patients(folder):
            frames = sorted(patient.glob(f"{patient.name}_?CH_E[DS]{suffix}"))
            if not frames:
                offenders.append(f"{patient}: no {patient.name}_*_E[DS]{suffix}")
            for frame in frames:
                id = frame.name.removesuffix(suffix)
                files = _files(patient, id, suffix)
                offenders += [f"{file}: does not exist" for file in files if not file.is_file()]
                entries.append(Entry(id, patient.name, None, files))
        if offenders:
            lines = in_lines(offenders)
            raise DataError(f"{len(offenders)} files of CAMUS are missing:{lines}")
        return entries

    def decode(self, entry: Entry) -> dict[str, np.ndarray]:
        """One grey channel, squashed to size × size, and the cavity within the endocardium as 1.

        The mask takes the nearest pixel.
        """
        from PIL import Image

        image, mask = (_read(file) for file in entry.files[:2])
        if mask.shape != image.shape:
            raise ValueError(
                f"{entry.files[1]}: mask {_by(mask)} pixels, its image has {_by(image)}"
            )
        if mask.max() > _HIGHEST:
            raise ValueError(f"{entry.files[1]}: mask value {mask.max()}, expected 0..{_HIGHEST}")
        size = self.options.size
        cavity = Image.fromarray((mask == _ENDOCARDIUM).astype(np.uint8))
        return {
            "target": image_io.squashed(Image.fromarray(image), size),
            "mask": np.asarray(cavity.resize((size, size), Image.Resampling.NEAREST)),
        }

    def shape(self, entry: Entry) -> tuple[float, float]:
        height, width = _read(entry.files[0]).shape
        return height, width

    def splits(self, entries: list[Entry]) -> dict[str, list[str]]:
        """Whole patients, in either split."""
        folders = {entry.group: entry.files[0].parent for entry in entries}
        if self.options.split == "official":
            lists = self.find() / "database_split"
            chosen = _official(lists, set(folders))
        else:
            patients = [Entry(name, name, quality(path), ()) for name, path in folders.items()]
            test = max(1, round(len(patients) * PAPER_TEST / PATIENTS))
            chosen = stratified(patients, test, self.options.split_seed)
        return of_groups(entries, chosen)

    def _patients(self) -> tuple[Path, str]:
        """The folder of the patients and the suffix of their images."""
        folder = self.find()
        return next((folder / p.folder, suffix) for p, suffix in _LAYOUTS if p.exists_in(folder))

    def notes(self, entries: list[Entry]) -> list[str]:
        patients = len({entry.group for entry in entries})
        notes = [f"{patients} of {PATIENTS} patients"] if patients != PATIENTS else []
        frames = {f"{entry.group}_{frame}" for entry in entries for frame in FRAMES}
        missing = sorted(frames - {entry.id for entry in entries})
        if missing:
            notes.append(f"{len(missing)} frames are missing: {listed(missing, 3)}")
        return notes


def quality(patient: Path) -> int | None:
    """Image quality of a patient's worse view: 0 poor, 1 medium, 2 good.

    None if no Info_*.cfg has it.
    """
    grades = [_fields(info, ":").get("ImageQuality") for info in patient.glob("Info_*.cfg")]
    return min((_QUALITIES.index(grade) for grade in grades if grade in _QUALITIES), default=None)


def _patients(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("patient*") if path.is_dir())


def _files(patient: Path, id: str, suffix: str) -> tuple[Path, ...]:
    """Image and mask; in MetaImage the two files of pixels, then their headers."""
    names = (id, f"{id}_gt")
    pixels = ".raw" if suffix == ".mhd" else suffix
    files = [patient / f"{name}{pixels}" for name in names]
    if suffix == ".mhd":
        files += [patient / f"{name}.mhd" for name in names]
    return tuple(files)


def _official(lists: Path, present: set[str]) -> dict[str, list[str]]:
    """The patients of the published lists as far as they are present."""
    files = {part: lists / f"subgroup_{name}.txt" for part, name in _LISTS.items()}
    offenders = [f"{file}: no such list" for file in files.values() if not file.is_file()]
    named = {
        part: [name for line in text_files.lines(file) for name in line.split()]
        for part, file in files.items()
        if file.is_file()
    }
    offenders += [
        f"{files[part]}: {shown(name)} is no patient"
        for part, patients in named.items()
        for name in patients
        if not _PATIENT.fullmatch(name)
    ]
    counts = Counter(patient for patients in named.values() for patient in patients)
    offenders += [f"{shown(patient)}: listed {n} times" for patient, n in counts.items() if n > 1]
    chosen = {part: sorted(present & set(patients)) for part, patients in named.items()}
    offenders += [
        f"{files[part]}: none of its {len(named[part])} patients is on disk"
        for part in ("train", "test")
        if part in chosen and not chosen[part]
    ]
    if offenders:
        raise DataError(f"The official split of CAMUS cannot be made:{in_lines(offenders)}")
    return chosen


def _fields(path: Path, separator: str) -> dict[str, str]:
    """The lines `key separator value` of a text file; harmless for a binary file."""
    lines = decoded(path.read_bytes()).splitlines()
    pairs = (line.partition(separator) for line in lines)
    return {key.strip(): value.strip() for key, _, value in pairs}


def _by(image: np.ndarray) -> str:
    return f"{image.shape[1]}×{image.shape[0]}"


def _read(path: Path) -> NDArray[np.uint8]:
    """Pixels [H,W] of either format; OSError or ValueError that names the file."""
    return _read_raw(path) if path.suffix == ".raw" else _read_nifti(path)


def _read_raw(path: Path) -> NDArray[np.uint8]:
    """The pixels [H,W] that the MetaImage header beside `path` describes."""
    header = path.with_suffix(".mhd")
    fields = _fields(header, "=")
    if fields.get("CompressedData", "False").lower() != "false":
        raise ValueError(f"{header}: compressed MetaImage data, expected uncompressed bytes")
    for key, expected in (("ElementType", "MET_UCHAR"), ("ElementDataFile", path.name)):
        if fields.get(key) != expected:
            raise ValueError(f"{header}: {key} = {fields.get(key)}, expected {expected}")
    sizes = fields.get("DimSize", "").split()
    if len(sizes) != 3 or sizes[2] != "1" or not all(size.isdecimal() for size in sizes):
        raise ValueError(f"{header}: DimSize = {' '.join(sizes)}, expected width, height and 1")
    width, height = map(int, sizes[:2])
    pixels = np.fromfile(path, np.uint8)
    if not pixels.size or pixels.size != width * height:
        raise ValueError(f"{path}: {pixels.size} bytes, its header says {width}×{height} pixels")
    return pixels.reshape(height, width)


def _read_nifti(path: Path) -> NDArray[np.uint8]:
    """Pixels [H,W]; NIfTI keeps them as [W,H]."""
    with nifti_files.opened(path) as image:
        values = np.asanyarray(image.dataobj)
    if values.ndim < 2 or not values.size or any(length != 1 for length in values.shape[2:]):
        raise ValueError(f"{path}: an array of shape {values.shape}, expected (width, height)")
    frame = values.reshape(values.shape[:2]).T
    with np.errstate(invalid="ignore"):
        pixels = frame.astype(np.uint8)
    if not np.array_equal(pixels, frame):
        raise ValueError(f"{path}: {values.dtype} values, expected whole numbers from 0 to 255")
    return np.ascontiguousarray(pixels)


build, facts = Camus, Camus.facts_of
