"""The cache of decoded datasets: a few arrays in `cache/<dataset>-<key>/`.

The key is a hash of everything that the arrays depend on, including the files' content, so that a
changed folder has another key and is decoded again. A cache can be deleted at any time.

    cache/<dataset>-<16 hex digits>/
      target.npy  mask.npy  …   all samples of one array; see `array_files` for their layout
      sha256.json               the SHA-256 of each file; if one is wrong, all are created again
"""

import contextlib
import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gradprom.data import array_files, memory
from gradprom.data.base import Entry, Source
from gradprom.errors import DataError, in_lines
from gradprom.storage.files import file_digest, read_checked, write_checked, writing

log = logging.getLogger(__name__)

Arrays = dict[str, np.ndarray]

VALUES = "values"
"""The array [2] of the values that files of more than 8 bits have for black and for white."""
_SUMS = "sha256.json"
_DRAFT = ".building-"
_ABANDONED = 3600.0
"""Seconds after which an unfinished folder counts as left by a killed process."""


def content_key(source: Source, entries: list[Entry], cache: Path) -> str:
    """SHA-256 (hex) of everything that the decoded arrays depend on."""
    hashes = file_hashes([file for entry in entries for file in entry.files], cache, source)
    rows = [[entry.id, [hashes[file] for file in entry.files]] for entry in entries]
    return _digest([source.version, source.decode_options(), rows])


def fingerprint(content: str, entries: list[Entry], splits: dict[str, list[str]]) -> str:
    """SHA-256 (hex) of all that a run learns from: decoded content, annotations and splits.

    It identifies a record's data. Paths and times are not part of it, so that machines agree.
    """
    labels = {entry.id: entry.label for entry in entries}
    further = {entry.id: dict(entry.annotations) for entry in entries if entry.annotations}
    return _digest([content, labels, splits, *([further] if further else [])])


def decoded(source: Source, entries: list[Entry], cache: Path, key: str) -> Arrays:
    """The arrays of a dataset, from the cache or the files.

    Returns
    -------
    dict
        `target` uint8 [N,C,H,W], perhaps `mask` uint8 [N,H,W], and others that the source decodes.
        If the samples of an array differ in shape it is flat, and `<name>.shapes` has the shapes.
        `values` is the source's `value_range`, if it has one.

    Raises
    ------
    DataError
        If files cannot be read; the message names them, and nothing is written.
    """
    folder = cache / f"{source.options.name}-{key[:16]}"
    arrays = _read(folder)
    if arrays is None:
        if folder.exists():
            log.warning("%s is damaged; it is created again from the files", folder)
        log.info("decoding %d images into %s", len(entries), folder)
        _publish(source, entries, folder)
        arrays = _load(folder, _names(folder))
    return arrays


def _decode_all(source: Source, entries: list[Entry]) -> Iterator[dict[str, np.ndarray]]:
    """Each entry's arrays in turn; at the end DataError if any was not readable."""
    unreadable = []
    for entry in entries:
        try:
            sample = source.decode(entry)
            _check(source, entry, sample)
            yield sample
        except (OSError, ValueError) as error:
            unreadable.append(str(error))
    if unreadable:
        raise DataError(
            f"{len(unreadable)} of {len(entries)} images of {source.options.name} "
            f"cannot be read:{in_lines(dict.fromkeys(unreadable))}"
        )


def _check(source: Source, entry: Entry, sample: dict[str, np.ndarray]) -> None:
    """Check a sample against the source's facts; ValueError if it does not fit."""
    facts, target = source.facts, sample["target"]
    if target.ndim != 3 or target.shape[0] != facts.channels:
        raise ValueError(f"{entry.id}: target {target.shape}, expected [{facts.channels},H,W]")
    if "input" in sample and sample["input"].shape[:-2] != (facts.inputs,):
        shape = sample["input"].shape
        raise ValueError(f"{entry.id}: input {shape}, expected [{facts.inputs},H,W]")
    for name in sample.keys() - {"target", "input"}:
        if not sample[name].ndim:
            continue  # a number of the whole image
        if sample[name].shape != target.shape[1:]:
            shape = sample[name].shape
            raise ValueError(f"{entry.id}: {name} {shape}, its image has {target.shape[1:]}")


