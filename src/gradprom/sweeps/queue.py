"""Which runs a Slurm cluster has: what sweeps have submitted, and what `squeue` says of it.

    results/<study>/submissions/<name>.json    the runs of each task of a job array, by job name

The note is written before the jobs are: no job exists that nothing knows of. Nothing here imports
torch, so that `gradprom status` answers at once.
"""

import secrets
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gradprom.errors import RunError
from gradprom.runs.records import Study
from gradprom.storage.files import read_json, write_json

TIMEOUT = 60
"""Seconds after which a command of Slurm counts as not answering."""
ENDED = ("CANCELLED", "COMPLETED", "FAILED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "BOOT_FAIL")
"""Slurm's words for a job that is being cleared away."""


@dataclass(frozen=True)
class ClusterJob:
    """A job that Slurm has not finished with."""

    id: str
    """As Slurm writes it: `12`, or `12_3` for a task of an array."""
    state: str
    """Slurm's word, such as PENDING or RUNNING."""
    node: str
    reason: str
    """Why it waits, such as Priority."""


Jobs = dict[str, ClusterJob]
"""By run id."""


def note(study: Study, prefix: str, tasks: list[list[str]], logs: str) -> str:
    """Tell which runs the tasks of an array about to be submitted have; returns its job name.

    logs: the folder of a job's output, with `%j` for the job.
    """
    name = f"{prefix}-{secrets.token_hex(4)}"
    told = {"time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "tasks": tasks, "logs": logs}
    write_json(_notes(study) / f"{name}.json", told)
    return name


def note_job(study: Study, name: str, job: str) -> None:
    """Add which job, or array of jobs, it has become."""
    path = _notes(study) / f"{name}.json"
    write_json(path, {**(read_json(path) or {}), "job": job})


def _notes(study: Study) -> Path:
    return study.folder / "submissions"


def jobs(study: Study) -> Jobs | None:
    """The living job of each run of a study that has one; None where Slurm does not answer."""
    noted = {path.stem: read_json(path) or {"tasks": []} for path in _notes(study).glob("*.json")}
    listed = _squeue(list(noted)) if noted else []
    if listed is None:
        return None
    found: Jobs = {}
    for name, job in listed:
        task = int(job.id.partition("_")[2] or 0)
        found |= dict.fromkeys(noted[name]["tasks"][task], job)
    return found


def log_of(study: Study, run_id: str) -> Path | None:
    """The output of the last job that was to run something; None where none was submitted."""
    notes = [read_json(path) or {} for path in _notes(study).glob("*.json")]
    for told in sorted(notes, key=lambda told: told.get("time", ""), reverse=True):
        for task, runs in enumerate(told.get("tasks", [])):
            if run_id in runs and "job" in told:
                job = told["job"] if len(told["tasks"]) == 1 else f"{told['job']}_{task}"
                return Path(told["logs"].replace("%j", job)) / f"{job}_0_log.out"
    return None


def _squeue(names: list[str]) -> list[tuple[str, ClusterJob]] | None:
    asked = ["--noheader", "--array", f"--name={','.join(names)}", "--format=%j|%i|%T|%N|%r"]
    try:
        text = _ask("squeue", *asked)
    except RunError:
        return None
    rows = [line.strip().split("|") for line in text.splitlines()]
    # what has ended is still listed while it is being cleared away
    return [(name, ClusterJob(*rest)) for name, *rest in rows if rest[1] not in ENDED]


def state(study: Study, run_id: str, found: Jobs | None, fingerprints: Any = None) -> str:
    """As `Study.state`, with what the cluster knows: `queued`, and `lost` for what it has taken.

    A run is `lost` when it began in a job that is gone and did not come to an end of its own.
    """
    word = study.state(run_id, fingerprints)
    if word not in ("new", "running", "interrupted") or found is None:
        return word
    record = study.record(run_id)
    begun_in = record.job if record else None
    job = found.get(run_id)
    if job is None:
        return "lost" if begun_in else word
    return "running" if job.state != "PENDING" and begun_in == job.id else "queued"


def cancel(study: Study) -> list[str]:
    """Take the jobs back whose runs have not begun; returns the runs.

    Raises
    ------
    RunError
        If Slurm does not answer.
    """
    found = jobs(study)
    if found is None:
        raise RunError("squeue does not answer here; ask where Slurm's commands are")
    waiting = {job.id for job in found.values() if job.state == "PENDING"}
    if waiting:
        # one that has begun meanwhile goes on
        _ask("scancel", "--state=PENDING", *sorted(waiting))
    return [run_id for run_id, job in found.items() if job.id in waiting]


def array_limit() -> int:
    """How many tasks a job array may have on this cluster.

    Raises
    ------
    RunError
        If Slurm does not answer.
    """
    told = dict(
        line.replace(" ", "").split("=", 1)
        for line in _ask("scontrol", "show", "config").splitlines()
        if "=" in line
    )
    # the highest index is one less than MaxArraySize, and indices begin with 0
    return int(told["MaxArraySize"])


def _ask(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
    except FileNotFoundError:
        raise RunError(f"there is no {command[0]} here, a command of Slurm") from None
    except subprocess.TimeoutExpired:
        raise RunError(f"{command[0]} did not answer within {TIMEOUT} s") from None
    if done.returncode != 0:
        raise RunError(f"{command[0]}: {done.stderr.strip()}")
    return done.stdout
