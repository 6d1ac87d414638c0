"""Your own images: a folder, optionally with masks and a table of labels. No code is needed.

    mine/                 root: the images themselves
      a.png  b.jpg  …
      masks/a.png  …      masks: one for each image, of the same stem and the same size
      labels.csv          labels: id,label and perhaps group, the patient

    id,label,group
    a,benign,patient 1
    b.jpg,malignant,patient 2

A file can hold several images (TIFF, GIF, NIfTI, DICOM): they are the slices of one group, the
file, and the file of their masks holds as many. DICOM is grouped by patient. Values of more than
8 bits are read in the range that all images together have, or in that of `range`.

An `id` is a file's name or its stem. An image without a label, or without a line in the table,
is left out of diagnosis. Where there are groups, no group is in both train and test. With
`identities` the table has a column `identity`, whom an image shows, which then is the group; with
`volumes` a column `volume`, the slices of which also are one group where the table has no other.

With `inputs` an image is what a network is to make of others: of the grey images of the same stem
in each of these folders, such as the contrasts of an acquisition. With `tell_label` the input also
has a plane for each class, white for that of the image, so that it says which one to make.

A mask's values are the numbers of its classes, 0, 1, …; with two classes 0 and 255 do as well.
Classes are named in the configuration, in the order of their numbers, so that it can be checked
before any file is read. `title` is what the images are called: the folder's own name, unless it is
set. It is part of a run's id, where the folder lies is not. In `evaluate_on` all images are tested
on, whether masks and labels are named or not.
"""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gradprom.data import formats, image_io, own_files, own_inputs
from gradprom.data.base import Entry, Facts, Source
from gradprom.data.dataset_card import About
from gradprom.data.formats.recent import Recent
from gradprom.data.listing import listing
from gradprom.data.names import shown
from gradprom.data.own_inputs import OwnInputs
from gradprom.data.splits import by_group, stratified
from gradprom.data.value_range import EIGHT_BITS, Extremes, ValueRange, checked, is_deep
from gradprom.errors import DataError, NotOnDisk, in_lines, listed
from gradprom.identity import added

CHANNELS = {"grey": 1, "rgb": 3}
_OTHER = "files whose names do not end as those of images"
TEST_SET = {"test": 1.0}
"""Options of a folder that is only tested on."""

ABOUT = About(
    title="dataset=folder",
    get=f"Put the images there (files that end in {', '.join(formats.SUFFIXES)}), or set "
    "data_root or dataset.root; conf/dataset/folder.yaml shows an example.",
    licence="that of your images",
    traps=(
        "Two folders of one name need two titles: set dataset.title for one of them.",
        "Files are opened by their content, regardless of their name; photographs are turned "
        "upright and transparency is dropped.",
        "Of more than 8 bits black is 0, and white the highest value of the fewest bits (8, 10, "
        "12, 14 or 16) that hold all images; `data check` says which. Below 0, as in CT, both must "
        "be given: dataset.range=[-160,240]. Decoded images have 8 bits of that range.",
        "The files of a stack and of its masks have as many images. They are one group, unless the "
        "table says another; DICOM files are grouped by patient.",
        "Images of one patient come into both parts unless the table has a column group.",
    ),
)


