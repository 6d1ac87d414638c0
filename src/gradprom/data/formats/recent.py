"""Files whose images follow one another: read once, not once an image."""

from pathlib import Path

from gradprom.data import formats
from gradprom.data.formats.contents import Contents


class Recent:
    """Reads files as `formats.read`, and keeps the last two: a volume and its masks."""

    def __init__(self) -> None:
        self._opened: dict[Path, Contents] = {}

    def __call__(self, path: Path) -> Contents:
        """All images of a file."""
        if path not in self._opened:
            self._opened = dict([*self._opened.items()][-1:])
            self._opened[path] = formats.read(path)
        return self._opened[path]
