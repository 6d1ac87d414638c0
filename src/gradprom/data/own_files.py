"""The files of a person's own folder: images by id, their masks, and the table of their labels.

Each function returns what it has found and a sentence for each thing that is wrong; where many are
wrong in one way, they are one sentence with the pattern.
"""

from collections import defaultdict
from collections.abc import Collection
from pathlib import Path

from gradprom.data import formats, text_files
from gradprom.data.listing import listing
from gradprom.data.names import key, shown
from gradprom.errors import MOST_LINES, DataError, listed

Row = dict[str, str]


def by_id(
    folder: Path, below: bool, without: Collection[Path] = ()
) -> tuple[dict[str, Path], list[str]]:
    """Image files by their path in a folder without the suffix, and what is wrong with them.

    Parameters
    ----------
    folder
        The folder.
    below
        Whether files in folders below it belong to it.
    without
        Folders whose files do not, resolved.
    """
    content, stems = listing(folder), defaultdict(list)
    for file in content.images:
        stems[formats.stem(file)].append(file)
    images = {stem: files[0] for stem, files in stems.items()}
    wrong = content.broken + [
        f"{shown(folder)}: {', '.join(shown(file.name) for file in files)} have the same stem"
        for files in stems.values()
        if len(files) > 1
    ]
    for inner in content.folders if below else ():
        if inner.resolve() not in without:
            inner_images, inner_wrong = by_id(inner, below, without)
            images |= {f"{key(inner.name)}/{id}": file for id, file in inner_images.items()}
            wrong += inner_wrong
    return images, wrong


def masks_of(
    images: dict[str, Path],
    folder: Path,
    below: bool,
    option: str = "dataset.masks",
    kind: str = "mask",
) -> tuple[dict[str, Path], list[str]]:
    """The mask (or another `kind` of file, of another `option`) of each image, by the image's id.

    Other arguments are as those of `by_id`.

    Raises
    ------
    DataError
        If the folder does not exist; the message names those beside it.
    """
    if not folder.is_dir():
        near = [shown(path.name) for path in sorted(folder.parent.glob("*")) if path.is_dir()]
        beside = f"{shown(folder.parent)} holds the folders {listed(near, MOST_LINES) or '(none)'}"
        raise DataError(f"{option}: no folder {shown(folder)}; {beside}")
    masks, wrong = by_id(folder, below)
    unmasked = [id for id in images if id not in masks]
    if len(unmasked) > MOST_LINES:
        names = listed([shown(path.name) for path in masks.values()], 3) or "nothing"
        return masks, [
            *wrong,
            f"{len(unmasked)} of {len(images)} images have no {kind} in {shown(folder)}: looked "
            f"for {listed([shown(id) + '.*' for id in unmasked], 3)}, and there is {names}",
        ]
    lacking = [f"{shown(images[id])}: no {kind} in {shown(folder)}" for id in unmasked]
    return masks, wrong + lacking


def table_of(
    images: dict[str, Path], root: Path, path: Path, classes: list[str], further: list[str]
) -> tuple[dict[str, Row], list[str]]:
    """The row of each image in the table `path`, by the image's id.

    Its columns are `id`, `label` where classes are named, those of `further`, and `group`.

    Raises
    ------
    DataError
        If the table cannot be read or has no column that can be used.
    """
    names = {id: id for id in images}
    names |= {key(image.relative_to(root).as_posix()): id for id, image in images.items()}
    table: dict[str, Row] = {}
    twice, strange, unnamed = [], [], []
    for row in _rows(path, classes, further):
        id, name, label = names.get(key(row["id"])), shown(row["id"]), row.get("label")
        if id is None:
            strange.append(name)
        elif id in table:
            twice.append(f"{path}: {name} occurs twice")
        else:
            table[id] = row
        if classes and label and label not in classes:
            allowed = listed(classes, MOST_LINES)
            unnamed.append(f"{path}: {name} has the label {label}, expected {allowed}")
    return table, [*unnamed, *_no_images(path, strange, [*images]), *twice]


def identities_of(
    table: dict[str, Row], path: Path, count: int
) -> tuple[dict[str, int], list[str]]:
    """The number of each identity that a table names, and a sentence if they are not `count`."""
    known = sorted({row["identity"] for row in table.values() if row.get("identity")})
    numbers = {name: number for number, name in enumerate(known)}
    if len(known) == count:
        return numbers, []
    wrong = f"{shown(path)} names {len(known)} identities: set dataset.identities={len(known)}"
    return numbers, [wrong]


def volumes_of(table: dict[str, Row], path: Path) -> tuple[dict[str, int], list[str]]:
    """The number of each volume that a table names, and a sentence for each of several labels."""
    labels: dict[str, set[str]] = defaultdict(set)
    for row in table.values():
        if row.get("volume"):
            labels[row["volume"]] |= {row.get("label", "")} - {""}
    wrong = [
        f"{shown(path)}: the volume {shown(name)} has several labels, {listed(sorted(several), 3)}"
        for name, several in sorted(labels.items())
        if len(several) > 1
    ]
    return {name: number for number, name in enumerate(sorted(labels))}, wrong


def _no_images(path: Path, names: list[str], ids: list[str]) -> list[str]:
    if len(names) <= MOST_LINES:
        return [f"{path}: {name} is not an image" for name in names]
    expected = listed([shown(id) for id in ids], 3)
    return [f"{path}: {listed(names, 3)} are not images; these are called {expected}"]


def _rows(path: Path, classes: list[str], further: list[str]) -> list[Row]:
    """The table's rows; without classes and further columns it is only there for its groups."""
    if classes or further:
        return text_files.rows(path, ["id", *["label"] * bool(classes), *further], "group")
    rows = text_files.rows(path, ["id"], "label", "group")
    if rows and "label" in rows[0] and "group" not in rows[0]:
        labels = sorted({row["label"] for row in rows} - {""})
        more = ",…" if len(labels) > MOST_LINES else ""
        raise DataError(
            f"{path} has labels, and dataset.classes does not name their classes: set "
            f"dataset.classes=[{','.join(labels[:MOST_LINES])}{more}]"
        )
    return text_files.rows(path, ["id", "group"])
