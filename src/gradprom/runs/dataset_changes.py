"""What has changed in a dataset's folder since an interrupted run began to learn from it."""

import os
from typing import Any

from gradprom.config import component
from gradprom.data.cache import file_hashes
from gradprom.errors import DataError, listed
from gradprom.runs.run import Run
from gradprom.storage.files import read_checked, write_checked
from gradprom.training.store import StageStore

SHOWN = 5
"""Most names of a kind in a message."""


def note(run: Run, fingerprint: str) -> None:
    """Keep what a run's dataset is made of, once for all runs of a study that share it."""
    path = run.study.data(fingerprint)
    if read_checked(path) is None:
        content = _content(run)
        if content["files"]:  # generated images have none
            write_checked(path, content)


def require_same_data(run: Run, state: str) -> None:
    """Refuse to take up a run on other data than it was begun with.

    Raises
    ------
    DataError
        If `state` is `interrupted` or `lost` and the run has stages trained, or in training, on a
        dataset that has changed since; it lists what has.
    """
    record = run.study.record(run.id) if state in ("interrupted", "lost") else None
    if record is None:
        return
    began, now = record.dataset.fingerprint, run.images().fingerprint
    if began == now or not _has_trained(run, began):
        return
    before = read_checked(run.study.data(began))
    changed = _differences(before, _content(run)) if before else "what, is not known"
    raise DataError(
        f"dataset={run.config.dataset.name} has changed since run {run.id} began: {changed}; put "
        f"it back, or begin anew after `gradprom forget {run.id} study={run.study.name}`"
    )


def _content(run: Run) -> dict[str, Any]:
    """A checksum of each file, by its path as seen from the dataset's folder, and all labels."""
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
    """Whether anything that the run needs was trained on data of that fingerprint."""
    store = StageStore(run.study.stages, fingerprint)
    folders = [store.folder(stage) for stage in run.method.stage().lineage()]
    return any((f / name).exists() for f in folders for name in ("checkpoint.pt", "artefact.pt"))


def _differences(before: dict[str, Any], after: dict[str, Any]) -> str:
    """Such as `changed a.png, b.png; added c.png`."""
    old, new = before["files"], after["files"]
    labels, now = before["labels"], after["labels"]
    found = {
        "changed": [name for name in old if name in new and old[name] != new[name]],
        "added": [name for name in new if name not in old],
        "removed": [name for name in old if name not in new],
        "other labels of": [id for id in labels if id in now and labels[id] != now[id]],
    }
    told = [f"{kind} {listed(sorted(names), SHOWN)}" for kind, names in found.items() if names]
    return "; ".join(told) or "its split"
