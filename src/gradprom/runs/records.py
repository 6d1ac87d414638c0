"""Records: what a run leaves behind, and where it stands while it has not finished.

    results/<study>/runs/<id>/record.json    identity, status, metrics, where and how it ran
                              config.yaml    the composed configuration
                              history.csv    a row for each few steps of each stage
                              scores.csv     a row an image of the test split
                              panels/        degraded | enhanced | clean | error
                              scores-<set>.csv, panels-<set>/: those of `evaluate_on`
                              progress.json  where a run in progress stands
    results/<study>/splits/<fingerprint>.json      the ids of each split of a dataset
    results/<study>/data/<fingerprint>.json        a checksum of each of its files, its labels

A record has a checksum of its own and one of each of the run's other files (pictures apart), so
that none of them is believed once a byte of it has changed.

Nothing here imports torch, so that `gradprom status` answers at once.
"""

import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gradprom.errors import ConfigError, RunError
from gradprom.storage.files import (
    CHECKSUM,
    file_digest,
    is_plain,
    is_study,
    read_checked,
    read_json,
    without_checksum,
    write_checked,
    writing,
)
from gradprom.storage.lease import process_start

SCHEMA = 2
"""Of a record; raised when a key changes its meaning. From 2 on it has a checksum."""
READABLE = (1, 2)
STARTED = ("id", "status", "config", "dataset")
"""What no record does without."""
FINISHED = ("metrics", "training")
"""What that of a finished run has as well."""
_FILES = ("config.yaml", "history.csv", "scores*.csv")
SILENT = 120.0
"""Seconds without a sign of life after which a run on another machine counts as interrupted."""


@dataclass(frozen=True)
class Study:
    """The records of one study, below the folder `results`."""

    results: Path
    name: str

    def __post_init__(self) -> None:
        if not is_study(self.name):
            raise ConfigError(f"study={self.name} must be a plain folder name, such as local")

    @property
    def folder(self) -> Path:
        """`results/<study>`."""
        return self.results / self.name

    @property
    def stages(self) -> Path:
        """The stage store, shared by all studies."""
        return self.results / "stages"

    @property
    def cache(self) -> Path:
        """The decoded datasets, shared by all studies."""
        return self.results / "cache"

    def splits(self, fingerprint: str) -> Path:
        """The ids of the splits of a dataset, by its fingerprint."""
        return self.folder / "splits" / f"{fingerprint[:16]}.json"

    def data(self, fingerprint: str) -> Path:
        """What a dataset of that fingerprint was made of."""
        return self.folder / "data" / f"{fingerprint[:16]}.json"

    def leases(self, run_id: str) -> Path:
        """Where processes that want a run agree on which of them trains it."""
        return self.results / "leases" / self.name / run_id

    def run(self, run_id: str) -> Path:
        """The folder of a run."""
        return self.folder / "runs" / run_id

    def record(self, run_id: str) -> dict[str, Any] | None:
        """The record of a run; None where there is none, or none that can be read."""
        return _read(self._record(run_id))[0]

    def has_record(self, run_id: str) -> bool:
        """Whether there is a record, readable or not."""
        return self._record(run_id).exists()

    def _record(self, run_id: str) -> Path:
        return self.run(run_id) / "record.json"

    def records(self) -> list[dict[str, Any]]:
        """All records of the study that can be read, by id."""
        return self.load()[0]

    def load(self, prefix: str = "") -> tuple[list[dict[str, Any]], list[str]]:
        """All records whose id begins so, by id; and a sentence for each that is of no use."""
        records: list[dict[str, Any]] = []
        problems = []
        for path in sorted((self.folder / "runs").glob(f"{prefix}*/record.json")):
            record, problem = _read(path)
            problem = problem or _damage(path.parent, record or {})
            if record is None or problem:
                problems.append(f"{path}: {problem}; the next sweep that needs it trains it again")
            else:
                records.append(record)
        return records, problems

    def plans(self) -> list[dict[str, Any]]:
        """What the study's sweeps expect, oldest first: `runs` with `id` and `label`, `tables`
        with the ids of their runs by title, `experiments` and the words `asked` of them."""
        paths = self.folder.glob("sweeps/*/plan.json")
        kept = [_read_plan(path) for path in sorted(paths, key=lambda path: path.stat().st_mtime)]
        return [plan for plan in kept if plan]

    def keep(self, record: dict[str, Any]) -> None:
        """Write a run's record; that of a finished run with the checksums of its other files."""
        folder = self.run(record["id"])
        if record["status"] == "finished":
            files = sorted(path for kind in _FILES for path in folder.glob(kind))
            record = {**record, "files": {path.name: file_digest(path) for path in files}}
        write_checked(self._record(record["id"]), record)

    def resolve(self, prefix: str) -> dict[str, Any]:
        """The record whose id begins with `prefix`.

        Raises
        ------
        RunError
            If there is none, or more than one.
        """
        found, problems = ([], []) if prefix and not is_plain(prefix) else self.load(prefix)
        if problems and not found:
            raise RunError(problems[0])
        if len(found) == 1:
            return found[0]
        if found:
            raise RunError(f"run {prefix} is ambiguous: {', '.join(r['id'] for r in found)}")
        raise RunError(
            f"study {self.name} has no run {prefix}; `gradprom status study={self.name}` lists them"
        )

    def state(self, run_id: str, fingerprints: dict[str, str] | None = None) -> str:
        """`new`, `done`, `failed`, `pruned`, `running`, `interrupted`, or `other data`.

        A run counts as done, or as failed, only for the dataset content it was trained and tested
        on: the `fingerprints` of its test sets by name, "" its own dataset's. Where they are
        given, a run counts as new once any of its files is damaged.
        """
        record = self.record(run_id)
        if record is None or (fingerprints is not None and _damage(self.run(run_id), record)):
            return "new"
        if record["status"] == "started":
            return "running" if self._lives(run_id, record) else "interrupted"
        if fingerprints not in (None, fingerprints_of(record)):
            return "other data"
        return {"finished": "done"}.get(record["status"], record["status"])

    def _lives(self, run_id: str, record: dict[str, Any]) -> bool:
        if record["host"] == socket.gethostname():
            born = process_start(record["pid"])
            if born is None or born < self._record(run_id).stat().st_mtime:
                return born is not None
            # a process younger than the record has only got the number of one that is dead, or
            # the clock was set: let its word tell
        progress = self.progress(run_id)
        # a word from the future is as old as one from the past: clocks differ, and are set
        return progress is not None and abs(time.time() - progress["updated"]) < SILENT

    def progress(self, run_id: str) -> dict[str, Any] | None:
        """Where a run in progress stood when it last told."""
        return read_checked(self.run(run_id) / "progress.json")

    def tell(self, run_id: str, progress: dict[str, Any]) -> None:
        """Leave word of where a run stands."""
        write_checked(self.run(run_id) / "progress.json", {**progress, "updated": time.time()})

    def fail(self, run_id: str, kind: str, message: str) -> None:
        """Say of a run that began, and whose process could not, that it failed."""
        record = self.record(run_id)
        if record is not None and record["status"] == "started":
            error = {"type": kind, "message": message, "where": "outside Python", "traceback": ""}
            self.keep({**record, "status": "failed", "error": error})

    def set_aside(self, path: Path) -> Path:
        """Move a folder to `results/set-aside`: nothing that was computed is ever deleted."""
        target = self.results / "set-aside" / f"{time.strftime('%Y%m%d-%H%M%S')}-{path.name}"
        number = 1
        while target.exists():
            number += 1
            target = target.with_name(f"{target.name}-{number}")
        with writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            os.rename(path, target)
        return target


