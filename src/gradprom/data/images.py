"""From a source to its images in memory: decoded once, then read from the cache."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gradprom.data import finer
from gradprom.data.array_files import SHAPES
from gradprom.data.base import UNLABELLED, Entry, Images, Source
from gradprom.data.cache import VALUES, Arrays, content_key, decoded, fingerprint
from gradprom.data.ragged import Ragged
from gradprom.data.value_range import text


def load(source: Source, cache: Path) -> Images:
    """Load a dataset, decoding its files only if they are not in `cache`.

    Raises
    ------
    DataError
        If files are missing or wrong; the message lists all unreadable ones.
    """
    entries = source.index()
    splits = source.splits(entries)
    content = content_key(source, entries, cache)
    arrays = decoded(source, entries, cache, content)
    notes, stored_range = source.notes(entries), arrays.pop(VALUES, None)
    values = None if stored_range is None else (float(stored_range[0]), float(stored_range[1]))
    if values is not None:
        notes.append(f"more than 8 bits: read as black to white from {text(values)}")
    stored = {name: _opened(arrays, name) for name in arrays if not name.endswith(SHAPES)}
    row = {entry.id: number for number, entry in enumerate(entries)}
    labels = [UNLABELLED if entry.label is None else entry.label for entry in entries]
    return Images(
        ids=[entry.id for entry in entries],
        target=stored.pop("target"),
        mask=stored.pop("mask", None),
        label=torch.tensor(labels, dtype=torch.int64) if source.facts.classes else None,
        groups=[entry.group for entry in entries],
        splits={name: [row[id] for id in ids] for name, ids in splits.items()},
        facts=source.facts,
        fingerprint=fingerprint(content, entries, splits),
        notes=notes,
        mapped=isinstance(arrays["target"], np.memmap),
        input=stored.pop("input", None),
        value_range=values,
        further={**_of_images(entries), **stored},
        finer=finer.loader(source, entries, cache),
    )


def _opened(arrays: Arrays, name: str) -> Tensor | Ragged:
    values = torch.from_numpy(arrays[name])
    shapes = arrays.get(f"{name}{SHAPES}")
    return values if shapes is None else Ragged(values, shapes.tolist())


def _of_images(entries: list[Entry]) -> dict[str, Tensor | Ragged]:
    """The annotations of whole images that the index has, int64 [N]."""
    names = dict.fromkeys(name for entry in entries for name in entry.annotations)
    return {
        name: torch.tensor([entry.annotations.get(name, UNLABELLED) for entry in entries])
        for name in names
    }
