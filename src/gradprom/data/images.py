"""From a source to its images in memory: decoded once, then read from the cache."""

from pathlib import Path

import numpy as np
import torch

from gradprom.data.base import UNLABELLED, Images, Source
from gradprom.data.cache import content_key, decoded, fingerprint


def load(source: Source, cache: Path) -> Images:
    """Read a dataset, decoding its files only when `cache` does not hold them yet.

    Raises DataError when the files are not as they should be; all unreadable ones are listed.
    """
    entries = source.index()
    splits = source.splits(entries)
    content = content_key(source, entries, cache)
    arrays = decoded(source, entries, cache, content)
    row = {entry.id: number for number, entry in enumerate(entries)}
    labels = [UNLABELLED if entry.label is None else entry.label for entry in entries]
    return Images(
        ids=[entry.id for entry in entries],
        target=torch.from_numpy(arrays["target"]),
        mask=torch.from_numpy(arrays["mask"]) if "mask" in arrays else None,
        label=torch.tensor(labels, dtype=torch.int64) if source.facts.classes else None,
        groups=[entry.group for entry in entries],
        splits={name: [row[id] for id in ids] for name, ids in splits.items()},
        facts=source.facts,
        fingerprint=fingerprint(content, entries, splits),
        notes=source.notes(entries),
        mapped=isinstance(arrays["target"], np.memmap),
    )
