"""The interface of a dataset.

A dataset file has an `Options` dataclass, `facts(options)`, `build(options)`, a `Source`, and
`ABOUT`, a description for users who do not have the files yet.
`images.load` turns any source into `Images`: everything in memory, ready for any device.
Nothing here imports torch, so that a configuration can be checked quickly.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gradprom.data.value_range import Extremes, ValueRange
from gradprom.identity import canonical

if TYPE_CHECKING:
    from torch import Tensor

    from gradprom.data.ragged import Ragged

UNLABELLED = -1

# Options that select or locate images but never change how an image is decoded.
_NOT_DECODING = ("root", "split", "split_seed", "identities")


@dataclass(frozen=True)
class Facts:
    """What is known about a dataset without its files."""

    channels: int
    """Channels of the target image: 1 (grey) or 3 (RGB)."""
    classes: tuple[str, ...]
    """Names of the image labels 0..n-1; empty: the dataset has none."""
    mask_classes: tuple[str, ...]
    """Names of the mask values 0..n-1, background included; empty: the dataset has no masks."""
    inputs: int = 0
    """Channels of the input if samples have an input of their own (paired data, several contrasts
    to one); 0: those of the target, from which the input is then made."""
    further: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Further annotations by name, with the names of their values, if they have any. Like labels
    they are numbers of images (`Entry.annotations`) or, like masks, of pixels."""

    def __post_init__(self) -> None:
        if self.inputs == 0:
            object.__setattr__(self, "inputs", self.channels)

    @property
    def annotations(self) -> dict[str, tuple[str, ...]]:
        """All annotations, `label` and `mask` first, with the names of their values."""
        known = {"label": self.classes, "mask": self.mask_classes}
        return {name: values for name, values in known.items() if values} | dict(self.further)


@dataclass(frozen=True)
class Entry:
    """One sample of the index, before anything is decoded."""

    id: str
    """Unique within the dataset and the same on every machine."""
    group: str
    """Patient or volume; the id itself if it is unknown."""
    label: int | None
    """Index into `Facts.classes`; None: not labelled."""
    files: tuple[Path, ...]
    """The image, then the mask if there is one; empty for generated images."""
    annotations: Mapping[str, int] = field(default_factory=dict, hash=False)
    """Further annotations of the whole image, by name as in `Facts.further`; a missing one is
    unknown."""
    page: int = 0
    """Number of the image in its file (and of the mask in its own), if that holds several."""


class Source(ABC):
    """A dataset that can list, decode and split its samples.

    `version` is raised when `decode` changes meaning: cached images and records of the earlier
    version then count as other data.
    """

    version: int = 1
    resizes: bool = False
    """Whether every image is resized to `options.size`: augmentation can then crop from larger
    ones, up to the size of the files (`shape`)."""

    def __init__(self, options: Any, facts: Facts) -> None:
        self.options = options
        self.facts = facts

    @abstractmethod
    def index(self) -> list[Entry]:
        """All samples in a fixed order (sorted, never as the file system lists them).

        Raises
        ------
        DataError
            If files are missing or wrong; the message names the first of them. `NotOnDisk` if
            there are no files at all.
        """

    @abstractmethod
    def decode(self, entry: Entry) -> dict[str, np.ndarray]:
        """The arrays of a sample.

        Returns
        -------
        dict
            The same names for all samples: `target` uint8 [C,H,W] of any size; if the dataset has
            masks, `mask` uint8 [H,W]; if the input is not made from the target, `input` uint8
            [inputs,h,w]; and any further annotation of its pixels, integers [H,W].

        Raises
        ------
        OSError or ValueError
            For a file that cannot be read; the message names it.
        """

    @abstractmethod
    def splits(self, entries: list[Entry]) -> dict[str, list[str]]:
        """Ids of `train`, `test` and perhaps `val`; divides a group only if `divides_groups`."""

    def divides_groups(self) -> bool:
        """Whether the chosen split is defined on single images, regardless of their group."""
        return False

    def shape(self, entry: Entry) -> tuple[float, float]:
        """Height and width of an entry's image before it is resized; asked where `resizes`."""
        from gradprom.data import formats

        width, height = formats.read(entry.files[0]).pages[entry.page].size
        return height, width

    def notes(self, entries: list[Entry]) -> list[str]:
        """Remarks on this copy of the dataset, such as "5 of 500 patients"."""
        return []

    def problems(self, entries: list[Entry]) -> list[str]:
        """What is wrong with this copy although it can be used, such as labels of other images."""
        return []

    def extremes(self) -> Extremes:
        """The lowest and highest value in its files of more than 8 bits."""
        return Extremes()

    def value_range(self) -> ValueRange | None:
        """The values of black and of white in its files of more than 8 bits, if it has any.

        Raises
        ------
        DataError
            If they cannot be told from the files, and an option must give them.
        """
        return None

    def decode_options(self) -> dict[str, Any]:
        """The options on which decoded images depend: all but folder, split and annotations.

        An option that came later is left out while it changes nothing, as it is of ids: otherwise
        the data of older records would count as other data.
        """
        options: dict[str, Any] = canonical(self.options)
        return {key: value for key, value in options.items() if key not in _NOT_DECODING}


@dataclass(frozen=True)
class Finer:
    """A dataset's images with more pixels than the working size has, to crop from."""

    target: Tensor
    """uint8 [N,C,2·H,2·W]: twice the size of `Images.target`."""
    least: Tensor
    """float64 [N] in [½, 1]: the smallest crop that is not enlarged, as a share of the sides."""
    mapped: bool
    """Whether they are read from the cache on demand."""


@dataclass
class Images:
    """A whole dataset in memory, or mapped into it."""

    ids: list[str]
    target: Tensor | Ragged
    """uint8 [N,C,H,W]: the clean images, 0..255; `Ragged` rows [C,H,W] if their sizes differ, as
    then are all arrays of pixels."""
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
    """Remarks on this copy of the dataset."""
    mapped: bool = False
    """Whether pixels are read from the cache on demand, because they do not fit into memory."""
    input: Tensor | Ragged | None = None
    """uint8 [N,inputs,h,w]: degraded instead of the target, or used as the input itself."""
    value_range: ValueRange | None = None
    """The values of black and of white in files of more than 8 bits; None if there are none."""
    further: dict[str, Tensor | Ragged] = field(default_factory=dict)
    """The annotations of `facts.further`: integers [N], -1 where unknown, or [N,H,W]."""
    finer: Callable[[], Finer] | None = None
    """Finer images, decoded when they are asked for; None if there are none."""

    @property
    def annotations(self) -> dict[str, Tensor | Ragged]:
        """All annotations by name, `mask` and `label` among them."""
        known = {"mask": self.mask, "label": self.label, **self.further}
        return {name: values for name, values in known.items() if values is not None}
