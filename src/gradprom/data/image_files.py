"""What `gradprom enhance` reads and writes: which file becomes which, and in which range of values.

An output keeps its input's data type, range, number of images and spacing. Single images of 8 and
16 bits become PNG; TIFF stays TIFF, as what PNG cannot hold becomes TIFF; NIfTI and DICOM stay what
they are. Nothing here imports torch.
"""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gradprom.data import formats
from gradprom.data.formats.contents import Contents
from gradprom.data.listing import listing
from gradprom.data.names import shown, suffix
from gradprom.data.value_range import (
    EIGHT_BITS,
    Extremes,
    ValueRange,
    chosen,
    is_deep,
    text,
)
from gradprom.errors import DataError, RunError, in_lines

_OWN = {"TIFF": (".tif", ".tiff"), "NIfTI": (".nii", ".nii.gz"), "DICOM": (".dcm",)}
"""Suffixes with which files of a format are written, for those that stay what they are."""


@dataclass
class Work:
    """The files to be enhanced."""

    targets: dict[Path, Path] = field(default_factory=dict)
    """The output of each input."""
    skipped: list[str] = field(default_factory=list)
    """Sentences on what lies beside the images: folders, and files that are no images."""
    unreadable: list[str] = field(default_factory=list)
    """Sentences on images that cannot be read."""
    extremes: Extremes = field(default_factory=Extremes)
    """Of all inputs of more than 8 bits."""


def assign(source: Path, output: Path) -> Work:
    """The output of each input: a file to a file or into a folder, a folder to a folder.

    Every input is read once. Of a folder, what is no image is skipped and what cannot be read is
    left out, both with a sentence.

    Raises
    ------
    DataError
        If no input can be read.
    RunError
        If an output is of a format that cannot hold its input, would replace an input, or belongs
        to two inputs.
    """
    work = Work()
    if source.is_dir():
        _require_folder(source, output)
        content = listing(source)
        work.unreadable += content.broken
        work.skipped += [f"{shown(folder)}: a folder" for folder in content.folders]
        images = {path: output for path in [*content.images, *content.others]}
        into = True
    else:
        content, images, into = None, {source: output}, output.is_dir()
    for path, place in images.items():
        try:
            contents = formats.read(path)
        except ValueError as error:
            stray = content is not None and path in content.others
            (work.skipped if stray else work.unreadable).append(str(error))
            continue
        for page in contents.pages:
            work.extremes.add(page.pixels)
        allowed = _suffixes(path, contents)
        work.targets[path] = place / f"{_stem(path)}{allowed[0]}" if into else place
        _check_format(path, work.targets[path], allowed)
    if not work.targets:
        reasons = work.unreadable or work.skipped
        if source.is_dir():
            raise DataError(f"{shown(source)} holds no images that can be read:{in_lines(reasons)}")
        raise DataError(reasons[0])
    _check_outputs(work.targets)
    return work


def value_range(
    extremes: Extremes, given: ValueRange | None, trained: ValueRange | None
) -> ValueRange:
    """The values of black and white in inputs of more than 8 bits.

    Parameters
    ----------
    extremes
        Of all inputs.
    given
        On the command line, or None.
    trained
        That of the files that the run was trained on, if they had more than 8 bits.

    Raises
    ------
    RunError
        If they must be given.
    """
    values = chosen(extremes, given, trained)
    if values is None and extremes:
        raise RunError(
            f"the input has {extremes.text()}, and which of them are black and white cannot be "
            f"told: add --range BLACK,WHITE, such as --range -160,240 for soft tissue in CT"
        )
    return values or EIGHT_BITS


def clipped(extremes: Extremes, values: ValueRange) -> str:
    """A sentence on values that lie outside the range, if there are any."""
    if not extremes or (values[0] <= extremes.low and extremes.high <= values[1]):
        return ""
    return (
        f"the input has {extremes.text()}: clipped to {text(values)} "
        f"(--range BLACK,WHITE sets another range)"
    )


def _require_folder(source: Path, output: Path) -> None:
    is_file = output.exists() and not output.is_dir()
    if is_file or (not output.exists() and suffix(output) in formats.SUFFIXES):
        raise RunError(
            f"{shown(source)} is a folder and {shown(output)} is a file; name a folder for -o"
        )


def _stem(path: Path) -> str:
    """The name of an output without its suffix, as the input's name is written."""
    return path.name[: -len(suffix(path))] if formats.is_image_name(path) else path.name


def _suffixes(path: Path, contents: Contents) -> tuple[str, ...]:
    """The suffixes of formats that can hold what a file holds; the first is the usual one."""
    first = contents.pages[0].pixels
    plain = len(contents.pages) == 1 and first.dtype in (np.uint8, np.uint16)
    plain = plain and not contents.pages[0].inverted  # PNG cannot say so
    own = _OWN.get(contents.format, ())
    if contents.format == "NIfTI":
        return (suffix(path), *own)
    if contents.format == "DICOM":
        return own
    png = (".png",) if plain else ()
    return (*own, *png) if own else (*png, *_OWN["TIFF"])


def _check_format(source: Path, target: Path, allowed: tuple[str, ...]) -> None:
    if suffix(target) not in allowed:
        names = " or ".join(dict.fromkeys(allowed))
        name = target.with_suffix("").name + allowed[0]
        raise RunError(
            f"{shown(target)}: {shown(source.name)} is written, without loss, as {names}; "
            f"name it {shown(name)}"
        )


def _check_outputs(targets: dict[Path, Path]) -> None:
    inputs = {path.resolve() for path in targets}
    overwritten = [target for target in targets.values() if target.resolve() in inputs]
    if overwritten:
        raise RunError(
            f"{shown(overwritten[0])} is an input and would be replaced; choose another -o"
        )
    counts = Counter(targets.values())
    doubled = [shown(path) for path, target in targets.items() if counts[target] > 1]
    if doubled:
        raise RunError(f"inputs that differ only in their extension:{in_lines(doubled)}")


def range_of(contents: Contents, values: ValueRange) -> ValueRange:
    """The range in which a file is read: that of all inputs, or 0 to 255 if it has 8 bits."""
    return values if is_deep(contents.pages[0].pixels) else EIGHT_BITS
