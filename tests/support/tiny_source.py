"""A dataset of ten tiny files that counts what it decodes, and loaders over it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from gradprom.data import loader
from gradprom.data.base import Entry, Facts, Images, Source
from gradprom.data.batches import Batches
from gradprom.data.formats.pillow_files import open_image
from gradprom.data.loader import Loader
from gradprom.degradations import Gaussian


@dataclass
class Options:
    name: str = "tiny"
    root: str = ""
    split_seed: int = 0
    size: int = 8


class Tiny(Source):
    """image/*.png with mask/*.png; labels 0, 1, none in turn; groups of two."""

    def __init__(self, root: Path, size: int = 8) -> None:
        super().__init__(Options(root=str(root), size=size), Facts(1, ("a", "b"), ("no", "yes")))
        self.root = root
        self.decoded: list[str] = []
        self.test = 2

    def index(self) -> list[Entry]:
        files = sorted((self.root / "image").iterdir())
        labels = (0, 1, None)
        return [
            Entry(file.stem, f"g{i // 2}", labels[i % 3], (file, self.root / "mask" / file.name))
            for i, file in enumerate(files)
        ]

    def decode(self, entry: Entry) -> dict[str, np.ndarray]:
        self.decoded.append(entry.id)
        image, mask = (open_image(file).resize((self.options.size,) * 2) for file in entry.files)
        return {"target": np.asarray(image)[None], "mask": np.asarray(mask)}

    def splits(self, entries: list[Entry]) -> dict[str, list[str]]:
        ids = [entry.id for entry in entries]
        return {"train": ids[: -self.test], "test": ids[-self.test :]}


def equal(one: Images, other: Images) -> bool:
    assert one.mask is not None and other.mask is not None
    return torch.equal(one.target, other.target) and torch.equal(one.mask, other.mask)


def training(images: Images, **options: object) -> Loader:
    """A loader; options are those of its batches, but `split` and `device`."""
    split, device = options.pop("split", "train"), options.pop("device", "cpu")
    defaults = dict(size=3, degradation=Gaussian(sigma=0.1), annotations=("label", "mask"))
    batches = Batches(**{**defaults, **options})  # type: ignore[arg-type]
    return Loader(images, split, batches, device)  # type: ignore[arg-type]


def same(one: loader.Batch, other: loader.Batch) -> bool:
    tensors = ((getattr(batch, name) for name in ("input", "target", "mask", "label"))
               for batch in (one, other))  # fmt: skip
    return one.ids == other.ids and all(torch.equal(*pair) for pair in zip(*tensors, strict=True))