@dataclass
class Options:
    name: str = "folder"
    root: str = field(default="data", metadata={"hashed": False})
    """The folder of the images; no part of a run's id."""
    masks: str = field(default="", metadata={"hashed": False})
    """Folder of the masks, absolute or as seen from `root`; empty: there are none."""
    mask_classes: list[str] = field(default_factory=list)
    """Names of the mask values 0, 1, …, the background first; needed with `masks`."""
    labels: str = field(default="", metadata={"hashed": False})
    """CSV table with `id` and `label` or `group`, absolute or as seen from `root`; or empty."""
    classes: list[str] = field(default_factory=list)
    """The labels that the table may hold; empty: its labels are not read."""
    channels: str = "rgb"
    """rgb or grey: what every image is converted to."""
    size: int = 256
    """Height and width in pixels to which every image and mask is resized."""
    test: float = 0.2
    """Share of the images to test on, above 0; 1, which leaves none to train on, is for
    `evaluate_on`."""
    split_seed: int = 0
    """Drives the split."""
    range: list[float] = field(default_factory=list, metadata={"before": []})
    """The values of black and of white in files of more than 8 bits; empty: as found in them."""
    title: str = added("")
    """What the images are called, as part of a run's id; the folder's name if it is not set."""
    subfolders: bool = added(False)
    """Whether images in folders below `root` belong to it, but for the folder of the masks."""
    identities: int = added(0)
    """How many identities the table's column `identity` names; 0: the column is not read."""
    volumes: bool = added(False)
    """Whether the table's column `volume` says which images are slices of one volume."""
    inputs: list[str] = field(default_factory=list, metadata={"before": []})
    """Folders with the channels of the input, absolute or as seen from `root`; empty: the input is
    the degraded image."""
    tell_label: bool = added(False)
    """Whether the input has a plane for each class; needs `inputs`."""

    def __post_init__(self) -> None:
        if self.channels not in CHANNELS:
            allowed = ", ".join(CHANNELS)
            raise ValueError(f"dataset.channels={self.channels}: must be one of {allowed}")
        if self.size < 1:
            raise ValueError(f"dataset.size={self.size}: must be at least 1 pixel")
        if not 0 < self.test <= 1:
            raise ValueError(f"dataset.test={self.test}: must be above 0 and at most 1")
        if "/" in self.title or "\\" in self.title or self.title.startswith("."):
            raise ValueError(
                f"dataset.title={self.title}: must be a name, without / and \\, not a path"
            )
        checked(self.range, "dataset.range=")
        _check_names("classes", self.classes)
        _check_names("mask_classes", self.mask_classes)
        if bool(self.masks) != bool(self.mask_classes):
            raise ValueError("dataset.masks and dataset.mask_classes: set both or neither")
        if self.identities == 1 or self.identities < 0:
            raise ValueError(f"dataset.identities={self.identities}: must be 0, or 2 or more")
        if self.identities and not self.labels:
            raise ValueError("dataset.identities: needs dataset.labels, the table that names them")
        if self.volumes and not self.labels:
            raise ValueError("dataset.volumes: needs dataset.labels, the table that names them")
        if self.tell_label and not (self.inputs and self.classes):
            raise ValueError("dataset.tell_label: needs dataset.inputs and dataset.classes")
        if self.classes and not self.labels:
            raise ValueError("dataset.classes: needs dataset.labels, the table that uses them")


def _check_names(option: str, names: list[str]) -> None:
    if len(names) == 1 or len(set(names)) < len(names):
        shown = ",".join(names)
        raise ValueError(
            f"dataset.{option}=[{shown}]: must be none, or two or more different names"
        )


def facts(options: Options) -> Facts:
    """The facts, from the options."""
    people = tuple(f"identity {number}" for number in range(options.identities))
    further: dict[str, tuple[str, ...]] = {"identity": people} if people else {}
    planes = len(options.classes) if options.tell_label else 0
    return Facts(
        CHANNELS[options.channels],
        tuple(options.classes),
        tuple(options.mask_classes),
        inputs=len(options.inputs) + planes,
        further=further | ({"volume": ()} if options.volumes else {}),
    )


def build(options: Options) -> "Folder":
    return Folder(options, facts(options))


