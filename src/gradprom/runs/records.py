"""A study: the folder of its runs, their records, and where runs stand that have not finished.

    results/<study>/runs/<id>/record.json    identity, status, metrics, where and how it ran
                              config.yaml    the composed configuration
                              history.csv    a row for each few steps of each stage
                              scores.csv     a row an image of the test split
                              panels/        degraded | enhanced | clean | error
                              scores-<set>.csv, panels-<set>/: those of `evaluate_on`
                              progress.json  where a run in progress stands
    results/<study>/variants/<id>/<name>/          other results of the run (`runs.merging`)
    results/<study>/splits/<fingerprint>.json      the ids of each split of a dataset
    results/<study>/data/<fingerprint>.json        a checksum of each of its files, its labels
    results/<study>/code/<id>.diff                 code that was not committed (`runs.code`)

A record has a checksum of its own and one of each of the run's other files (pictures apart), so
that a change of any byte is noticed.

Nothing here imports torch, so that `gradprom status` answers at once.
"""

import functools
import os
import shutil
import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from gradprom.errors import ConfigError, RunError
from gradprom.runs import run_state
from gradprom.runs.plan_note import PlanNote, read_plan
from gradprom.runs.record import ErrorInfo, Record, damage, read_record
from gradprom.runs.run_progress import RunProgress, read_progress
from gradprom.storage.files import file_digest, is_plain, is_study, write_checked, writing

_FILES = ("config.yaml", "history.csv", "scores*.csv")
"""Files whose checksums a record has."""


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
        """The file with the ids of each split of the dataset with that fingerprint."""
        return self.folder / "splits" / f"{fingerprint[:16]}.json"

    def data(self, fingerprint: str) -> Path:
        """The file of checksums and labels of the dataset with that fingerprint."""
        return self.folder / "data" / f"{fingerprint[:16]}.json"

    def diff(self, diff_id: str) -> Path:
        """The diff of uncommitted code with that id."""
        return self.folder / "code" / f"{diff_id}.diff"

    def variant(self, run_id: str, name: str) -> Path:
        """The folder of other results of a run (`runs.merging`)."""
        return self.folder / "variants" / run_id / name

    def leases(self, run_id: str) -> Path:
        """The folder of the lease by which one process alone trains a run."""
        return self.results / "leases" / self.name / run_id

    def run(self, run_id: str) -> Path:
        """The folder of a run."""
        return self.folder / "runs" / run_id

    def record(self, run_id: str) -> Record | None:
        """The record of a run; None where it is missing or cannot be read."""
        return read_record(self._record(run_id))[0]

    def has_record(self, run_id: str) -> bool:
        """Whether there is a record, readable or not."""
        return self._record(run_id).exists()

    def _record(self, run_id: str) -> Path:
        return self.results.joinpath(self.name, "runs", run_id, "record.json")

    def records(self) -> list[Record]:
        """All records of the study that can be read, by id."""
        return self.load()[0]

    def load(self, prefix: str = "") -> tuple[list[Record], list[str]]:
        """All records whose id begins with `prefix`, sorted by id, and what is wrong with others.

        Returns
        -------
        tuple
            The records, and a sentence for each one that cannot be used.
        """
        records: list[Record] = []
        problems = []
        for path in self._record_files(prefix):
            record, problem = read_record(path)
            if record is not None and record.files:
                problem = damage(path.parent, record)
            if record is not None and not problem:
                records.append(record)
            elif path.exists():  # a new run's folder may have a configuration but no record yet
                problems.append(f"{path}: {problem}; the next sweep that needs it trains it again")
        return records, problems

    def _record_files(self, prefix: str) -> list[Path]:
        """Paths of the records whose id begins with `prefix`, sorted by id."""
        folder = self.folder / "runs"
        # a glob that looks for the file in each folder takes longer than parsing the files
        names = os.listdir(folder) if folder.is_dir() else []
        return [folder / name / "record.json" for name in sorted(names) if name.startswith(prefix)]

    def plans(self) -> list[PlanNote]:
        """What the study's sweeps expect, oldest first; damaged ones are left out."""
        paths = self.folder.glob("sweeps/*/plan.json")
        plans = [read_plan(path) for path in sorted(paths, key=lambda path: path.stat().st_mtime)]
        return [plan for plan in plans if plan is not None]

    def drop_from_plans(self, run_ids: Collection[str]) -> None:
        """Expect runs no longer, until a sweep plans them again."""
        for path in self.folder.glob("sweeps/*/plan.json"):
            plan = read_plan(path)
            if plan is not None and any(run.id in run_ids for run in plan.runs):
                write_checked(path, plan.without(run_ids).to_json())

    def write_record(self, record: Record) -> None:
        """Write a run's record; for a finished run with the checksums of its other files."""
        folder = self.run(record.id)
        if record.finished:
            files = sorted(path for kind in _FILES for path in folder.glob(kind))
            record = replace(record, files={path.name: file_digest(path) for path in files})
        write_checked(self._record(record.id), record.to_json())

    def resolve(self, prefix: str) -> Record:
        """The record whose id begins with `prefix`.

        Raises
        ------
        RunError
            If there is none, or more than one.
        """
        records, problems = ([], []) if prefix and not is_plain(prefix) else self.load(prefix)
        if problems and not records:
            raise RunError(problems[0])
        if len(records) == 1:
            return records[0]
        if records:
            raise RunError(f"run {prefix} is ambiguous: {', '.join(r.id for r in records)}")
        raise RunError(
            f"study {self.name} has no run {prefix}; `gradprom runs study={self.name}` lists them"
        )

    def state(self, run_id: str, fingerprints: dict[str, str] | None = None) -> str:
        """`new`, `done`, `failed`, `pruned`, `running`, `interrupted`, or `other data`.

        A run counts as done, or as failed, only for the dataset content it was trained and tested
        on: the `fingerprints` of its test sets by name, "" for its own dataset's. With
        `fingerprints`, a run also counts as new if any of its files is damaged.
        """
        record = self.record(run_id)
        if record is None or (fingerprints is not None and damage(self.run(run_id), record)):
            return "new"
        heartbeat = functools.partial(self.progress, run_id)
        alive = functools.partial(run_state.is_alive, record, self._record(run_id), heartbeat)
        return run_state.state_of(record, fingerprints, alive)

    def progress(self, run_id: str) -> RunProgress | None:
        """Where a run in progress stood at its last heartbeat."""
        return read_progress(self.run(run_id) / "progress.json")

    def heartbeat(self, run_id: str, progress: RunProgress) -> None:
        """Write the progress of a run, with the time."""
        now = replace(progress, updated=time.time())
        write_checked(self.run(run_id) / "progress.json", now.to_json())

    def fail(self, run_id: str, kind: str, message: str) -> None:
        """Mark a started run as failed, where its own process could not do so."""
        record = self.record(run_id)
        if record is not None and record.status == "started":
            error = ErrorInfo(type=kind, message=message, where="outside Python")
            self.write_record(replace(record, status="failed", error=error))

    def set_aside(self, path: Path) -> Path:
        """Move a folder to `results/set-aside`: nothing that was computed is ever deleted."""
        target = self.results / "set-aside" / f"{time.strftime('%Y%m%d-%H%M%S')}-{path.name}"
        number = 1
        while target.exists():
            number += 1
            target = target.with_name(f"{target.name}-{number}")
        with writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(path, target)  # also to another disk, where the study is a link to one
        return target
