"""What a dataset is: the seam that every file of this package stands behind.

A dataset file owns an `Options` dataclass, `facts(options)`, `build(options)`, a `Source`, and
`ABOUT`, what a person wants to know before the files are there.
`load` turns any source into `Images`: everything in memory, ready for any device.
Nothing here imports torch before `load` is called, so that a configuration can be checked quickly.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

UNLABELLED = -1

# Options that choose or find images but never change what one of them decodes to.
_NOT_DECODING = ("root", "split", "split_seed")


@dataclass(frozen=True)
class Facts:
    """What is known of a dataset without any file on disk."""

    channels: int
    """Channels of the target image: 1 (grey) or 3 (RGB)."""
    classes: tuple[str, ...]
    """Names of the image labels 0..n-1; empty: the dataset has none."""
    mask_classes: tuple[str, ...]
    """Names of the mask values 0..n-1, background included; empty: the dataset has no masks."""


@dataclass(frozen=True)
class Entry:
    """One sample of the index, before anything is decoded."""

    id: str
    """Unique within the dataset and the same on every machine."""
    group: str
    """Patient or volume; the id itself where it is not known."""
    label: int | None
    """Index into `Facts.classes`; None: not labelled."""
    files: tuple[Path, ...]
    """The image, then the mask if there is one; empty for generated images."""


class Source(ABC):
    """A dataset that can list, decode and split its samples.

    `version` is raised when `decode` changes meaning, which makes cached images and records of
    the earlier version count as other data.
    """

    version: int = 1

    def __init__(self, options: Any, facts: Facts) -> None:
        self.options = options
        self.facts = facts

    @abstractmethod
    def index(self) -> list[Entry]:
        """All samples in a fixed order (sorted, never as the file system lists them).

        Raises DataError, naming every offender, where the files are not as they should be.
        """

    @abstractmethod
    def decode(self, entry: Entry) -> dict[str, np.ndarray]:
        """`target` uint8 [C,size,size] and, where the dataset has masks, `mask` uint8 [size,size].

        Raises OSError or ValueError, whose message names the file, for one that cannot be read.
        """

    @abstractmethod
    def splits(self, entries: list[Entry]) -> dict[str, list[str]]:
        """Ids of `train`, `test` and perhaps `val`; divides a group only if `divides_groups`."""

    def divides_groups(self) -> bool:
        """Whether the split asked for is defined on single images, whatever their group."""
        return False

    def notes(self, entries: list[Entry]) -> list[str]:
        """What a person should know of this copy of the dataset, e.g. "5 of 500 patients"."""
        return []

    def decode_options(self) -> dict[str, Any]:
        """The options on which decoded images depend: all but where they lie and their split."""
        options = dataclasses.asdict(self.options)
        return {key: value for key, value in options.items() if key not in _NOT_DECODING}


@dataclass
class Images:
    """A whole dataset in memory, or mapped into it."""

    ids: list[str]
    target: Tensor
    """uint8 [N,C,H,W]: the clean images, 0..255."""
    mask: Tensor | None
    """uint8 [N,H,W]: indices into `facts.mask_classes`."""
    label: Tensor | None
    """int64 [N]: indices into `facts.classes`, -1 where an image is not labelled."""
    groups: list[str]
    splits: dict[str, list[int]]
    """Row numbers of each split."""
    facts: Facts
    fingerprint: str
    """Equal fingerprints mean equal images, masks, labels and splits."""
    notes: list[str] = field(default_factory=list)
    """What a person should know of this copy of the dataset."""
    mapped: bool = False
    """Whether pixels are read from the cache as they are needed, for want of memory."""


@dataclass
class FileOptions:
    """What can be asked of every published dataset that is read from files."""

    name: str = ""
    root: str = field(default="data", metadata={"hashed": False})
    """The dataset's folder, or one that holds it under its own name; no part of a run's id."""
    size: int = 256
    """Height and width of its images in pixels."""
    split: str = "paper"
    """One of `splits`."""
    split_seed: int = 0
    """Drives the splits that are drawn."""
    splits: ClassVar[dict[str, str]] = {}
    """What each split is, by name."""

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"dataset.size={self.size}: must be at least 1 pixel")
        if self.split not in self.splits:
            allowed = ", ".join(self.splits)
            raise ValueError(f"dataset.split={self.split}: must be one of {allowed}")
