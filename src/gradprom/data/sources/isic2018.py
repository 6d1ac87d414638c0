"""ISIC 2018, Task 1 (Codella et al. 2019): 2594 dermoscopic images with lesion masks.

The paper trains on 80 % and tests on 20 % of them, at random (section 4.1), without a list. The
challenge names no diagnosis for these images; ISIC-2017, Part 3 does for 1921 of them. Unlabelled
images serve enhancement and segmentation; diagnosis leaves them out.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np

from gradprom.data import image_io, text_files
from gradprom.data.base import Entry, Facts
from gradprom.data.dataset_card import About
from gradprom.data.file_source import FileOptions, FileSource
from gradprom.data.listing import listing
from gradprom.data.locate import Part
from gradprom.data.names import shown
from gradprom.data.splits import stratified
from gradprom.errors import DataError, NotOnDisk, in_lines, listed

SPLITS = {
    "paper": "80/20, seeded, the classes and the unlabelled images in the same proportion in both",
}
IMAGES = 2594
PAPER_TEST = 0.2
MASK_VALUES = (0, 255)

FACTS = Facts(
    channels=3,
    classes=("nevus", "melanoma", "seborrheic keratosis"),
    mask_classes=("background", "lesion"),
)

_INPUT = "ISIC2018_Task1-2_Training_Input"
_TRUTH = "ISIC2018_Task1_Training_GroundTruth"
_IMAGE = re.compile(r"ISIC_\d+\.jpe?g", re.IGNORECASE)
_TERMS = ("LICENSE.txt", "ATTRIBUTION.txt")  # are in both folders
_PARTS = (Part(_INPUT), Part(_TRUTH))

ABOUT = About(
    title="ISIC 2018",
    get=f"Get {_INPUT}.zip and {_TRUTH}.zip from https://challenge.isic-archive.com/data/#2018 "
    "and unpack both; for diagnosis put ISIC-2017_Training_Part3_GroundTruth.csv and "
    "ISIC-2017_Validation_Part3_GroundTruth.csv of https://challenge.isic-archive.com/data/#2017 "
    "beside them, or in a folder labels.",
    licence="CC BY-NC 4.0; the LICENSE.txt in each folder applies",
    folders=("ISIC2018",),
    layout=f"""
        {_INPUT}/        ISIC_0000000.jpg …
        {_TRUTH}/  ISIC_0000000_segmentation.png …
        labels/  ISIC-2017_{{Training,Validation}}_Part3_GroundTruth.csv   for diagnosis
    """,
    splits=SPLITS,
    traps=(
        "Task 3 of the same challenge diagnoses other images: its labels fit none of these. "
        "ISIC-2017, Part 3 shares ids and labels 1921 of them, 72 % nevus: look at balanced "
        "accuracy. Of a Task 3 table in the folder, only rows of matching ids count.",
        "No patient is published, so images of one patient may be in both parts.",
        "Images have many sizes: image and mask are squashed to squares.",
    ),
)


class _Table(NamedTuple):
    """One kind of label file: for each column that can be 1 the class it stands for."""

    pattern: str
    id: str
    columns: dict[str, int | None]
    otherwise: int | None
    """The class of a row without any 1; None: there is no such row."""


_PART3 = _Table(
    "ISIC-2017_*Part3_GroundTruth.csv",
    "image_id",
    {"melanoma": 1, "seborrheic_keratosis": 2},
    otherwise=0,
)
# BKL holds lentigines and lichen planus-like keratoses as well: no class of this dataset.
_TASK3 = _Table(
    "ISIC2018_Task3_*GroundTruth.csv",
    "image",
    {"MEL": 1, "NV": 0, "BCC": None, "AKIEC": None, "BKL": None, "DF": None, "VASC": None},
    otherwise=None,
)


@dataclass
class Options(FileOptions):
    """Every image and mask is resized to `size`."""

    name: str = "isic2018"
    splits: ClassVar = SPLITS


class ISIC2018(FileSource):
    """The official layout of Task 1's training set, and label tables beside it or in labels/."""

    options: Options
    resizes = True
    about, known, layouts = ABOUT, FACTS, (_PARTS,)

    def index(self) -> list[Entry]:
        """Images with their masks; each is a group of its own, for no patient is published."""
        folder = self.find()
        images = _images(folder / _INPUT)
        if not images:
            raise NotOnDisk(f"{folder / _INPUT} holds no images. {ABOUT.get}")
        masks = {file.name.lower(): file for file in listing(folder / _TRUTH).images}
        wanted = {image: _mask(folder, image) for image in images}
        missing = [file for file in wanted.values() if file.name.lower() not in masks]
        if missing:
            lines = in_lines(file.name for file in missing)
            raise DataError(
                f"{len(missing)} of {len(images)} images have no mask; {folder / _TRUTH} lacks "
                f"these files, each named ID_segmentation.png after its image ID.jpg:{lines}"
            )
        labels = _labels(folder)
        return [
            Entry(image.stem, image.stem, labels.get(image.stem), (image, masks[mask.name.lower()]))
            for image, mask in wanted.items()
        ]

    def decode(self, entry: Entry) -> dict[str, np.ndarray]:
        """RGB and the lesion's mask (0, 1), both squashed to size × size."""
        size, (path, mask) = self.options.size, entry.files
        image = image_io.picture(path, FACTS.channels)
        return {
            "target": image_io.squashed(image, size),
            "mask": image_io.mask(mask, image, size, MASK_VALUES),
        }

    def problems(self, entries: list[Entry]) -> list[str]:
        """Label tables of which no row is of these images; Task 3's only if no other table fits."""
        images, fits = {entry.id for entry in entries}, False
        strange = []
        for table, path in _tables(self.find()):
            ids = [row[table.id] for row in text_files.rows(path, [table.id])]
            if images.intersection(ids):  # of which the challenge has more than this task's images
                fits = True
                continue
            shown = f"{listed(ids, 2)}; images are {listed(sorted(images), 2)}"
            reason = f"its ids are {shown}" if ids else "it has no rows"
            sentence = f"{path}: none of its {len(ids)} rows is of an image here: {reason}"
            strange.append((table, sentence))
        return [text for table, text in strange if table is not _TASK3 or not fits]

    def splits(self, entries: list[Entry]) -> dict[str, list[str]]:
        test = max(1, round(len(entries) * PAPER_TEST))
        return stratified(entries, test, self.options.split_seed)

    def notes(self, entries: list[Entry]) -> list[str]:
        count = Counter(entry.label for entry in entries if entry.label is not None)
        kinds = ", ".join(f"{count[label]} {name}" for label, name in enumerate(FACTS.classes))
        notes = [
            f"{count.total()} of {len(entries)} images are labelled ({kinds}); "
            "diagnosis leaves the others out"
        ]
        if len(entries) != IMAGES:
            notes.append(f"{len(entries)} images; the published dataset has {IMAGES}")
        folder, used = self.find(), {file for entry in entries for file in entry.files}
        for part in (_INPUT, _TRUTH):
            content = listing(folder / part)
            others = [file.name for file in (*content.images, *content.others) if file not in used]
            unread = [shown(name) for name in others if name not in _TERMS]
            if unread:
                notes.append(f"{len(unread)} files of {part} are not read: {listed(unread, 3)}")
        return notes


