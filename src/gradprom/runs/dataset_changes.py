"""What has changed in a dataset's folder since an interrupted run began to learn from it."""

import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from gradprom.config import component
from gradprom.config.typed import test_set_name
from gradprom.data.cache import file_hashes
from gradprom.errors import DataError, listed
from gradprom.runs.run import Run
from gradprom.storage.files import read_checked, write_checked
from gradprom.training.store import StageStore

MAX_NAMES = 5
"""Most file names of each kind of change in a message."""


def save_contents(run: Run, fingerprint: str) -> None:
    """Store checksums and labels of a run's dataset, once for all runs of a study on it.

    Parameters
    ----------
    run
        A run on the dataset.
    fingerprint
        SHA-256 (hex) of the dataset's content and split.
    """
    path = run.study.data(fingerprint)
    if read_checked(path) is None:
        content = _content(run)
        if content["files"]:  # generated images have none
            write_checked(path, content)


def require_same_data(run: Run, state: str) -> None:
    """Refuse to resume a run on other data than it was started with.

    Raises
    ------
    DataError
        If `state` is `interrupted` or `lost`, and a stage of the run was trained, at least in part,
        on a dataset that has changed since; the message lists the changes.
    """
    record = run.study.record(run.id) if state in ("interrupted", "lost") else None
    if record is None:
        return
    first = record.dataset.fingerprint
    if first == run.images().fingerprint or not _has_trained(run, first):
        return
    content = read_checked(run.study.data(first))
    changes = _differences(content, _content(run)) if content else "it is not known what"
    raise DataError(
        f"dataset={run.config.dataset.name} has changed since run {run.id} began: {changes}; "
        f"restore it, or start again after `gradprom forget {run.id} study={run.study.name}`"
    )


def require_own_title(run: Run) -> None:
    """Refuse to set the record of another folder aside, which has the same title.

    A folder of one's own is told apart by its title (`dataset.title`) alone. Where its content has
    changed, its record is of other data and is set aside, as that of any dataset; a record of
    images, masks or labels at another place may be of another person's folder.

    Raises
    ------
    DataError
        If the run's record is of other content from another place, under the same title.
    """
    options = [run.config.dataset, *run.config.evaluate_on]
    record = run.study.record(run.id) if any(map(_is_titled, options)) else None
    if record is None:
        return
    fingerprints, known = run.fingerprints(), record.fingerprints()
    before = [record.config["dataset"], *record.config["evaluate_on"]]
    names = ["", *map(test_set_name, run.config.evaluate_on)]
    for name, now, then in zip(names, options, before, strict=True):
        differs = name in known and known[name] != fingerprints[name]
        if differs and _is_titled(now) and _places(asdict(now)) != _places(then):
            raise DataError(
                f"dataset.title={test_set_name(now)} is the name of {_places(then)[0]} in study "
                f"{run.study.name}, whose run {run.id} has the same configuration, and "
                f"{_places(asdict(now))[0]} holds other images, masks or labels; choose another "
                f"title, or another study"
            )


def _is_titled(options: Any) -> bool:
    return bool(getattr(options, "title", ""))


def _places(options: Mapping[str, Any]) -> list[str]:
    """The folder of the images, then those of what belongs to them, wherever they are seen from."""
    root = os.path.realpath(options["root"])
    parts = (options.get(key) for key in ("masks", "labels"))
    return [root, *(os.path.realpath(os.path.join(root, part)) for part in parts if part)]


def _content(run: Run) -> dict[str, Any]:
    """Checksums of files, by path in the dataset's folder, and labels of images, by id."""
    options = run.config.dataset
    source = component("dataset", options.name).build(options)
    entries = source.index()
    files = [file for entry in entries for file in entry.files]
    hashes = file_hashes(files, run.study.cache, source) if files else {}
    root = getattr(options, "root", os.curdir)
    return {
        "files": {os.path.relpath(file, root): digest for file, digest in hashes.items()},
        "labels": {entry.id: entry.label for entry in entries},
    }


def _has_trained(run: Run, fingerprint: str) -> bool:
    """Whether a stage of the run was trained, at least in part, on data of that fingerprint."""
    store = StageStore(run.study.stages, fingerprint)
    folders = [store.folder(stage) for stage in run.method.stage().lineage()]
    return any((f / name).exists() for f in folders for name in ("checkpoint.pt", "artefact.pt"))


def _differences(before: dict[str, Any], after: dict[str, Any]) -> str:
    """Such as `changed a.png, b.png; added c.png`."""
    old, new = before["files"], after["files"]
    old_labels, new_labels = before["labels"], after["labels"]
    names_by_change = {
        "changed": [name for name in old if name in new and old[name] != new[name]],
        "added": [name for name in new if name not in old],
        "removed": [name for name in old if name not in new],
        "other labels of": [
            id for id in old_labels if id in new_labels and old_labels[id] != new_labels[id]
        ],
    }
    changes = [
        f"{kind} {listed(sorted(names), MAX_NAMES)}"
        for kind, names in names_by_change.items()
        if names
    ]
    return "; ".join(changes) or "its split"
