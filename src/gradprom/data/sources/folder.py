"""Your own images: a folder, optionally with masks and a table of labels. No code is needed.

    mine/                 root: the images themselves
      a.png  b.jpg  …
      masks/a.png  …      masks: one for each image, of the same stem and the same size
      labels.csv          labels: id,label and perhaps group, the patient

    id,label,group
    a,benign,patient 1
    b.jpg,malignant,patient 2

An `id` is a file's name or its stem. An image without a label, or without a line in the table,
is left out of diagnosis. Where there are groups, no group is in both train and test.

A mask's values are the numbers of its classes, 0, 1, …; with two classes 0 and 255 do as well.
Classes are named in the configuration, in the order of their numbers, so that it can be checked
before any file is read. `title` is what the images are called: the folder's own name, unless it is
set. It is part of a run's id, where the folder lies is not. In `evaluate_on` all images are tested
on, whether masks and labels are named or not.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gradprom.data import image_io
from gradprom.data.base import Entry, Facts, Source
from gradprom.data.dataset_card import About
from gradprom.data.splits import by_group, stratified
from gradprom.errors import MOST_LINES, DataError, NotOnDisk, listed
from gradprom.identity import added

CHANNELS = {"grey": 1, "rgb": 3}
TEST_SET = {"test": 1.0}
"""Options of a folder that is only tested on."""
SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")

ABOUT = About(
    title="dataset=folder",
    get=f"Put the images there (files that end in {', '.join(SUFFIXES)}), or set data_root or "
    "dataset.root; conf/dataset/folder.yaml shows an example.",
    licence="that of your images",
    traps=(
        "Two folders of one name need two titles: set dataset.title for one of them.",
        "Files are opened by their content, regardless of their name, with 8 bits per channel; "
        "photographs are turned upright and transparency is dropped.",
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
    title: str = added("")
    """What the images are called, as part of a run's id; the folder's name if it is not set."""
    subfolders: bool = added(False)
    """Whether images in folders below `root` belong to it, but for the folder of the masks."""

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
        _check_names("classes", self.classes)
        _check_names("mask_classes", self.mask_classes)
        if bool(self.masks) != bool(self.mask_classes):
            raise ValueError("dataset.masks and dataset.mask_classes: set both or neither")
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
    return Facts(CHANNELS[options.channels], tuple(options.classes), tuple(options.mask_classes))


def build(options: Options) -> "Folder":
    return Folder(options, facts(options))


class Folder(Source):
    """Images in `root`; an id is a file's path in it, without its suffix."""

    options: Options

    def index(self) -> list[Entry]:
        """One entry per image; images, masks and table are checked against each other."""
        root, options = Path(self.options.root), self.options
        images, offenders = self._images(root)
        masks: dict[str, Path] = {}
        if options.masks:
            masks, wrong = self._masks(images, root / options.masks)
            offenders += wrong
        table: dict[str, dict[str, str]] = {}
        if options.labels:
            table, wrong = self._table(images, root / options.labels)
            offenders += wrong
        if offenders:
            raise DataError(f"{root} is not as dataset=folder expects:{image_io.listed(offenders)}")
        return [
            self._entry(id, table.get(id, {}), (image, *([masks[id]] if masks else [])))
            for id, image in images.items()
        ]

    def _images(self, root: Path) -> tuple[dict[str, Path], list[str]]:
        """Image by id, and the ids that several files have."""
        if not root.is_dir():
            raise NotOnDisk(f"dataset=folder found no folder {root}. {ABOUT.get}")
        images, twice = _by_id(root, self.options.subfolders, without=self._mask_folder())
        if not images:
            unread = listed(self._unread(), 3)
            ask = f", but in its folders {unread}: set dataset.subfolders=true" if unread else ""
            raise NotOnDisk(f"dataset=folder found no images in {root}{ask}. {ABOUT.get}")
        return images, twice

    def _mask_folder(self) -> Path | None:
        return Path(self.options.root) / self.options.masks if self.options.masks else None

    def _unread(self) -> list[str]:
        """The folders in `root` that hold images which do not belong to it, sorted."""
        folders = [path for path in sorted(Path(self.options.root).iterdir()) if path.is_dir()]
        return [
            folder.name
            for folder in folders
            if folder.name[0] != "."
            and folder != self._mask_folder()
            and any(file.suffix.lower() in SUFFIXES for file in folder.iterdir())
        ]

    def _masks(self, images: dict[str, Path], folder: Path) -> tuple[dict[str, Path], list[str]]:
        """Mask by image id, and what is wrong with the masks."""
        if not folder.is_dir():
            near = [path.name for path in sorted(folder.parent.glob("*")) if path.is_dir()]
            there = f"{folder.parent} holds the folders {listed(near, MOST_LINES) or '(none)'}"
            raise DataError(f"dataset.masks={self.options.masks}: no folder {folder}; {there}")
        masks, wrong = _by_id(folder, self.options.subfolders)
        unmasked = [image for id, image in images.items() if id not in masks]
        if len(unmasked) > MOST_LINES:
            looked_for = [f"{id}.*" for id in images if id not in masks]
            return masks, [
                *wrong,
                f"{len(unmasked)} of {len(images)} images have no mask in {folder}: looked for "
                f"{listed(looked_for, 3)}, where the masks are called "
                f"{listed([path.name for path in masks.values()], 3) or 'nothing'}",
            ]
        return masks, [*wrong, *(f"{image}: no mask in {folder}" for image in unmasked)]

    def _entry(self, id: str, row: dict[str, str], files: tuple[Path, ...]) -> Entry:
        label, classes = row.get("label"), self.options.classes
        number = classes.index(label) if label and classes else None
        return Entry(id, row.get("group") or id, number, files)

    def _table(
        self, images: dict[str, Path], path: Path
    ) -> tuple[dict[str, dict[str, str]], list[str]]:
        """Row by image id, and what is wrong with the table."""
        classes, root = self.options.classes, Path(self.options.root)
        names = {id: id for id in images}
        names |= {image.relative_to(root).as_posix(): id for id, image in images.items()}
        table: dict[str, dict[str, str]] = {}
        twice, strange, unnamed = [], [], []
        for row in _rows(path, classes):
            name, label = row["id"], row.get("label")
            id = names.get(name)
            if id is None:
                strange.append(f"{path}: {name} is not an image")
            elif id in table:
                twice.append(f"{path}: {name} occurs twice")
            else:
                table[id] = row
            if classes and label and label not in classes:
                allowed = listed(classes, MOST_LINES)
                unnamed.append(f"{path}: {name} has the label {label}, expected {allowed}")
        if len(strange) > MOST_LINES:
            ids = f"such as {listed(list(images), 3)}"
            strange = [f"{len(strange)} rows like this; images are named {ids}", *strange[:3]][::-1]
        return table, [*unnamed, *strange, *twice]

    def decode(self, entry: Entry) -> dict[str, np.ndarray]:
        """The image and, where there are masks, its mask, squashed to size × size."""
        size, classes = self.options.size, len(self.facts.mask_classes)
        path, *masks = entry.files
        image = image_io.picture(path, self.facts.channels)
        arrays = {"target": image_io.squashed(image, size)}
        codes = [range(classes), (0, 255)][: 2 if classes == 2 else 1]
        for mask in masks:
            arrays["mask"] = image_io.mask(mask, image, size, *codes)
        return arrays

    def decode_options(self) -> dict[str, Any]:
        """Neither the folder, the size of the test split nor class names change decoded images."""
        options = self.options
        return {
            "name": options.name,
            "size": options.size,
            "channels": options.channels,
            "mask_classes": len(options.mask_classes),
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
        groups = Counter(entry.group for entry in entries)
        if len(groups) < len(entries):
            notes.append(f"{len(groups)} groups, the largest of {max(groups.values())} images")
        return notes


def _by_id(
    folder: Path, below: bool, without: Path | None = None
) -> tuple[dict[str, Path], list[str]]:
    """Image files by their path in a folder without the suffix, sorted; and what several share.

    Parameters
    ----------
    folder
        The folder.
    below
        Whether files in folders below it belong to it.
    without
        A folder whose files do not.
    """
    ids = defaultdict(list)
    for file in sorted(folder.rglob("*") if below else folder.iterdir()):
        own = file.relative_to(folder)
        hidden = any(part.startswith(".") for part in own.parts)
        if file.suffix.lower() not in SUFFIXES or hidden or not file.is_file():
            continue
        if without is None or without not in file.parents:
            ids[own.with_suffix("").as_posix()].append(file)
    twice = [files for files in ids.values() if len(files) > 1]
    return {id: files[0] for id, files in ids.items()}, [
        f"{files[0].parent}: {', '.join(file.name for file in files)} have the same stem"
        for files in twice
    ]


def _rows(path: Path, classes: list[str]) -> list[dict[str, str]]:
    """The table's rows; where no classes are named, it is only there for its groups."""
    if classes:
        return image_io.rows(path, ["id", "label"], "group")
    rows = image_io.rows(path, ["id"], "label", "group")
    if rows and "label" in rows[0] and "group" not in rows[0]:
        labels = sorted({row["label"] for row in rows} - {""})
        raise DataError(
            f"{path} has labels, and dataset.classes does not name their classes: set "
            f"dataset.classes=[{','.join(labels[:MOST_LINES])}{',…' * (len(labels) > MOST_LINES)}]"
        )
    return image_io.rows(path, ["id", "group"])
