"""A dataset of code: images of their own size from inputs of three channels, with labels, masks,
and two annotations more. It is a module as those in `gradprom.data.sources` are."""

from dataclasses import dataclass

import numpy as np

from gradprom.data.base import Entry, Facts, Source
from gradprom.data.dataset_card import About
from gradprom.data.splits import by_group
from gradprom.randomness import stream

SIZES = ((16, 24), (20, 12), (24, 16))
ABOUT = About(title="own sizes", get="It is made by code.", licence="that of this repository")


@dataclass
class Options:
    name: str = "own_sizes"
    images: int = 12
    split_seed: int = 0
    levels: int = 4
    """What a depth can be."""


def facts(options: Options) -> Facts:
    further = {"person": (), "depth": tuple(f"level {n}" for n in range(options.levels))}
    return Facts(1, ("a", "b"), ("no", "yes"), inputs=3, further=further)


def build(options: Options) -> "OwnSizes":
    return OwnSizes(options, facts(options))


class OwnSizes(Source):
    """Image i shows person i // 2 and has size i mod 3; the third person is not known."""

    def index(self) -> list[Entry]:
        return [
            Entry(f"{i:02d}", f"person {i // 2}", i % 2, (), annotations=_known(i // 2))
            for i in range(self.options.images)
        ]

    def decode(self, entry: Entry) -> dict[str, np.ndarray]:
        """Smooth images, of which the inputs are multiples, and the mask and depth levels."""
        height, width = SIZES[int(entry.id) % len(SIZES)]
        rng = np.random.default_rng(stream(entry.id))
        y, x = np.mgrid[:height, :width]
        frequency = rng.uniform(0.1, 0.4, 2)
        target = np.round(120 + 100 * np.sin(frequency[0] * y) * np.cos(frequency[1] * x))
        inputs = np.stack([target, target // 2, 255 - target])
        return {
            "target": target[None].astype(np.uint8),
            "input": inputs.astype(np.uint8),
            "mask": (target > 120).astype(np.uint8),
            "depth": (target * self.options.levels // 256).astype(np.int16),
        }

    def splits(self, entries: list[Entry]) -> dict[str, list[str]]:
        return by_group(entries, max(1, len(entries) // 3), self.options.split_seed)


def _known(person: int) -> dict[str, int]:
    return {} if person == 2 else {"person": person}
