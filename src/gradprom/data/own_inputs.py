"""The inputs of a person's own folder, where an image is to be made of others: their channels.

Each channel has a folder with a grey file for each image, of the same stem and as many pages.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from gradprom.data import formats, image_io, own_files
from gradprom.data.formats.contents import Contents
from gradprom.data.names import shown
from gradprom.data.value_range import EIGHT_BITS, ValueRange, checked, is_deep

OPTION = "dataset.inputs"


class OwnInputs:
    """The folders of the channels.

    Parameters
    ----------
    folders
        One for each channel.
    below
        Whether files in folders below belong to them.
    values
        Those of black and of white in files of more than 8 bits; empty: of each folder, as found.
    read
        Reads a file.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        below: bool,
        values: Sequence[float],
        read: Callable[[Path], Contents],
    ) -> None:
        self.folders, self.below, self.read = folders, below, read
        self.given = checked(values, "dataset.range=")
        self._ranges: dict[Path, ValueRange] = {}

    def files(self, images: dict[str, Path]) -> tuple[list[dict[str, Path]], list[str]]:
        """The file of each image in each folder, by the image's id, and what is wrong.

        Raises
        ------
        DataError
            If a folder does not exist.
        """
        by_folder = [
            own_files.masks_of(images, folder, self.below, OPTION, "input")
            for folder in self.folders
        ]
        return [files for files, _ in by_folder], [text for _, wrong in by_folder for text in wrong]

    def decode(self, files: Sequence[Path], page: int, pages: int, size: int) -> np.ndarray:
        """The channels of one image, uint8 [C, size, size].

        Raises
        ------
        ValueError
            If a file cannot be read, or holds another number of images than `pages`.
        """
        planes = []
        for file, folder in zip(files, self.folders, strict=True):
            held = self.read(file).pages
            if len(held) != pages:
                raise ValueError(
                    f"{shown(file)}: holds {len(held)} inputs, its image's file {pages}"
                )
            deep = is_deep(held[page].pixels)
            values = self._range(folder) if deep else EIGHT_BITS
            planes.append(image_io.fitted(held[page], 1, size, values))
        return np.concatenate(planes)

    def _range(self, folder: Path) -> ValueRange:
        """Of all images of more than 8 bits in a folder."""
        if folder not in self._ranges:
            files, _ = own_files.by_id(folder, self.below)
            values = self.given or formats.extremes(files.values()).range()
            if values is None:
                raise ValueError(
                    f"{shown(folder)}: which values are black and white cannot be told: set "
                    f"dataset.range=[BLACK,WHITE]"
                )
            self._ranges[folder] = values
        return self._ranges[folder]


def planes(label: int, classes: int, size: int) -> np.ndarray:
    """A plane for each class, uint8 [classes, size, size]: white for the label, else black."""
    white = np.zeros((classes, size, size), np.uint8)
    white[label] = 255
    return white
