"""Natural images for restoration: tiles of one folder to train on, whole images of another to test.

    train/    such as DIV2K, Flickr2K, Waterloo or CBSD68: a.png  b.jpg  …
    test/     such as Set5

Training images are cut into tiles side by side, without resizing. Test images keep their size, but
for a border that is cut until both sides are multiples of `multiple`, so that they can be
down-sampled by any of its divisors.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gradprom.config.places import expanded
from gradprom.data import formats, image_io, own_files
from gradprom.data.base import Entry, Facts, Source
from gradprom.data.dataset_card import About
from gradprom.data.names import shown
from gradprom.data.tiling import tiles
from gradprom.errors import DataError, NotOnDisk, in_lines

CHANNELS = {"grey": 1, "rgb": 3}
ABOUT = About(
    title="dataset=natural",
    get="Put images to train on into a folder `train` and test images into a folder `test`, or set "
    "dataset.train and dataset.test to theirs, such as CBSD68 and Set5.",
    licence="that of your images",
    traps=("Images smaller than a tile are not trained on.",),
)


@dataclass
class Options:
    name: str = "natural"
    root: str = field(default="data", metadata={"hashed": False})
    """The folder of both folders; no part of a run's id."""
    train: str = field(default="train", metadata={"hashed": False})
    """The folder of training images, absolute or as seen from `root`."""
    test: str = field(default="test", metadata={"hashed": False})
    """The folder of test images, absolute or as seen from `root`."""
    title: str = "natural"
    """What the two are called together, as part of a run's id: other images need another title."""
    channels: str = "rgb"
    """rgb or grey: what every image is converted to."""
    tile: int = 128
    """Height and width of the training tiles in pixels."""
    multiple: int = 12
    """What the sides of test images are multiples of."""
    test_size: int = 0
    """Test images are cut to a square of this side, from their middle; 0: they are not."""

    def __post_init__(self) -> None:
        if self.channels not in CHANNELS:
            raise ValueError(
                f"dataset.channels={self.channels}: must be one of {', '.join(CHANNELS)}"
            )
        for key in ("tile", "multiple"):
            if (value := getattr(self, key)) < 1:
                raise ValueError(f"dataset.{key}={value}: must be at least 1 pixel")
        if self.test_size < 0 or self.test_size % self.multiple:
            raise ValueError(
                f"dataset.test_size={self.test_size}: must be 0 or a multiple of "
                f"dataset.multiple={self.multiple}"
            )


def facts(options: Options) -> Facts:
    """The channels; there are no labels and no masks."""
    return Facts(CHANNELS[options.channels], (), ())


def build(options: Options) -> "Natural":
    return Natural(options, facts(options))


class Natural(Source):
    """Ids are `train/IMAGE/top/left` and `test/IMAGE`; groups are images."""

    options: Options

    def __init__(self, options: Options, facts: Facts) -> None:
        super().__init__(options, facts)
        self._opened: tuple[Path, np.ndarray] | None = None

    def index(self) -> list[Entry]:
        """The tiles of the training images, then the test images."""
        entries, unusable = [], []
        for split in ("train", "test"):
            for name, file in self._files(split):
                try:
                    entries += self._entries(split, name, file)
                except ValueError as error:
                    unusable.append(str(error))
        if unusable:
            raise DataError(f"images cannot be used:{in_lines(unusable)}")
        for split in ("train", "test"):
            if not any(entry.id.startswith(f"{split}/") for entry in entries):
                size = self.options.tile if split == "train" else 1
                raise DataError(
                    f"{shown(self._folder(split))} holds no image of at least {size}×{size} pixels"
                )
        return entries

    def _folder(self, split: str) -> Path:
        return Path(self.options.root, expanded(getattr(self.options, split)))

    def _files(self, split: str) -> list[tuple[str, Path]]:
        folder = self._folder(split)
        if not folder.is_dir():
            raise NotOnDisk(f"dataset=natural found no folder {shown(folder)}. {ABOUT.get}")
        images, wrong = own_files.by_id(folder, below=False)
        if wrong:
            raise DataError(f"{shown(folder)} is not as dataset=natural expects:{in_lines(wrong)}")
        return sorted(images.items())

    def _entries(self, split: str, name: str, file: Path) -> list[Entry]:
        """ValueError for a file that cannot be read, or a test image that is too small."""
        width, height = formats.header(file).size
        group, size = f"{split}/{name}", self.options.tile
        if split == "test":
            least = max(self.options.multiple, self.options.test_size)
            if min(height, width) < least:
                raise ValueError(f"{shown(file)}: {height}×{width} pixels, needs {least}×{least}")
            return [Entry(group, group, None, (file,))]
        return [
            Entry(f"{group}/{top}/{left}", group, None, (file,))
            for top in tiles(height, size)
            for left in tiles(width, size)
        ]

    def decode(self, entry: Entry) -> dict[str, np.ndarray]:
        """A tile, or a test image without its border."""
        [file] = entry.files
        # the tiles of an image follow one another: it is read once for all of them
        if self._opened is None or self._opened[0] != file:
            pixels = np.atleast_3d(np.asarray(image_io.picture(file, self.facts.channels)))
            self._opened = file, pixels.transpose(2, 0, 1)
        image = self._opened[1]
        if entry.id.startswith("test/"):
            sides = image.shape[1:]
            kept = [self.options.test_size or side - side % self.options.multiple for side in sides]
            firsts = [(side - length) // 2 for side, length in zip(sides, kept, strict=True)]
        else:
            firsts = [int(start) for start in entry.id.rsplit("/", 2)[1:]]
            kept = [self.options.tile] * 2
        rows, columns = (slice(a, a + n) for a, n in zip(firsts, kept, strict=True))
        return {"target": np.ascontiguousarray(image[:, rows, columns])}

    def splits(self, entries: list[Entry]) -> dict[str, list[str]]:
        """As the folders are."""
        return {
            split: [entry.id for entry in entries if entry.id.startswith(f"{split}/")]
            for split in ("train", "test")
        }

    def decode_options(self) -> dict[str, object]:
        """Neither the folders nor the title change decoded images."""
        keys = ("name", "channels", "tile", "multiple", "test_size")
        return {key: getattr(self.options, key) for key in keys}

    def notes(self, entries: list[Entry]) -> list[str]:
        used = {entry.group for entry in entries}
        small = [name for name, _ in self._files("train") if f"train/{name}" not in used]
        return [f"{len(small)} training images are smaller than a tile"] if small else []
