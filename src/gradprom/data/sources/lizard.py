"""Lizard (Graham et al. 2021): 238 images of colon tissue at 20×, about 1000 pixels a side, with
every nucleus outlined and assigned to one of six classes.

The paper trains on 180 and tests on 58 images (section 4.1); here each is cut into tiles. Its
"nuclear class label" of an image is not defined: the most frequent class of nuclei is taken.
"""

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gradprom.data import formats, image_io, text_files
from gradprom.data.base import Entry, Facts
from gradprom.data.dataset_card import About
from gradprom.data.file_source import FileOptions, FileSource
from gradprom.data.listing import listing
from gradprom.data.locate import Part
from gradprom.data.splits import of_groups, stratified
from gradprom.data.tiling import tiles
from gradprom.errors import DataError, in_lines

SPLITS = {
    "official": "folds 1 and 2 of info.csv to train, fold 3 to test: 140/98 images",
    "paper": "180/58 images, seeded, the collections in the same proportion in both",
}
IMAGES = 238
PAPER_TEST = 58

CLASSES = ("neutrophil", "epithelial", "lymphocyte", "plasma", "eosinophil", "connective")
FACTS = Facts(channels=3, classes=CLASSES, mask_classes=("background", *CLASSES))

_IMAGES = tuple(Path(f"lizard_images{part}", f"Lizard_Images{part}") for part in (1, 2))
_LABELS = Path("lizard_labels", "Lizard_Labels")
_TABLE = Part(str(_LABELS), holds="info.csv", zip="lizard_labels.zip")
# One of the two folders of images will do: `notes` says how many images there are.
_LAYOUTS = tuple((_TABLE, Part(str(path), "*.png", f"{path.parent}.zip")) for path in _IMAGES)
_FOLDS = {"1": "train", "2": "train", "3": "test"}

ABOUT = About(
    title="Lizard",
    get="Get it from https://warwick.ac.uk/lizard-dataset (to be cited) and unpack its three "
    "zips, each into a folder of its own name.",
    licence="CC BY-NC-SA 4.0, for non-commercial research",
    folders=("Lizard",),
    layout="""
        lizard_images1/Lizard_Images1/   consep_1.png …  crag_1.png …  glas_1.png …
        lizard_images2/Lizard_Images2/   dpath_1.png …  pannuke_1.png …
        lizard_labels/Lizard_Labels/     info.csv  Labels/consep_1.mat …
    """,
    splits=SPLITS,
    traps=(
        "Images are about 1000 pixels a side, of many sizes: each is cut into tiles without "
        "resizing, and no image has tiles in both parts.",
        "The paper does not define its label of an image: a tile's is the most frequent class of "
        "its nuclei, and a tile without nuclei has none.",
        "In the .mat files rows are in no order, and ids may be missing: a nucleus finds its class "
        "through `id`. Mask values are 0 for background, then the six classes.",
        "dpath and pannuke are in the second folder of images: both are searched.",
    ),
)


@dataclass
class Options(FileOptions):
    """`size` is that of the tiles, which are cut without resizing."""

    name: str = "lizard"
    splits: ClassVar = SPLITS


class Lizard(FileSource):
    """The official layout; see `tiles` for how images are cut."""

    options: Options
    about, known, layouts = ABOUT, FACTS, _LAYOUTS

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._opened: tuple[tuple[Path, ...], dict[str, np.ndarray]] | None = None

    def index(self) -> list[Entry]:
        """Tiles by image; the id is image/top/left, the group the image.

        A tile's label is the class of most nuclei whose centroid lies in it (of equals, the first
        in `CLASSES`), None without nuclei. Images smaller than a tile are left out.
        """
        folder = self.find()
        fold_of = folds(folder)
        entries: list[Entry] = []
        offenders, names = [], set()
        for image in _images(folder):
            labels = folder / _LABELS / "Labels" / f"{image.stem}.mat"
            try:
                if image.stem not in fold_of:
                    raise ValueError(f"{image}: not in info.csv")
                if image.stem in names:
                    raise ValueError(f"{image}: a second image of this name")
                names.add(image.stem)
                entries += _cut(image, labels, self.options.size)
            except (OSError, ValueError) as error:
                offenders.append(str(error))
        if offenders:
            lines = in_lines(offenders)
            raise DataError(f"{len(offenders)} images of Lizard cannot be used:{lines}")
        if not entries:
            raise DataError(f"dataset.size={self.options.size}: no image of Lizard is that large.")
        return entries

    def decode(self, entry: Entry) -> dict[str, np.ndarray]:
        """The tile's colours, and as mask the class of each pixel's nucleus (0: none)."""
        # Tiles of one image follow one another: its files are read once for all of them.
        if self._opened is None or self._opened[0] != entry.files:
            self._opened = entry.files, _open(*entry.files)
        top, left = map(int, entry.id.split("/")[1:])
        rows, columns = (slice(start, start + self.options.size) for start in (top, left))
        return {name: array[..., rows, columns] for name, array in self._opened[1].items()}

    def splits(self, entries: list[Entry]) -> dict[str, list[str]]:
        """Whole images, in either split."""
        images = list(dict.fromkeys(entry.group for entry in entries))
        if self.options.split == "official":
            chosen = _official(self.find(), images)
        else:
            collections = sorted({_collection(image) for image in images})
            whole = [Entry(i, i, collections.index(_collection(i)), ()) for i in images]
            test = max(1, round(len(images) * PAPER_TEST / IMAGES))
            chosen = stratified(whole, test, self.options.split_seed)
        return of_groups(entries, chosen)

    def notes(self, entries: list[Entry]) -> list[str]:
        present = {image.stem for image in _images(self.find())}
        small = sorted(present - {entry.group for entry in entries})
        notes = [f"{len(present)} of {IMAGES} images"] if len(present) != IMAGES else []
        if small:
            notes.append(f"smaller than a tile and left out: {', '.join(small)}")
        return notes


