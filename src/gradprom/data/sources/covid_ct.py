"""COVID-CT (Yang et al. 2020): 349 COVID and 397 non-COVID chest CT slices from publications.

The paper trains on 600 and tests on 146 of them (section 4.1) and publishes no list.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from gradprom.data import image_io, text_files
from gradprom.data.base import Entry, Facts
from gradprom.data.dataset_card import About
from gradprom.data.file_source import FileOptions, FileSource
from gradprom.data.listing import listing
from gradprom.data.locate import Part
from gradprom.data.names import key, shown
from gradprom.data.splits import by_group, stratified
from gradprom.errors import DataError, NotOnDisk, in_lines, listed
from gradprom.identity import added

SPLITS = {
    "official": "the published lists, train/val/test 425/118/203",
    "paper": "600/146, seeded, the classes in the same proportion in both",
    "patient": "the same numbers, seeded, no patient in both",
}
IMAGES = 746
PATIENTS = 384
PAPER_TEST = 146

FACTS = Facts(channels=1, classes=("non-COVID", "COVID"), mask_classes=())

# label, image folder, folder and suffix of the split lists, metadata file, its two columns
_CLASSES = (
    (0, "CT_NonCOVID", "NonCOVID", "NonCOVID-CT-MetaInfo.csv", "image name", "patient id"),
    (1, "CT_COVID", "COVID", "COVID-CT-MetaInfo.csv", "File name", "Patient ID"),
)
_PARTS = tuple(Part(f"Images-processed/{images}") for _, images, *_ in _CLASSES)

ABOUT = About(
    title="COVID-CT",
    get="Get it from https://github.com/UCSD-AI4H/COVID-CT (folders Images-processed and "
    "Data-split, and the two MetaInfo csv files) and unpack both zips in Images-processed.",
    licence="none stated with the files; the slices are from publications",
    folders=("COVID-CT",),
    layout="""
        Images-processed/CT_COVID/  CT_NonCOVID/            <any name>.png, .jpg
        Data-split/COVID/           {train,val,test}CT_COVID.txt       for split=official
        Data-split/NonCOVID/        {train,val,test}CT_NonCOVID.txt
        COVID-CT-MetaInfo.csv  NonCOVID-CT-MetaInfo.csv     patients; for split=patient
    """,
    splits=SPLITS,
    traps=(
        "Modes are mixed (RGBA, RGB, grey) and 34 .png files are JPEG inside: files are opened "
        "by what they contain and become one grey channel.",
        "Slices are 115 to 1671 pixels wide and 61 to 1225 high: all are squashed to squares.",
        "File names contain %, in the tables too; one patient id ends in a blank.",
        "In the split paper train and test share patients; in official and patient they do not.",
    ),
)


@dataclass
class Options(FileOptions):
    """Every slice is resized to `size`."""

    name: str = "covid_ct"
    splits: ClassVar = SPLITS
    identities: bool = added(False)
    """Whether patients are identities (auxiliary=identity); needs a split that divides none."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.identities and self.split == "paper":
            raise ValueError(
                "dataset.identities=true needs a split that divides no patient, and dataset.split="
                "paper does: must be official or patient"
            )


class CovidCT(FileSource):
    """The official layout: Images-processed/, Data-split/ and the two MetaInfo csv files."""

    options: Options
    resizes = True
    about, known, layouts = ABOUT, FACTS, (_PARTS,)

    @classmethod
    def facts_of(cls, options: Options) -> Facts:
        """With the patients, if they are identities."""
        people = tuple(f"patient {number}" for number in range(PATIENTS))
        return replace(cls.known, further={"identity": people}) if options.identities else cls.known

    def index(self) -> list[Entry]:
        """Slices of both classes; the id is folder/name, the group the patient where known."""
        folder = self.find()
        entries = []
        for label, images, _, table, name, patient in _CLASSES:
            patients = _patients(folder / table, name, patient)
            for file in _files(folder / "Images-processed" / images):
                id = f"{images}/{key(file.name)}"
                entries.append(Entry(id, patients.get(key(file.name), id), label, (file,)))
        return _identified(entries) if self.options.identities else entries

    def decode(self, entry: Entry) -> dict[str, np.ndarray]:
        """One grey channel, squashed to size × size."""
        (path,) = entry.files
        image = image_io.picture(path, self.facts.channels)
        return {"target": image_io.squashed(image, self.options.size)}

    def splits(self, entries: list[Entry]) -> dict[str, list[str]]:
        options = self.options
        if options.split == "official":
            return _official(self.find(), entries)
        test = max(1, round(len(entries) * PAPER_TEST / IMAGES))
        if options.split == "paper":
            return stratified(entries, test, options.split_seed)
        _require_patients(self.find(), entries)
        return by_group(entries, test, options.split_seed)

    def divides_groups(self) -> bool:
        return self.options.split != "patient"

    def notes(self, entries: list[Entry]) -> list[str]:
        unknown = sum(entry.group == entry.id for entry in entries)
        notes = []
        if len(entries) != IMAGES:
            notes.append(f"{len(entries)} images; the published dataset has {IMAGES}")
        if unknown:
            notes.append(f"the patient of {unknown} images is not known")
        return notes


