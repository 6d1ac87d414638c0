"""Four contrasts of one slice by code, and a fifth that is a mixture of them."""

from dataclasses import dataclass

import numpy as np

from gradprom.data.base import Entry, Facts, Source
from gradprom.data.dataset_card import About
from gradprom.randomness import stream

MIXTURE = (0.4, 0.3, 0.2, 0.1)
ABOUT = About(title="four contrasts", get="By code.", licence="that of this repository")


@dataclass
class Options:
    name: str = "four_contrasts"
    size: int = 32
    train: int = 16
    test: int = 6


def facts(options: Options) -> Facts:
    """One grey channel from four."""
    return Facts(channels=1, classes=(), mask_classes=(), inputs=len(MIXTURE))


def build(options: Options) -> "FourContrasts":
    return FourContrasts(options, facts(options))


class FourContrasts(Source):
    """Blobs, which each contrast shows with a brightness of its own."""

    def index(self) -> list[Entry]:
        ids = [f"slice-{i:03d}" for i in range(self.options.train + self.options.test)]
        return [Entry(id, id, None, ()) for id in ids]

    def decode(self, entry: Entry) -> dict[str, np.ndarray]:
        size = self.options.size
        rng = np.random.default_rng(stream("slice", entry.id))
        y, x = np.mgrid[:size, :size] / size
        planes = np.zeros((len(MIXTURE), size, size))
        for _ in range(5):
            centre, spread = rng.uniform(0, 1, 2), rng.uniform(0.01, 0.1)
            blob = np.exp(-((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / spread)
            planes += rng.uniform(0, 60, (len(MIXTURE), 1, 1)) * blob
        target = np.tensordot(MIXTURE, planes.clip(0, 255), 1)[None]
        return {"input": planes.clip(0, 255).astype(np.uint8), "target": target.astype(np.uint8)}

    def splits(self, entries: list[Entry]) -> dict[str, list[str]]:
        ids = [entry.id for entry in entries]
        return {"train": ids[: self.options.train], "test": ids[self.options.train :]}
