"""Which files of a folder are images, and what happens to the others: none vanishes unnamed."""

from dataclasses import dataclass, field
from pathlib import Path

from gradprom.data import formats
from gradprom.data.names import key, shown
from gradprom.errors import DataError


@dataclass
class Listing:
    """The content of a folder, without hidden files; each list is sorted."""

    images: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    """Files that are no images by their suffix, nor DICOM by their content."""
    folders: list[Path] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    """Sentences on images that cannot be used, such as links to nothing."""


def listing(folder: Path) -> Listing:
    """List a folder, in the order of the names as they are compared (`names.key`).

    Raises
    ------
    DataError
        If the folder cannot be read.
    """
    content = Listing()
    try:
        paths = sorted(folder.iterdir(), key=lambda path: (key(path.name), path.name))
    except OSError as error:
        raise DataError(f"{shown(folder)} cannot be read: {error.strerror or error}.") from error
    for path in paths:
        if path.name.startswith("."):
            continue
        elif path.is_dir():
            content.folders.append(path)
        elif formats.is_image_name(path) and not path.is_file():
            why = "a link to nothing" if path.is_symlink() else "not a file"
            content.broken.append(f"{shown(path)}: {why}")
        elif formats.is_image_name(path) or formats.is_dicom(path):
            content.images.append(path)
        else:
            content.others.append(path)
    return content
