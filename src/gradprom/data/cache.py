"""Files are decoded once; afterwards a dataset is a few arrays in `cache/<dataset>-<key>/`.

The key is made of everything the arrays depend on, the files' content included, so that a changed
folder finds no cache of its own and is decoded again. A cache can be deleted at any time.

    cache/<dataset>-<16 hex digits>/
      target.npy  mask.npy  …   all samples of one array; see `array_files` for their layout
      sha256.json               the SHA-256 of each file: one that does not fit is made again
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from gradprom.data import array_files, memory
from gradprom.data.base import Entry, Source
from gradprom.errors import DataError
from gradprom.storage.files import file_digest, read_checked, write_checked, writing

log = logging.getLogger(__name__)

Arrays = dict[str, np.ndarray]

_SUMS = "sha256.json"
_DRAFT = ".building-"
_ABANDONED = 3600.0
"""Seconds after which a folder half-built is one that a killed process has left."""


def content_key(source: Source, entries: list[Entry], cache: Path) -> str:
    """SHA-256 (hex) of everything that the decoded arrays depend on, row by row."""
    hashes = file_hashes([file for entry in entries for file in entry.files], cache, source)
    rows = [[entry.id, [hashes[file] for file in entry.files]] for entry in entries]
    return _digest([source.version, source.decode_options(), rows])


def fingerprint(content: str, entries: list[Entry], splits: dict[str, list[str]]) -> str:
    """SHA-256 (hex) of all that a run learns from: decoded content, annotations and splits.

    It names a record's data: neither paths nor times enter, so two machines agree.
    """
    labels = {entry.id: entry.label for entry in entries}
    further = {entry.id: dict(entry.annotations) for entry in entries if entry.annotations}
    return _digest([content, labels, splits, *([further] if further else [])])


def decoded(source: Source, entries: list[Entry], cache: Path, key: str) -> Arrays:
    """`target` uint8 [N,C,H,W] and perhaps `mask` uint8 [N,H,W] and others that the source
    decodes, from the cache or the files.

    Where samples of an array differ in shape it is flat, and `<name>.shapes` stands beside it.
    Raises DataError that lists every unreadable file; nothing is written then.
    """
    folder = cache / f"{source.options.name}-{key[:16]}"
    arrays = _read(folder)
    if arrays is None:
        if folder.exists():
            log.warning("%s is damaged; it is made again from the files", folder)
        log.info("decoding %d images into %s", len(entries), folder)
        _publish(_decode_all(source, entries), len(entries), folder)
        arrays = _load(folder, _names(folder))
    return arrays


def _decode_all(source: Source, entries: list[Entry]) -> Iterator[dict[str, np.ndarray]]:
    """Each entry's arrays in turn; at the end DataError, should any not have been readable."""
    unreadable = []
    for entry in entries:
        try:
            sample = source.decode(entry)
            _check(source, entry, sample)
            yield sample
        except (OSError, ValueError) as error:
            unreadable.append(str(error))
    if unreadable:
        lines = "".join(f"\n  {line}" for line in unreadable)
        raise DataError(
            f"{len(unreadable)} of {len(entries)} images of {source.options.name} "
            f"cannot be read:{lines}"
        )


def _check(source: Source, entry: Entry, sample: dict[str, np.ndarray]) -> None:
    """Raises ValueError where a sample is not what the source's facts say."""
    facts, target = source.facts, sample["target"]
    if target.ndim != 3 or target.shape[0] != facts.channels:
        raise ValueError(f"{entry.id}: target {target.shape}, expected [{facts.channels},H,W]")
    if "input" in sample and sample["input"].shape[:-2] != (facts.inputs,):
        shape = sample["input"].shape
        raise ValueError(f"{entry.id}: input {shape}, expected [{facts.inputs},H,W]")
    for name in sample.keys() - {"target", "input"}:
        if sample[name].shape != target.shape[1:]:
            shape = sample[name].shape
            raise ValueError(f"{entry.id}: {name} {shape}, its image has {target.shape[1:]}")


def _read(folder: Path) -> Arrays | None:
    """The cached arrays, or None when there are none or any byte of them is damaged."""
    try:
        sums: dict[str, str] = json.loads((folder / _SUMS).read_text())
        intact = all(file_digest(folder / f"{name}.npy") == sum for name, sum in sums.items())
        return _load(folder, list(sums)) if intact else None
    except (OSError, ValueError):
        return None


def _names(folder: Path) -> list[str]:
    return list(json.loads((folder / _SUMS).read_text()))


def _load(folder: Path, names: list[str]) -> Arrays:
    """The arrays in memory, or mapped into it where they would take too much of it."""
    files = {name: folder / f"{name}.npy" for name in names}
    size = sum(file.stat().st_size for file in files.values())
    if memory.fits_host(size):
        return {name: np.load(file) for name, file in files.items()}
    told = f"{size / 2**30:.1f} GiB of images are too much for the memory that is free"
    log.info("%s: they are read from %s as they are needed", told, folder)
    # "c": torch warns of arrays that cannot be written to
    return {name: np.load(file, mmap_mode="c") for name, file in files.items()}


def _publish(samples: Iterable[dict[str, np.ndarray]], count: int, folder: Path) -> None:
    """Publish a complete folder by one rename; of several processes the first one wins."""
    with writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=_DRAFT, dir=folder.parent) as temporary:
            _clear_drafts(folder.parent, than=Path(temporary))
            built = Path(temporary, "built")
            built.mkdir()
            names = array_files.write(samples, count, built)
            sums = {name: file_digest(built / f"{name}.npy") for name in names}
            (built / _SUMS).write_text(json.dumps(sums))
            if folder.exists() and _read(folder) is None:
                shutil.rmtree(folder, ignore_errors=True)
            try:
                os.rename(built, folder)
            except OSError:
                if not folder.exists():
                    raise
                log.debug("another process has built %s", folder)


def _clear_drafts(cache: Path, than: Path) -> None:
    """Remove drafts in which nothing was written for long before a new one was made; the file
    system's clock dates them all."""
    now = than.stat().st_mtime
    for draft in cache.glob(f"{_DRAFT}*"):
        if all(now - path.stat().st_mtime > _ABANDONED for path in (draft, *draft.rglob("*"))):
            shutil.rmtree(draft, ignore_errors=True)


def file_hashes(files: list[Path], cache: Path, source: Source) -> dict[Path, str]:
    """SHA-256 (hex) of each file's content; "" for a file that cannot be read (decoding names it).

    Hashes are kept against (size, mtime in ns), so that an unchanged folder is not read again.
    """
    store = cache / f"hashes-{source.options.name}.json"
    known = read_checked(store) or {}  # it only saves time
    hashes, fresh = {}, {}
    for file in dict.fromkeys(files):  # once, where several entries are cut from one file
        try:
            status = file.stat()
            stamp = [status.st_size, status.st_mtime_ns]
            seen = known.get(os.path.abspath(file))
            hashes[file] = seen[1] if seen and seen[0] == stamp else file_digest(file)
            fresh[os.path.abspath(file)] = [stamp, hashes[file]]
        except OSError:
            hashes[file] = ""
    if any(known.get(file) != value for file, value in fresh.items()):
        write_checked(store, {**known, **fresh})
    return hashes


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