def _read(folder: Path) -> Arrays | None:
    """The cached arrays; None if there are none or any of them is damaged."""
    try:
        sums: dict[str, str] = json.loads((folder / _SUMS).read_text(encoding="utf-8"))
        intact = all(file_digest(folder / f"{name}.npy") == sum for name, sum in sums.items())
        return _load(folder, list(sums)) if intact else None
    except (OSError, ValueError):
        return None


def _names(folder: Path) -> list[str]:
    return list(json.loads((folder / _SUMS).read_text(encoding="utf-8")))


def _load(folder: Path, names: list[str]) -> Arrays:
    """The arrays in memory, or memory-mapped if they would take too much of it."""
    files = {name: folder / f"{name}.npy" for name in names}
    size = sum(file.stat().st_size for file in files.values())
    if memory.fits_host(size):
        return {name: np.load(file) for name, file in files.items()}
    size_text = f"{size / 2**30:.1f} GiB of images do not fit into the free memory"
    log.info("%s: they are read from %s on demand", size_text, folder)
    # mode "c": torch warns about read-only arrays
    return {name: np.load(file, mmap_mode="c") for name, file in files.items()}


def _publish(source: Source, entries: list[Entry], folder: Path) -> None:
    """Publish a complete folder by one rename; if several processes do so, the first one wins."""
    with writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=_DRAFT, dir=folder.parent) as temporary:
            _clear_drafts(folder.parent, than=Path(temporary))
            built = Path(temporary, "built")
            built.mkdir()
            names = array_files.write(_decode_all(source, entries), len(entries), built)
            values = source.value_range()
            if values is not None:
                np.save(built / f"{VALUES}.npy", np.array(values))
                names.append(VALUES)
            sums = {name: file_digest(built / f"{name}.npy") for name in names}
            (built / _SUMS).write_text(json.dumps(sums), encoding="utf-8")
            if folder.exists() and _read(folder) is None:
                shutil.rmtree(folder, ignore_errors=True)
            try:
                os.rename(built, folder)
            except OSError:
                if not folder.exists():
                    raise
                log.debug("another process has built %s", folder)


def _clear_drafts(cache: Path, than: Path) -> None:
    """Remove unfinished folders in which nothing was written for `_ABANDONED` seconds.

    Ages are relative to the new folder `than`, so that only the file system's clock counts.
    """
    now = than.stat().st_mtime
    for draft in cache.glob(f"{_DRAFT}*"):
        with contextlib.suppress(FileNotFoundError):  # another process has published it meanwhile
            if all(now - path.stat().st_mtime > _ABANDONED for path in (draft, *draft.rglob("*"))):
                shutil.rmtree(draft, ignore_errors=True)


def file_hashes(files: list[Path], cache: Path, source: Source) -> dict[Path, str]:
    """SHA-256 (hex) of each file; "" for one that cannot be read, which decoding will report.

    Hashes are cached by size and mtime (ns), so that an unchanged folder is not read again.
    """
    store = cache / f"hashes-{source.options.name}.json"
    cached = read_checked(store) or {}  # a cache: it may be missing
    hashes, current = {}, {}
    for file in dict.fromkeys(files):  # several entries may share one file
        try:
            status = file.stat()
            stamp = [status.st_size, status.st_mtime_ns]
            entry = cached.get(os.path.abspath(file))
            hashes[file] = entry[1] if entry and entry[0] == stamp else file_digest(file)
            current[os.path.abspath(file)] = [stamp, hashes[file]]
        except OSError:
            hashes[file] = ""
    if any(cached.get(file) != value for file, value in current.items()):
        write_checked(store, {**cached, **current})
    return hashes


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
