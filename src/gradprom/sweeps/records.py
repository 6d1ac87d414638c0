"""Records: what a run leaves behind, and where it stands while it has not finished.

    results/<study>/runs/<id>/record.json    identity, status, metrics, where and how it ran
                              config.yaml    the composed configuration
                              history.csv    a row for each few steps of each stage
                              scores.csv     a row an image of the test split
                              panels/        degraded | enhanced | clean | error
                              scores-<set>.csv, panels-<set>/: those of `evaluate_on`
                              progress.json  where a run in progress stands
    results/<study>/splits/<fingerprint>.json      the ids of each split of a dataset

Nothing here imports torch, so that `gradprom status` answers at once.
"""

import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gradprom.errors import RunError
from gradprom.files import read_json, write_json
from gradprom.identity import LENGTH
from gradprom.training.lease import process_start

SCHEMA = 1
"""Of a record; raised when a key changes its meaning."""
STARTED = ("id", "status", "config", "dataset")
"""What no record does without."""
FINISHED = ("metrics", "training")
"""What that of a finished run has as well."""
SILENT = 120.0
"""Seconds without a sign of life after which a run on another machine counts as interrupted."""


@dataclass(frozen=True)
class Study:
    """The records of one study, below the folder `results`."""

    results: Path
    name: str

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

    def run(self, run_id: str) -> Path:
        """The folder of a run."""
        return self.folder / "runs" / run_id

    def record(self, run_id: str) -> dict[str, Any] | None:
        """The record of a run; None where there is none, or none that can be read."""
        record = read_json(self._record(run_id))
        return None if record is None or _problem(record, run_id) else record

    def has_record(self, run_id: str) -> bool:
        """Whether there is a record, readable or not."""
        return self._record(run_id).exists()

    def _record(self, run_id: str) -> Path:
        return self.run(run_id) / "record.json"

    def records(self) -> list[dict[str, Any]]:
        """All records of the study that can be read, by id."""
        return self.load()[0]

    def load(self) -> tuple[list[dict[str, Any]], list[str]]:
        """All records by id, and a sentence for each that cannot be read."""
        records: list[dict[str, Any]] = []
        problems = []
        for path in sorted((self.folder / "runs").glob("*/record.json")):
            record = read_json(path) or {}
            problem = _problem(record, path.parent.name)
            if problem:
                problems.append(f"{path}: {problem}; the next sweep that needs it trains it again")
            else:
                records.append(record)
        return records, problems

    def plans(self) -> list[dict[str, Any]]:
        """What the study's sweeps expect, oldest first: `runs` with `id` and `label`, `tables`
        with the ids of their runs by title, `experiments` and the words `asked` of them."""
        paths = self.folder.glob("sweeps/*/plan.json")
        kept = [read_json(path) for path in sorted(paths, key=lambda path: path.stat().st_mtime)]
        return [plan for plan in kept if plan]

    def resolve(self, prefix: str) -> dict[str, Any]:
        """The record whose id begins with `prefix`.

        Raises
        ------
        RunError
            If there is none, or more than one.
        """
        whole = self.record(prefix) if len(prefix) == LENGTH else None
        found = [whole] if whole else [r for r in self.records() if r["id"].startswith(prefix)]
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
        on: the `fingerprints` of its test sets by name, "" its own dataset's.
        """
        record = self.record(run_id)
        if record is None:
            return "new"
        if record["status"] == "started":
            return "running" if self._lives(run_id, record) else "interrupted"
        if fingerprints not in (None, fingerprints_of(record)):
            return "other data"
        return {"finished": "done"}.get(record["status"], record["status"])

    def _lives(self, run_id: str, record: dict[str, Any]) -> bool:
        if record["host"] == socket.gethostname():
            born = process_start(record["pid"])
            # a process younger than the record has only got the number of one that is dead
            return born is not None and born < self._record(run_id).stat().st_mtime
        progress = self.progress(run_id)
        return progress is not None and time.time() - progress["updated"] < SILENT

    def progress(self, run_id: str) -> dict[str, Any] | None:
        """Where a run in progress stood when it last told."""
        return read_json(self.run(run_id) / "progress.json")

    def tell(self, run_id: str, progress: dict[str, Any]) -> None:
        """Leave word of where a run stands."""
        write_json(self.run(run_id) / "progress.json", {**progress, "updated": time.time()})

    def fail(self, run_id: str, kind: str, message: str) -> None:
        """Say of a run that began, and whose process could not, that it failed."""
        record = self.record(run_id)
        if record is not None and record["status"] == "started":
            error = {"type": kind, "message": message, "where": "outside Python", "traceback": ""}
            write_json(self._record(run_id), {**record, "status": "failed", "error": error})

    def set_aside(self, path: Path) -> Path:
        """Move a folder to `results/set-aside`: nothing that was computed is ever deleted."""
        target = self.results / "set-aside" / f"{time.strftime('%Y%m%d-%H%M%S')}-{path.name}"
        number = 1
        while target.exists():
            number += 1
            target = target.with_name(f"{target.name}-{number}")
        target.parent.mkdir(parents=True, exist_ok=True)
        os.rename(path, target)
        return target


def _problem(record: Any, run_id: str) -> str:
    """Why a record is of no use; nothing where it is."""
    if not record or not isinstance(record, dict):
        return "truncated or no JSON"
    if record.get("schema", SCHEMA) != SCHEMA:
        return f"written as schema {record['schema']}, and this version reads {SCHEMA}"
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


def open_share(record: dict[str, Any] | None) -> float | None:
    """Share of open gates in a finished run's coupled training, mean over its tasks, in [0, 1]."""
    if record is None or record["status"] != "finished":
        return None
    shares = [value for key, value in record["training"].items() if key.startswith("gate_")]
    return sum(shares) / len(shares) if shares else None
