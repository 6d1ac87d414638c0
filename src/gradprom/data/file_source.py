"""What the published datasets share: their folder, options, and facts known without the files."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from gradprom.data import locate
from gradprom.data.base import Facts, Source
from gradprom.data.dataset_card import About
from gradprom.data.locate import Part


@dataclass
class FileOptions:
    """The options of every published dataset that is read from files."""

    name: str = ""
    root: str = field(default="data", metadata={"hashed": False})
    """The dataset's folder, or one that contains it; not part of a run's id."""
    size: int = 256
    """Height and width of its images in pixels."""
    split: str = "paper"
    """One of `splits`."""
    split_seed: int = 0
    """Seed of the random splits."""
    splits: ClassVar[dict[str, str]] = {}
    """A description of each split, by name."""

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"dataset.size={self.size}: must be at least 1 pixel")
        if self.split not in self.splits:
            allowed = ", ".join(self.splits)
            raise ValueError(f"dataset.split={self.split}: must be one of {allowed}")


class FileSource(Source):
    """A published dataset: every copy has the same facts and the layout of its card.

    A dataset's file ends with `build, facts = TheSource, TheSource.facts_of`.
    """

    about: ClassVar[About]
    known: ClassVar[Facts]
    layouts: ClassVar[tuple[tuple[Part, ...], ...]]
    """Its folders, for each layout in which it was published."""

    def __init__(self, options: Any) -> None:
        super().__init__(options, self.facts_of(options))

    @classmethod
    def facts_of(cls, options: Any) -> Facts:
        """The facts, which do not depend on the options unless a dataset says otherwise."""
        return cls.known

    def find(self) -> Path:
        """The dataset's folder.

        Raises
        ------
        DataError
            If it is not found; the message says where it was searched for.
        """
        return locate.find(Path(self.options.root), self.about, *self.layouts)
