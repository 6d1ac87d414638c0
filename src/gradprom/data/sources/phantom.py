"""The embedded dataset: dermoscopy-like images made by code, so that a fresh clone has data.

What an image shows is drawn in `phantom_renderer`; here are its index, its classes and its splits.
"""

from dataclasses import dataclass
from itertools import zip_longest

import numpy as np

from gradprom.data.base import Entry, Facts, Source
from gradprom.data.dataset_card import About
from gradprom.data.sources.phantom_renderer import VERSION, render
from gradprom.randomness import stream

CLASSES = ("nevus", "melanoma", "seborrheic keratosis")
MASK_CLASSES = ("background", "lesion")

ABOUT = About(
    title="phantom",
    get="Nothing to get: it is made by code when it is first used.",
    licence="that of this repository",
    traps=("It shows that a sweep works and how strategies differ, not what they do to patients.",),
)


@dataclass
class Options:
    """The options of the dataset."""

    name: str = "phantom"
    """Which dataset this is."""
    size: int = 64
    """Height and width of the images in pixels: a multiple of 8, at least 32."""
    train: int = 480
    """Number of training images."""
    test: int = 240
    """Number of test images."""
    split_seed: int = 0
    """Chooses the test images; the images themselves do not depend on it."""

    def __post_init__(self) -> None:
        if self.size < 32 or self.size % 8:
            raise ValueError(f"phantom: size={self.size}, allowed: multiples of 8 from 32 on")
        for key in ("train", "test"):
            if getattr(self, key) < len(CLASSES):
                raise ValueError(f"phantom: {key}={getattr(self, key)}, allowed: 3 and more")


def facts(options: Options) -> Facts:
    """Colour images with a diagnosis and a lesion mask."""
    return Facts(channels=3, classes=CLASSES, mask_classes=MASK_CLASSES)


def build(options: Options) -> "Phantom":
    """The source that `options` describe."""
    return Phantom(options, facts(options))


class Phantom(Source):
    """`train + test` generated images; image i has class i mod 3."""

    version = VERSION

    def index(self) -> list[Entry]:
        """One entry an image, without files; the group of an image is its id."""
        ids = [f"phantom-{i:05d}" for i in range(self.options.train + self.options.test)]
        return [Entry(id, id, i % len(CLASSES), ()) for i, id in enumerate(ids)]

    def decode(self, entry: Entry) -> dict[str, np.ndarray]:
        """`target` uint8 [3,size,size] and `mask` uint8 [size,size]."""
        assert entry.label is not None
        image, mask = render(entry.id, entry.label, self.options.size)
        return {"target": image, "mask": mask}

    def splits(self, entries: list[Entry]) -> dict[str, list[str]]:
        """`train` and `test`, in both of which class sizes differ by at most one image."""
        rng = np.random.default_rng(stream("phantom split", self.options.split_seed))
        classes = [[e.id for e in entries if e.label == label] for label in range(len(CLASSES))]
        shuffled = [rng.permutation(ids).tolist() for ids in classes]
        dealt = [id for turn in zip_longest(*shuffled) for id in turn if id is not None]
        test = self.options.test
        return {"train": sorted(dealt[test:]), "test": sorted(dealt[:test])}