def folds(folder: Path) -> dict[str, str]:
    """Fold ("1", "2" or "3") by image name, from info.csv.

    Raises
    ------
    DataError
        If info.csv is missing or wrong.
    """
    rows = text_files.rows(folder / _LABELS / "info.csv", ("Filename", "Split"))
    return {row["Filename"]: row["Split"] for row in rows}


def _images(folder: Path) -> list[Path]:
    """The images of both folders, sorted by name.

    Raises
    ------
    DataError
        For one that is a link to nothing.
    """
    parts = [listing(folder / part) for part in _IMAGES if (folder / part).is_dir()]
    broken = [sentence for part in parts for sentence in part.broken]
    if broken:
        raise DataError(f"Images of Lizard cannot be used:{in_lines(broken)}")
    files = [file for part in parts for file in part.images if file.suffix.lower() == ".png"]
    return sorted(files, key=lambda file: (file.stem, file))


def _collection(image: str) -> str:
    """Where an image comes from: dpath, crag, glas, pannuke or consep."""
    return image.partition("_")[0]


def _official(folder: Path, images: list[str]) -> dict[str, list[str]]:
    fold_of = folds(folder)
    wrong = [
        f"{image}: Split {fold_of[image]!r}" for image in images if fold_of[image] not in _FOLDS
    ]
    chosen: dict[str, list[str]] = {part: [] for part in _FOLDS.values()}
    if not wrong:
        for image in images:
            chosen[_FOLDS[fold_of[image]]].append(image)
        wrong = [f"{part}: no image" for part, names in chosen.items() if not names]
    if wrong:
        raise DataError(
            "The official split of Lizard needs images of the folds 1 or 2 and of 3:"
            + in_lines(wrong)
        )
    return chosen


def _cut(image: Path, labels: Path, size: int) -> list[Entry]:
    """The tiles of an image; OSError or ValueError that names the file."""
    width, height = formats.header(image).size
    # the map of instances, by far the largest part of the file, is skipped
    nuclei = _nuclei(labels, _load(labels, ("id", "class", "centroid")))
    x, y = nuclei["centroid"].T
    entries = []
    for top in tiles(height, size):
        for left in tiles(width, size):
            inside = (x >= left) & (x < left + size) & (y >= top) & (y < top + size)
            count = np.bincount(nuclei["class"][inside], minlength=len(CLASSES) + 1)
            label = int(count[1:].argmax()) if inside.any() else None
            id = f"{image.stem}/{top}/{left}"
            entries.append(Entry(id, image.stem, label, (image, labels)))
    return entries


def _open(image: Path, labels: Path) -> dict[str, np.ndarray]:
    """The whole image: target uint8 [3,H,W] and the class of each pixel, uint8 [H,W]."""
    target = np.asarray(image_io.picture(image, FACTS.channels)).transpose(2, 0, 1)
    contents = _load(labels, ("inst_map", "id", "class", "centroid"))
    nuclei, instances = _nuclei(labels, contents), contents["inst_map"].astype(np.int64)
    if instances.shape != target.shape[1:]:
        raise ValueError(
            f"{labels}: inst_map of shape {instances.shape}, its image has {target.shape[1:]}"
        )
    unknown = np.setdiff1d(instances, [0, *nuclei["id"]])
    if unknown.size:
        shown = ", ".join(map(str, unknown[:3]))
        raise ValueError(f"{labels}: {unknown.size} instances without a class, such as {shown}")
    # By id, for the rows are in no order and some instances have been removed.
    class_of = np.zeros(max(instances.max(), nuclei["id"].max(initial=0)) + 1, np.uint8)
    class_of[nuclei["id"]] = nuclei["class"]
    return {"target": target, "mask": class_of[instances]}


def _load(path: Path, names: tuple[str, ...]) -> dict[str, Any]:
    """Named arrays of a .mat file; OSError or ValueError that names the file."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    if not path.is_file():
        raise ValueError(f"{path}: does not exist")
    try:
        contents = loadmat(path, variable_names=names)
    except (OSError, ValueError, TypeError, NotImplementedError, MatReadError, zlib.error) as error:
        raise ValueError(f"{path}: not readable as a MATLAB file: {error}") from error
    missing = [name for name in names if name not in contents]
    if missing:
        raise ValueError(f"{path}: lacks {', '.join(missing)}")
    return contents


def _nuclei(path: Path, contents: dict[str, Any]) -> dict[str, NDArray[Any]]:
    """One row a nucleus: id int64 [N], class int64 [N] in 1..6, centroid [N,2] as x, y pixels."""
    ids, classes = (contents[name].ravel().astype(np.int64) for name in ("id", "class"))
    # An image without nuclei keeps empty arrays of any shape.
    centroid = contents["centroid"].reshape(-1, 2) if ids.size else np.empty((0, 2))
    if not len(ids) == len(classes) == len(centroid):
        raise ValueError(
            f"{path}: {len(ids)} ids, {len(classes)} classes and {len(centroid)} centroids"
        )
    wrong = sorted({int(value) for value in classes if not 1 <= value <= len(CLASSES)})
    if wrong:
        raise ValueError(f"{path}: classes {wrong}, expected 1..{len(CLASSES)}")
    return {"id": ids, "class": classes, "centroid": centroid}


build, facts = Lizard, Lizard.facts_of