def _read_plan(path: Path) -> dict[str, Any]:
    """What a sweep was asked for; nothing where the file is damaged. Old ones have no checksum."""
    plan = read_json(path)
    if isinstance(plan, dict) and CHECKSUM in plan:
        plan = without_checksum(plan)
    return plan if isinstance(plan, dict) else {}


def _read(path: Path) -> tuple[dict[str, Any] | None, str]:
    """A record, or why it is of no use."""
    found = read_json(path)
    if not found or not isinstance(found, dict):
        return None, "truncated or no JSON"
    record: dict[str, Any] | None = found
    if CHECKSUM in found or found.get("schema", 1) == SCHEMA:
        record = without_checksum(found)
    problem = _problem(record, path.parent.name) if record else "does not fit its checksum"
    return (None if problem else record), problem


def _damage(folder: Path, record: dict[str, Any]) -> str:
    """The first of a run's other files that is not what its record tells; nothing if all are."""
    for name, digest in record.get("files", {}).items():
        try:
            intact = is_plain(name) and file_digest(folder / name) == digest
        except OSError:
            return f"its {name} is gone"
        if not intact:
            return f"its {name} is damaged"
    return ""


def _problem(record: dict[str, Any], run_id: str) -> str:
    """Why the content of a record is of no use; nothing where it is."""
    if record.get("schema", 1) not in READABLE:
        told = " and ".join(map(str, READABLE))
        return f"written as schema {record['schema']}, and this version reads {told}"
    finished = FINISHED if record.get("status") == "finished" else ()
    missing = [key for key in (*STARTED, *finished) if key not in record]
    if missing:
        return f"lacks {', '.join(missing)}"
    return "" if record["id"] == run_id else f"is that of run {record['id']}"


def fingerprints_of(record: dict[str, Any]) -> dict[str, str]:
    """What a run was trained and tested on: "" its own dataset, and its further test sets."""
    others = record.get("evaluate_on", {})
    told = {name: other["fingerprint"] for name, other in others.items()}
    return {"": record["dataset"]["fingerprint"], **told}


def revision(git: dict[str, Any], digits: int = 40) -> str:
    """The code of a run, such as `0407e8a with uncommitted changes`; `no git` where none is known.

    Parameters
    ----------
    git
        Of the run's record.
    digits
        Of the commit that are shown.
    """
    if git["revision"] is None:
        return "no git"
    return git["revision"][:digits] + (" with uncommitted changes" if git["dirty"] else "")


def value_of(record: dict[str, Any] | None, metric: str, test_set: str = "") -> float | None:
    """One number of a finished run: a score, or what training logged, its mean over tasks.

    Parameters
    ----------
    record
        None where the run has left none.
    metric
        Such as `psnr`, or `gate` for the values `gate_<task>` of coupled training.
    test_set
        One of `evaluate_on`, whose scores are meant; empty: the test split of the dataset.
    """
    from gradprom.metrics.registry import METRICS  # with numpy, which `gradprom status` can spare

    if record is None or record["status"] != "finished":
        return None
    if metric in METRICS and METRICS[metric].source == "training":
        return METRICS[metric].of_training(record["training"])
    scores = record.get("metrics", {})
    if test_set:
        scores = record.get("evaluate_on", {}).get(test_set, {}).get("metrics", {})
    return scores.get(metric)