def _identified(entries: list[Entry]) -> list[Entry]:
    """With the number of each known patient; DataError if there are more than were published."""
    known = sorted({entry.group for entry in entries if entry.group != entry.id})
    if len(known) > PATIENTS:
        raise DataError(f"COVID-CT has {PATIENTS} patients, and these tables name {len(known)}")
    numbers = {patient: {"identity": number} for number, patient in enumerate(known)}
    return [replace(entry, annotations=numbers.get(entry.group, {})) for entry in entries]


def _files(folder: Path) -> list[Path]:
    """All files but hidden ones: what an extension says of the content is often wrong here."""
    content = listing(folder)
    files = [*content.images, *content.others]
    links = [file for file in content.others if not file.is_file()]
    offenders = [*content.broken, *(f"{shown(file)}: a link to nothing" for file in links)]
    if offenders:
        raise DataError(f"Images of COVID-CT cannot be used:{in_lines(offenders)}")
    if not files:
        raise NotOnDisk(f"{folder} holds no images. {ABOUT.get}")
    return sorted(files)


def _patients(table: Path, name: str, patient: str) -> dict[str, str]:
    """Patient by file name; empty when the table is not there (only `patient` needs it)."""
    if not table.is_file():
        return {}
    # One published patient id ends in a blank, which reading takes away.
    return {
        key(row[name]): row[patient]
        for row in text_files.rows(table, (name, patient))
        if row[patient]
    }


def _require_patients(folder: Path, entries: list[Entry]) -> None:
    """Raises DataError where a class has no table of patients, or none that fits its images."""
    missing = []
    for label, _, _, name, *columns in _CLASSES:
        table, images = folder / name, [entry for entry in entries if entry.label == label]
        if not table.is_file():
            missing.append(f"{table}: does not exist")
        elif all(entry.group == entry.id for entry in images):
            names = listed([*map(shown, _patients(table, *columns))], 2) or "(nothing)"
            expected = listed([shown(entry.id.partition("/")[2]) for entry in images], 2)
            missing.append(f"{table}: names none of the images: {names}; these are {expected}")
    if missing:
        raise DataError(f"dataset.split=patient needs the patients' ids:{in_lines(missing)}")


def _official(folder: Path, entries: list[Entry]) -> dict[str, list[str]]:
    known = {entry.id for entry in entries}
    splits: dict[str, list[str]] = {}
    offenders = []
    for part in ("train", "val", "test"):
        lists = list(_lists(folder, part))
        offenders += [f"{file}: no such list" for file, _ in lists if not file.is_file()]
        named = [(file, f"{images}/{key(line)}") for file, images in lists for line in _lines(file)]
        offenders += [
            f"{shown(file)}: {shown(id)} does not exist" for file, id in named if id not in known
        ]
        splits[part] = [id for _, id in named]
    if offenders:
        raise DataError(
            "The official split lists of COVID-CT do not fit the images:" + in_lines(offenders)
        )
    return splits


def _lists(folder: Path, part: str) -> Iterator[tuple[Path, str]]:
    for _, images, name, *_ in _CLASSES:
        yield folder / "Data-split" / name / f"{part}CT_{name}.txt", images


def _lines(file: Path) -> list[str]:
    return text_files.lines(file) if file.is_file() else []


build, facts = CovidCT, CovidCT.facts_of
