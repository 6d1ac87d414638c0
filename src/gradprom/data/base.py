"""What a dataset is: the seam that every file of this package stands behind.

A dataset file owns an `Options` dataclass, `facts(options)`, `build(options)`, a `Source`, and
`ABOUT`, what a person wants to know before the files are there.
`load` turns any source into `Images`: everything in memory, ready for any device.
Nothing here imports torch before `load` is called, so that a configuration can be checked quickly.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

    from gradprom.data.ragged import Ragged

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
    inputs: int = 0
    """Channels of the input, where samples have one of their own (paired data, several contrasts
    to one); 0 stands for those of the target, of which the input is then made."""
    further: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Further annotations: their values' names by the annotation's; none where they have no names.
    Like labels they are numbers of images (`Entry.annotations`), or, like masks, of pixels."""

    def __post_init__(self) -> None:
        if self.inputs == 0:
            object.__setattr__(self, "inputs", self.channels)

    @property
    def annotations(self) -> dict[str, tuple[str, ...]]:
        """All annotations there are, `label` and `mask` first, with their values' names."""
        known = {"label": self.classes, "mask": self.mask_classes}
        return {name: values for name, values in known.items() if values} | dict(self.further)


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
    annotations: Mapping[str, int] = field(default_factory=dict, hash=False)
    """Further annotations of the whole image, `Facts.further` by name; one that is not there is
    not known."""


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
        """The arrays of a sample, the same ones for all: `target` uint8 [C,H,W] of any size;
        where the dataset has masks, `mask` uint8 [H,W]; where the input is not made of the target,
        `input` uint8 [inputs,h,w]; and any further annotation of its pixels, integers [H,W].

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
    target: Tensor | Ragged
    """uint8 [N,C,H,W]: the clean images, 0..255; a list of [C,H,W] where they differ in size, and
    so are then all that is here of images."""
    mask: Tensor | Ragged | None
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
    input: Tensor | Ragged | None = None
    """uint8 [N,inputs,h,w]: what is degraded in the target's place, or is the input."""
    further: dict[str, Tensor | Ragged] = field(default_factory=dict)
    """The annotations of `facts.further`: integers [N], -1 where not known, or [N,H,W]."""

    @property
    def annotations(self) -> dict[str, Tensor | Ragged]:
        """All annotations by name, `mask` and `label` among them."""
        known = {"mask": self.mask, "label": self.label, **self.further}
        return {name: values for name, values in known.items() if values is not None}
