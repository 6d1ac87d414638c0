"""What datasets of computed MR contrasts share, which are to be synthesized from one acquisition.

An input has the six acquired images of a slice and a plane for each contrast, white for the one
that is asked for. The contrast is the label; a volume is all slices of a group in one contrast.
"""

from abc import abstractmethod
from pathlib import Path
from typing import Any

import numpy as np

from gradprom.data import own_inputs
from gradprom.data.base import Entry, Facts, Source
from gradprom.data.mr_signals import ACQUIRED, CONTRASTS, Slice, acquired, contrast
from gradprom.data.splits import of_groups
from gradprom.randomness import stream


class MRSource(Source):
    """Groups of slices in each contrast: `options.train` groups and `options.test` others.

    A dataset's file ends with `build, facts = TheSource, TheSource.facts_of`.
    """

    def __init__(self, options: Any) -> None:
        super().__init__(options, self.facts_of(options))

    @staticmethod
    def facts_of(options: Any) -> Facts:
        """Grey targets, whose contrast is the label, with the number of their volume."""
        names = tuple(CONTRASTS)
        inputs = len(ACQUIRED) + len(names)
        return Facts(1, classes=names, mask_classes=(), inputs=inputs, further={"volume": ()})

    @property
    @abstractmethod
    def slices(self) -> int:
        """How many each group has."""

    @abstractmethod
    def name_of(self, number: int) -> str:
        """The name of a group."""

    @abstractmethod
    def slice_of(self, group: str, number: int) -> Slice:
        """A slice of a group, the lowest having the number 0."""

    def files(self) -> tuple[Path, ...]:
        """What all slices are read from."""
        return ()

    def index(self) -> list[Entry]:
        """One entry a slice and contrast."""
        kinds, files = self.facts.classes, self.files()
        return [
            Entry(
                f"{group}-{number:02d}-{name}",
                group,
                label,
                files,
                {"volume": place * len(kinds) + label},
            )
            for place, group in enumerate(self._groups())
            for number in range(self.slices)
            for label, name in enumerate(kinds)
        ]

    def decode(self, entry: Entry) -> dict[str, np.ndarray]:
        """`target` uint8 [1,size,size] and `input` uint8 [12,size,size]."""
        assert entry.label is not None
        names = self.facts.classes
        number = int(entry.id.removeprefix(f"{entry.group}-").partition("-")[0])
        shown = self.slice_of(entry.group, number)
        planes = own_inputs.planes(entry.label, len(names), self.options.size)
        return {
            "target": contrast(shown, names[entry.label]),
            "input": np.concatenate([acquired(shown), planes]),
        }

    def splits(self, entries: list[Entry]) -> dict[str, list[str]]:
        """`train` and `test`, of whole groups."""
        rng = np.random.default_rng(stream(f"{self.options.name} split", self.options.split_seed))
        groups = rng.permutation(self._groups()).tolist()
        test = self.options.test
        return of_groups(entries, {"train": groups[test:], "test": groups[:test]})

    def _groups(self) -> list[str]:
        return [self.name_of(number) for number in range(self.options.train + self.options.test)]