def _images(folder: Path) -> list[Path]:
    """Raises DataError for images that cannot be used, and for two of the same id."""
    content = listing(folder)
    images = [file for file in content.images if _IMAGE.fullmatch(file.name)]
    twice = [id for id, n in Counter(image.stem.lower() for image in images).items() if n > 1]
    offenders = [*content.broken, *(f"{folder}: several files are named {id}" for id in twice)]
    if offenders:
        raise DataError(f"Images of ISIC 2018 cannot be used:{in_lines(offenders)}")
    return images


def _mask(folder: Path, image: Path) -> Path:
    return folder / _TRUTH / f"{image.stem}_segmentation.png"


def _labels(folder: Path) -> dict[str, int]:
    """Class by image id, of all tables that are there. Raises DataError for contradictions."""
    labels: dict[str, int] = {}
    offenders = []
    for table, path in _tables(folder):
        for row in text_files.rows(path, [table.id, *table.columns]):
            id, cells = row[table.id], [row[column] for column in table.columns]
            try:
                label = _label(table, cells)
            except ValueError:
                offenders.append(f"{path}: {id}: {','.join(cells)} names no single class")
                continue
            if label is not None and labels.setdefault(id, label) != label:
                offenders.append(f"{path}: {id} has another class here than before")
    if offenders:
        raise DataError(f"{len(offenders)} labels of ISIC 2018 are wrong:{in_lines(offenders)}")
    return labels


def _label(table: _Table, cells: list[str]) -> int | None:
    """The class of a row of 0s and at most one 1; raises ValueError for any other row."""
    values = [float(cell) for cell in cells]
    if not set(values) <= {0, 1} or sum(values) > 1:
        raise ValueError(cells)
    if sum(values) == 1:
        return list(table.columns.values())[values.index(1)]
    if table.otherwise is None:
        raise ValueError(cells)
    return table.otherwise


def _tables(folder: Path) -> Iterator[tuple[_Table, Path]]:
    """The label files in the folder, in labels/, and where Task 3's own archive unpacks."""
    places = [folder, folder / "labels", *folder.glob("ISIC2018_Task3_*GroundTruth/")]
    contents = [listing(place) for place in places if place.is_dir()]
    for table in (_PART3, _TASK3):
        pattern = table.pattern.lower()
        for path in (path for content in contents for path in content.others):
            if fnmatch(path.name.lower(), pattern) and path.is_file():
                yield table, path


build, facts = ISIC2018, ISIC2018.facts_of
