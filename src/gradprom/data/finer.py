"""Images at twice the working size, from which augmentation crops without enlarging anything."""

import copy
import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gradprom.data.augment import FINER
from gradprom.data.base import Entry, Finer, Source
from gradprom.data.cache import content_key, decoded


class FinerSource(Source):
    """The entries of a source that resizes its images, at twice their size.

    `pixels` (float32, no dimension) says how many pixels of its file an image has for each of its
    pixels at the working size, along the side that has fewer.
    """

    def __init__(self, source: Source) -> None:
        self.working, self.larger = source, copy.copy(source)
        self.larger.options = replace(source.options, size=FINER * source.options.size)
        super().__init__(self.larger.options, source.facts)
        self.version = source.version

    def index(self) -> list[Entry]:
        return self.working.index()

    def splits(self, entries: list[Entry]) -> dict[str, list[str]]:
        return self.working.splits(entries)

    def decode(self, entry: Entry) -> dict[str, np.ndarray]:
        pixels = min(self.working.shape(entry)) / self.working.options.size
        target = self.larger.decode(entry)["target"]
        return {"target": target, "pixels": np.array(pixels, np.float32)}

    def decode_options(self) -> dict[str, Any]:
        return {**self.larger.decode_options(), "finer": FINER}


def loader(source: Source, entries: list[Entry], cache: Path) -> Callable[[], Finer] | None:
    """What loads a source's finer images when it is first called; None if there are none."""
    if not source.resizes:
        return None
    finer = FinerSource(source)

    @functools.cache
    def load() -> Finer:
        arrays = decoded(finer, entries, cache, content_key(finer, entries, cache))
        least = 1 / torch.from_numpy(arrays["pixels"]).double()
        return Finer(
            torch.from_numpy(arrays["target"]),
            least.clamp(1 / FINER, 1),
            mapped=isinstance(arrays["target"], np.memmap),
        )

    return load
