"""Drawn faces of persons, for the verification of identities without any file.

They stand in for Labeled Faces in the Wild in Task-GAN's experiment, and are no photographs. The
persons of the test images are not those of training.
"""

from dataclasses import dataclass

import numpy as np

from gradprom.data.base import Entry, Facts, Source
from gradprom.data.dataset_card import About
from gradprom.data.sources.faces_renderer import VERSION, render
from gradprom.data.splits import of_groups
from gradprom.randomness import stream

ABOUT = About(
    title="faces",
    get="Nothing to get: it is made by code when it is first used.",
    licence="that of this repository",
    traps=("Drawn faces: what helps to verify them need not help with photographs.",),
)


@dataclass
class Options:
    """The options of the dataset."""

    name: str = "faces"
    """Which dataset this is."""
    size: int = 64
    """Height and width of the images in pixels, at least 32."""
    train: int = 40
    """Number of persons to train on, at least 2."""
    test: int = 20
    """Number of other persons to test on, at least 2."""
    images: int = 10
    """Images of each person, at least 2."""
    split_seed: int = 0
    """Chooses the persons to test on; the images themselves do not depend on it."""

    def __post_init__(self) -> None:
        if self.size < 32:
            raise ValueError(f"faces: size={self.size}, allowed: 32 and more")
        for key in ("train", "test", "images"):
            if getattr(self, key) < 2:
                raise ValueError(f"faces: {key}={getattr(self, key)}, allowed: 2 and more")


def facts(options: Options) -> Facts:
    """Grey images, and whom they show."""
    people = tuple(f"person {number}" for number in range(options.train + options.test))
    return Facts(channels=1, classes=(), mask_classes=(), further={"identity": people})


def build(options: Options) -> "Faces":
    """The source that `options` describe."""
    return Faces(options, facts(options))


class Faces(Source):
    """`images` drawings of each of `train + test` persons; the group is the person."""

    version = VERSION

    def index(self) -> list[Entry]:
        """One entry an image, without files."""
        return [
            Entry(f"{group}-{image:02d}", group, None, (), {"identity": number})
            for number, group in enumerate(self._people())
            for image in range(self.options.images)
        ]

    def decode(self, entry: Entry) -> dict[str, np.ndarray]:
        """`target` uint8 [1,size,size]."""
        number = int(entry.id.rpartition("-")[2])
        return {"target": render(entry.group, number, self.options.size)}

    def splits(self, entries: list[Entry]) -> dict[str, list[str]]:
        """`train` and `test`, of whole persons."""
        rng = np.random.default_rng(stream("faces split", self.options.split_seed))
        persons = rng.permutation(self._people()).tolist()
        test = self.options.test
        return of_groups(entries, {"train": persons[test:], "test": persons[:test]})

    def _people(self) -> list[str]:
        return [f"person-{number:03d}" for number in range(self.options.train + self.options.test)]
