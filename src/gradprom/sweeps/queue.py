"""Which runs a Slurm cluster has: what sweeps have submitted, and what `squeue` reports.

    results/<study>/submissions/<name>.json    the runs of each task of a job array, by job name

The file is written before the jobs are submitted, so that every job is known. Nothing here imports
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
"""Slurm's states of jobs that have ended and are still listed."""


@dataclass(frozen=True)
class ClusterJob:
    """A job that has not ended."""

    id: str
    """As Slurm writes it: `12`, or `12_3` for a task of an array."""
    state: str
    """Slurm's job state, such as PENDING or RUNNING."""
    node: str
    reason: str
    """Why it waits, such as Priority."""


Jobs = dict[str, ClusterJob]
"""By run id."""


def note(study: Study, prefix: str, tasks: list[list[str]], logs: str) -> str:
    """Record which runs the tasks of an array have, before it is submitted.

    Parameters
    ----------
    study
        The study of the runs.
    prefix
        First part of the array's job name.
    tasks
        The ids of each task's runs.
    logs
        The folder of a job's output, with `%j` for the job.

    Returns
    -------
    str
        The job name.
    """
    name = f"{prefix}-{secrets.token_hex(4)}"
    submission = {"time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "tasks": tasks, "logs": logs}
    write_json(_notes(study) / f"{name}.json", submission)
    return name


def note_job(study: Study, name: str, job: str) -> None:
    """Add the number that Slurm gave to the job or array of this name."""
    path = _notes(study) / f"{name}.json"
    write_json(path, {**(read_json(path) or {}), "job": job})


def _notes(study: Study) -> Path:
    return study.folder / "submissions"


def jobs(study: Study) -> Jobs | None:
    """The pending or running job of each run that has one; None if Slurm does not answer."""
    submissions = {
        path.stem: read_json(path) or {"tasks": []} for path in _notes(study).glob("*.json")
    }
    listed = _squeue(list(submissions)) if submissions else []
    if listed is None:
        return None
    by_run: Jobs = {}
    for name, job in listed:
        task = int(job.id.partition("_")[2] or 0)
        by_run |= dict.fromkeys(submissions[name]["tasks"][task], job)
    return by_run


def log_of(study: Study, run_id: str) -> Path | None:
    """The output file of the last job submitted for a run; None if there is none."""
    submissions = [read_json(path) or {} for path in _notes(study).glob("*.json")]
    for submission in sorted(
        submissions, key=lambda submission: submission.get("time", ""), reverse=True
    ):
        for task, runs in enumerate(submission.get("tasks", [])):
            if run_id in runs and "job" in submission:
                job = (
                    submission["job"]
                    if len(submission["tasks"]) == 1
                    else f"{submission['job']}_{task}"
                )
                return Path(submission["logs"].replace("%j", job)) / f"{job}_0_log.out"
    return None


def _squeue(names: list[str]) -> list[tuple[str, ClusterJob]] | None:
    arguments = ["--noheader", "--array", f"--name={','.join(names)}", "--format=%j|%i|%T|%N|%r"]
    try:
        text = _ask("squeue", *arguments)
    except RunError:
        return None
    rows = [line.strip().split("|") for line in text.splitlines()]
    # squeue still lists jobs that ended a moment ago
    return [(name, ClusterJob(*rest)) for name, *rest in rows if rest[1] not in ENDED]


def state(study: Study, run_id: str, on_cluster: Jobs | None, fingerprints: Any = None) -> str:
    """As `Study.state`, with two further states from the cluster: `queued` and `lost`.

    A run is `lost` if it started in a job that is gone, and left no final record.

    Parameters
    ----------
    study, run_id, fingerprints
        As for `Study.state`.
    on_cluster
        The result of `jobs`.
    """
    known = study.state(run_id, fingerprints)
    if known not in ("new", "running", "interrupted") or on_cluster is None:
        return known
    record = study.record(run_id)
    begun_in = record.job if record else None
    job = on_cluster.get(run_id)
    if job is None:
        return "lost" if begun_in else known
    return "running" if job.state != "PENDING" and begun_in == job.id else "queued"


def cancel(study: Study) -> list[str]:
    """Cancel the jobs whose runs have not started; returns the ids of these runs.

    Raises
    ------
    RunError
        If Slurm does not answer.
    """
    on_cluster = jobs(study)
    if on_cluster is None:
        raise RunError("squeue does not answer; run this on a machine that has Slurm's commands")
    waiting = {job.id for job in on_cluster.values() if job.state == "PENDING"}
    if waiting:
        # a job that has started in the meantime continues
        _ask("scancel", "--state=PENDING", *sorted(waiting))
    return [run_id for run_id, job in on_cluster.items() if job.id in waiting]


def array_limit() -> int:
    """The largest number of tasks that this cluster allows in a job array.

    Raises
    ------
    RunError
        If Slurm does not answer.
    """
    settings = dict(
        line.replace(" ", "").split("=", 1)
        for line in _ask("scontrol", "show", "config").splitlines()
        if "=" in line
    )
    # the highest index is one less than MaxArraySize, and indices begin with 0
    return int(settings["MaxArraySize"])


def _ask(*command: str) -> str:
    try:
        process = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=TIMEOUT
        )
    except FileNotFoundError:
        raise RunError(f"Slurm's command {command[0]} is not available on this machine") from None
    except subprocess.TimeoutExpired:
        raise RunError(f"{command[0]} did not answer within {TIMEOUT} s") from None
    if process.returncode != 0:
        raise RunError(f"{command[0]}: {process.stderr.strip()}")
    return process.stdout