class Folder(Source):
    """Images in `root`; an id is a file's path in it, without its suffix.

    Where a file holds several images, their ids are `id#1`, ….
    """

    version = 2
    options: Options
    resizes = True

    def __init__(self, options: Options, facts: Facts) -> None:
        super().__init__(options, facts)
        self._read = Recent()
        self._extremes: Extremes | None = None
        self._people: dict[str, int] = {}
        self._volumes: dict[str, int] = {}
        folders = [Path(options.root, folder) for folder in options.inputs]
        self._inputs = OwnInputs(folders, options.subfolders, options.range, self._read)
        # crops of larger images would need larger inputs
        self.resizes = not options.inputs

    def index(self) -> list[Entry]:
        """One entry per image; images, masks and table are checked against each other."""
        root, options = Path(self.options.root), self.options
        images, offenders = self._images(root)
        masks: dict[str, Path] = {}
        if options.masks:
            masks, wrong = own_files.masks_of(images, root / options.masks, options.subfolders)
            offenders += wrong
        inputs, wrong = self._inputs.files(images)
        offenders += wrong
        table: dict[str, dict[str, str]] = {}
        if options.labels:
            path, further = root / options.labels, ["identity"] * bool(options.identities)
            further += ["volume"] * options.volumes
            table, wrong = own_files.table_of(images, root, path, options.classes, further)
            offenders += wrong
            self._people, wrong = own_files.identities_of(table, path, options.identities)
            offenders += wrong
            self._volumes, wrong = own_files.volumes_of(table, path)
            offenders += wrong
        if options.tell_label:
            untold = [id for id in images if not table.get(id, {}).get("label")]
            offenders += [f"{shown(id)}: no label, which dataset.tell_label needs" for id in untold]
        if offenders:
            raise DataError(f"{root} is not as dataset=folder expects:{in_lines(offenders)}")
        return [
            entry
            for id, image in images.items()
            for entry in self._entries(
                id,
                table.get(id, {}),
                image,
                [files[id] for files in (masks, *inputs) if id in files],
            )
        ]

    def _images(self, root: Path) -> tuple[dict[str, Path], list[str]]:
        """Image by id, and the ids that several files have."""
        if not root.is_dir():
            raise NotOnDisk(f"dataset=folder found no folder {root}. {ABOUT.get}")
        images, twice = own_files.by_id(root, self.options.subfolders, self._beside())
        if not images:
            unread = listed(self._unread(), 3)
            ask = f", but in its folders {unread}: set dataset.subfolders=true" if unread else ""
            others = [shown(path.name) for path in listing(root).others]
            there = f" (it holds {listed(others, 3)})" if others else ""
            raise NotOnDisk(f"dataset=folder found no images in {root}{there}{ask}. {ABOUT.get}")
        return images, twice

    def _beside(self) -> list[Path]:
        """The folders of masks and of inputs, resolved."""
        options = self.options
        folders = [*([options.masks] if options.masks else []), *options.inputs]
        return [Path(options.root, folder).resolve() for folder in folders]

    def _unread(self) -> list[str]:
        """The folders in `root` that hold images which do not belong to it, sorted."""
        return [
            shown(folder.name)
            for folder in listing(Path(self.options.root)).folders
            if folder.resolve() not in self._beside() and listing(folder).images
        ]

    def _entries(
        self, id: str, row: dict[str, str], image: Path, others: list[Path]
    ) -> list[Entry]:
        """A file's image, or its images, with the files of their masks and inputs."""
        label = row.get("label")
        number = self.options.classes.index(label) if label and self.options.classes else None
        pages, patient = formats.pages_of(image)
        whom, volume = row.get("identity", ""), row.get("volume", "")
        group = whom or row.get("group") or volume or patient or id
        files = (image, *others)
        numbers = {"identity": self._people[whom]} if whom else {}
        numbers |= {"volume": self._volumes[volume]} if volume else {}
        if pages == 1:
            return [Entry(id, group, number, files, numbers)]
        ids = [f"{id}#{page + 1}" for page in range(pages)]
        return [Entry(one, group, number, files, numbers, page) for page, one in enumerate(ids)]

    def decode(self, entry: Entry) -> dict[str, np.ndarray]:
        """The image and, where there are masks, its mask, squashed to size × size."""
        size, classes = self.options.size, len(self.facts.mask_classes)
        path, *others = entry.files
        masks, inputs = others[: bool(classes)], others[bool(classes) :]
        pages = self._read(path).pages
        if len(pages) > 1 and not formats.may_be_stack(path):
            raise ValueError(
                f"{shown(path)}: holds {len(pages)} images; its suffix must be one of "
                f"{', '.join(formats.STACKS)}"
            )
        image, values = pages[entry.page], EIGHT_BITS
        if is_deep(image.pixels):
            values = self.value_range() or values
        arrays = {"target": image_io.fitted(image, self.facts.channels, size, values)}
        codes = [range(classes), (0, 255)][: 2 if classes == 2 else 1]
        for mask in masks:
            self._require_as_many(mask, len(pages))
            arrays["mask"] = image_io.mask(
                mask, image, size, *codes, page=entry.page, read=self._read
            )
        if inputs:
            channels = [self._inputs.decode(inputs, entry.page, len(pages), size)]
            if self.options.tell_label:
                assert entry.label is not None
                channels.append(own_inputs.planes(entry.label, len(self.facts.classes), size))
            arrays["input"] = np.concatenate(channels)
        return arrays

    def shape(self, entry: Entry) -> tuple[float, float]:
        width, height = self._read(entry.files[0]).pages[entry.page].size
        return height, width

    def _require_as_many(self, mask: Path, images: int) -> None:
        masks = len(self._read(mask).pages)
        if masks != images:
            raise ValueError(f"{shown(mask)}: holds {masks} masks, its image's file {images}")

    def value_range(self) -> ValueRange | None:
        """That of the option, or the one that all images of more than 8 bits have together.

        Test images count: it tells of the scanner's bits, one of five values, and not of them.
        """
        extremes = self.extremes()
        if not extremes:
            return None
        values = checked(self.options.range, "dataset.range=") or extremes.range()
        if values is not None:
            return values
        raise DataError(
            f"{shown(self.options.root)} has {extremes.text()}, and which of them are black and "
            f"white cannot be told: set dataset.range=[BLACK,WHITE], such as [-160,240] for soft "
            f"tissue in CT; what lies outside is clipped"
        )

    def extremes(self) -> Extremes:
        """Of all images; those that cannot be read are left to `decode`."""
        if self._extremes is None:
            self._extremes = formats.extremes(entry.files[0] for entry in self.index())
        return self._extremes

    def decode_options(self) -> dict[str, Any]:
        """Neither the folder, the size of the test split nor class names change decoded images."""
        options = self.options
        return {
            "name": options.name,
            "size": options.size,
            "channels": options.channels,
            "mask_classes": len(options.mask_classes),
            "range": list(options.range),
            **({"inputs": len(options.inputs)} if options.inputs else {}),
            **({"planes": len(options.classes)} if options.tell_label else {}),
        }

    def splits(self, entries: list[Entry]) -> dict[str, list[str]]:
        if self.options.test == 1:
            return {"train": [], "test": [entry.id for entry in entries]}
        test = max(1, round(len(entries) * self.options.test))
        grouped = any(entry.group != entry.id for entry in entries)
        return (by_group if grouped else stratified)(entries, test, self.options.split_seed)

    def notes(self, entries: list[Entry]) -> list[str]:
        notes = []
        if not self.options.subfolders and (unread := self._unread()):
            notes.append(
                f"images in folders below are not read ({listed(unread, 3)}); "
                f"dataset.subfolders=true reads them"
            )
        if self.facts.classes:
            labelled = sum(entry.label is not None for entry in entries)
            if labelled < len(entries):
                notes.append(
                    f"{labelled} of {len(entries)} images are labelled; "
                    "diagnosis leaves the others out"
                )
        folder = listing(Path(self.options.root))
        table = Path(self.options.root, self.options.labels)
        unread = [p.name for p in folder.others if not (p.exists() and p.samefile(table))]
        if unread:
            notes.append(f"{_OTHER} are not read: {listed([*map(shown, unread)], 3)}")
        groups = Counter(entry.group for entry in entries)
        if len(groups) < len(entries):
            notes.append(f"{len(groups)} groups, the largest of {max(groups.values())} images")
        return notes
