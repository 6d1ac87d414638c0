"""The folder of a published dataset on this machine, or what is missing and how to get it."""

from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

from gradprom.data.dataset_card import About
from gradprom.errors import NotOnDisk, in_lines


class Part(NamedTuple):
    """A folder of a dataset, relative to the dataset's own folder."""

    folder: str
    holds: str = ""
    """A pattern of files that must be in it; empty: the folder must exist."""
    zip: str = ""
    """The published archive it is in, if that has another name than the folder."""

    def exists_in(self, root: Path) -> bool:
        """Whether it is in `root`, unpacked."""
        folder = root / self.folder
        if not self.holds or not folder.is_dir():
            return folder.is_dir()
        # whatever the case of its letters, which Python's own glob minds on Linux
        pattern, folders = self.holds.lower().rstrip("/"), self.holds.endswith("/")
        return any(
            fnmatch(path.name.lower(), pattern) and (path.is_dir() or not folders)
            for path in folder.iterdir()
        )

    def packed(self, root: Path) -> Path:
        """The path of its archive in `root`."""
        return root / (self.zip or f"{self.folder}.zip")


def find(root: Path, about: About, *layouts: tuple[Part, ...]) -> Path:
    """The first folder, `root` itself or a named one in it, with all parts of one of the layouts.

    Raises
    ------
    NotOnDisk
        If there is none; the message says how to unpack archives that exist, or which folders are
        missing and how to get them.
    """
    searched = [root, *(root / name for name in about.folders)]
    for folder in searched:
        if any(all(part.exists_in(folder) for part in layout) for layout in layouts):
            return folder
    expected = [(folder, part) for folder in searched for layout in layouts for part in layout]
    missing = [(at, part) for at, part in dict.fromkeys(expected) if not part.exists_in(at)]
    packed = [
        f"unzip -d '{(folder / part.folder).parent}' '{part.packed(folder)}'"
        for folder, part in missing
        if part.packed(folder).is_file()
    ]
    if packed:
        raise NotOnDisk(f"{about.title} is still packed; unpack it with:{in_lines(packed)}")
    raise NotOnDisk(
        f"{about.title} was not found. {about.get} Licence: {about.licence}. Looked for:"
        + in_lines(str(folder / part.folder / part.holds) for folder, part in missing)
    )
