"""What the images of a split offer to learn and to be scored on."""

import math
from collections import Counter
from collections.abc import Iterable

from torch import Tensor

from gradprom.data.base import UNLABELLED, Images
from gradprom.data.ragged import Ragged, shapes_of
from gradprom.errors import DataError, NotServed


def rows_of(images: Images, split: str) -> list[int]:
    """The rows of a split.

    Raises
    ------
    DataError
        If it has no images.
    """
    rows = images.splits.get(split)
    if not rows:
        known = ", ".join(f"{name} ({len(rows)})" for name, rows in images.splits.items())
        raise DataError(f"split={split} has no images; choose from {known}")
    return rows


def require_target(images: Images, annotation: str, split: str) -> None:
    """Check that an annotation tells a recognizer something about the images of a split.

    Some of its values must be known. They must also be of two classes, where the annotation has
    classes: in training for all annotations, in tests for those of pixels, whose overlap is pooled.

    Raises
    ------
    NotServed
        If the annotation tells nothing; the message names the dataset's split and the values.
    """
    stored, names = images.annotations.get(annotation), images.facts.annotations
    if stored is None:
        has = ", ".join(images.annotations) or "none"
        raise NotServed(f"annotation={annotation} is not in the dataset; it has: {has}")
    rows, classes = rows_of(images, split), names.get(annotation, ())
    of_pixels = isinstance(stored, Ragged) or stored.ndim > 1
    needed = 2 if classes and (split == "train" or of_pixels) else 1
    values = _values(stored, rows, needed)
    if len(values) >= needed:
        return
    if not values:
        raise NotServed(f"none of the {len(rows)} images of split={split} has a {annotation}")
    kind = "pixels" if of_pixels else f"images that have a {annotation}"
    [value] = values
    called = classes[value] if value < len(classes) else value
    raise NotServed(
        f"all {kind} of split={split} ({len(rows)} images in all) are of one class, {called}"
    )


def majority_share(images: Images, annotation: str, split: str) -> float:
    """The share of the most frequent value of an annotation, in [0, 1]; NaN if none is known.

    It is the accuracy of always giving that answer.
    """
    stored, counts = images.annotations[annotation], Counter[int]()
    rows = rows_of(images, split)
    if isinstance(stored, Tensor) and stored.ndim == 1:
        parts = [stored[rows]]
    else:
        parts = [stored[row] for row in rows]
    for part in parts:
        values, numbers = part.unique(return_counts=True)
        counts.update(dict(zip(values.tolist(), numbers.tolist(), strict=True)))
    del counts[UNLABELLED]
    return max(counts.values()) / counts.total() if counts else math.nan


def require_one_shape(images: Images, split: str) -> None:
    """Check that images of a split can be put into one batch.

    Raises
    ------
    DataError
        If they differ in shape.
    """
    rows = rows_of(images, split)
    for stored in [images.target, *([] if images.input is None else [images.input])]:
        shapes = list(dict.fromkeys(shapes_of(stored, rows)))
        if len(shapes) > 1:
            first, second = ("×".join(map(str, shape)) for shape in shapes[:2])
            raise DataError(
                f"split={split} has images of {len(shapes)} shapes, such as {first} and {second}, "
                f"and training needs one: let the dataset cut tiles of one size"
            )


def shapes(images: Images, split: str) -> set[tuple[tuple[int, ...], tuple[int, ...]]]:
    """The shapes [C,H,W] of a split's clean images, each with that of what is degraded."""
    rows = rows_of(images, split)
    clean = shapes_of(images.target, rows)
    undegraded = clean if images.input is None else shapes_of(images.input, rows)
    return set(zip(clean, undegraded, strict=True))


def _values(stored: Tensor | Ragged, rows: Iterable[int], enough: int) -> set[int]:
    """Some of the known values of an annotation: all of them if there are fewer than `enough`."""
    if isinstance(stored, Tensor) and stored.ndim == 1:
        return {value for value in stored[list(rows)].unique().tolist() if value != UNLABELLED}
    known: set[int] = set()
    for row in rows:
        present = stored[row].unique().tolist()
        known |= {value for value in present if value != UNLABELLED}
        if len(known) >= enough:
            break
    return known
