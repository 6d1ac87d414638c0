"""Parts of the training split: one for validation, so that tuning never uses the test split, or
a smaller one to train on."""

import hashlib
import json
from dataclasses import replace

from gradprom.data.base import UNLABELLED, Entry, Images
from gradprom.data.splits import by_group, stratified
from gradprom.errors import DataError


def hold_out(images: Images, share: float) -> Images:
    """The same images with only the splits `train` and `validation`: there is no test split.

    At most `share` of the training images are held out, with the classes as even as possible and
    without dividing a group. The choice follows from the ids and labels.

    Raises
    ------
    DataError
        If the share is too small for a single group, or leaves none to train on.
    """
    entries = _entries(images, images.splits["train"])
    grouped = len({entry.group for entry in entries}) < len(entries)
    count = max(1, round(share * len(entries)))
    try:
        parts = (by_group if grouped else stratified)(entries, count, seed=0)
    except DataError as error:
        groups = len({entry.group for entry in entries})
        raise DataError(
            f"validation={share:g}: {count} of {len(entries)} training images cannot be held out "
            f"in whole groups, of which there are {groups}; choose another share"
        ) from error
    row = {images.ids[number]: number for number in images.splits["train"]}
    ids = {"train": parts["train"], "validation": parts["test"]}
    splits = {name: [row[id] for id in part] for name, part in ids.items()}
    return replace(images, splits=splits, fingerprint=_fingerprint(images, ids))


def fewer_to_train(images: Images, count: int) -> Images:
    """The same images with only `count` of the training images.

    Classes keep their proportions to one image. The choice follows from the ids and labels, so
    that all runs have the same images; the test images stay.

    Raises
    ------
    DataError
        Unless there are more than `count`.
    """
    rows = images.splits["train"]
    if count >= len(rows):
        raise DataError(
            f"train_images={count}: there are {len(rows)} training images; allowed are fewer, or "
            f"null for all"
        )
    kept = set(stratified(_entries(images, rows), count, seed=0)["test"])
    fewer = [row for row in rows if images.ids[row] in kept]
    return replace(
        images,
        splits={**images.splits, "train": fewer},
        fingerprint=_fingerprint(images, {"train": sorted(kept)}),
    )


def _fingerprint(images: Images, ids: dict[str, list[str]]) -> str:
    """SHA-256 (hex) of images and of the parts into which their training split was divided."""
    return hashlib.sha256(json.dumps([images.fingerprint, ids]).encode()).hexdigest()


def _entries(images: Images, rows: list[int]) -> list[Entry]:
    labels = [None] * len(images.ids) if images.label is None else images.label.tolist()
    return [
        Entry(
            images.ids[row],
            images.groups[row],
            None if labels[row] in (None, UNLABELLED) else labels[row],
            files=(),
        )
        for row in rows
    ]
