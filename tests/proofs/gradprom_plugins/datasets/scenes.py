"""Scenes: grey pictures of waves by code; those of the test have sizes of their own."""

from dataclasses import dataclass

import numpy as np

from gradprom.data.base import Entry, Facts, Source
from gradprom.data.dataset_card import About
from gradprom.randomness import stream

TILE = (24, 36)
SIZES = ((36, 48), (24, 30), (48, 36))
ABOUT = About(title="scenes", get="They are made by code.", licence="that of this repository")


@dataclass
class Options:
    name: str = "scenes"
    train: int = 16
    test: int = 6


def facts(options: Options) -> Facts:
    """Grey, and nothing else is known of them."""
    return Facts(channels=1, classes=(), mask_classes=())


def build(options: Options) -> "Scenes":
    return Scenes(options, facts(options))


class Scenes(Source):
    """Tiles of one size for training, then whole pictures for the test."""

    def index(self) -> list[Entry]:
        kinds = [("tile", self.options.train), ("whole", self.options.test)]
        ids = [f"{kind}-{i:03d}" for kind, count in kinds for i in range(count)]
        return [Entry(id, id, None, ()) for id in ids]

    def decode(self, entry: Entry) -> dict[str, np.ndarray]:
        kind, number = entry.id.split("-")
        height, width = TILE if kind == "tile" else SIZES[int(number) % len(SIZES)]
        rng = np.random.default_rng(stream("scene", entry.id))
        y, x = np.mgrid[:height, :width]
        (a, b), phase = rng.uniform(0.1, 0.5, 2), rng.uniform(0, 6)
        waves = np.sin(a * y + phase) * np.cos(b * x) + (a * y > b * x)
        return {"target": np.round(100 + 70 * waves)[None].astype(np.uint8)}

    def splits(self, entries: list[Entry]) -> dict[str, list[str]]:
        ids = [entry.id for entry in entries]
        return {"train": ids[: self.options.train], "test": ids[self.options.train :]}
