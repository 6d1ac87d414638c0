"""A plan's runs in a launcher's hands; a SLURM cluster gets each once, and is waited for."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from gradprom.errors import RunError
from gradprom.experiments.overrides import OverrideList
from gradprom.launch import local
from gradprom.runs.records import Study
from gradprom.storage.lease import alone
from gradprom.sweeps import plan as plans
from gradprom.sweeps import queue
from gradprom.sweeps.plan import Plan

ByRun = dict[str, OverrideList]
"""The overrides of each run, by its id."""

POLL = 3.0
"""Seconds between two looks at the queue."""


class TakenAway(RunError):
    """A job has ended before its run."""


@dataclass(frozen=True)
class Manner:
    """How many runs go together."""

    runs_per_job: int
    runs_per_device: int

    @classmethod
    def of(cls, node: DictConfig) -> "Manner":
        """As the whole configuration says."""
        return cls(node.slurm.runs_per_job, node.runs_per_device)


def launch(
    plan: Plan, overrides: ByRun, launcher: Any, manner: Manner, first: int = 0
) -> list[Any]:
    """Run what is pending in a plan; for each, the exception that stopped it, or anything else.

    overrides: those of each run, by its id. first: the number of the first one's job in this
    sweep.
    """
    if hasattr(launcher, "submit"):
        submit(plan, overrides, launcher, manner, first)
        return wait(plan)
    pending = {job.run.id: overrides[job.run.id] for job in plan.pending}
    if not pending:
        return []
    if manner.runs_per_device > 1:
        study, log = plan.jobs[0].run.study, plan.folder / "output.log"
        local.run(launcher, pending, study, manner.runs_per_device, first, log)
        return [_silent(study, run_id, log) for run_id in pending]
    done = launcher.launch(list(pending.values()), initial_job_idx=first)
    # asking a failed job for its `return_value` would raise
    return [job._return_value for job in done]


def submit(plan: Plan, overrides: ByRun, launcher: Any, manner: Manner, first: int = 0) -> None:
    """Submit what is pending in a plan, and say as which jobs.

    Two sweeps that share runs take turns, and the second leaves out what the first has submitted
    meanwhile; as each leaves out what is at work on another machine.

    Raises
    ------
    RunError
        If Slurm does not answer, or does not take the jobs; in Slurm's own words.
    """
    if not plan.pending:
        return
    study = plan.jobs[0].run.study
    with alone(study.folder / "submissions"):
        fresh = plans.make([job.run for job in plan.pending], plan.retry_failed)
        runs = [job.run.id for job in fresh.pending if job.state != "running"]
        given = {run_id: overrides[run_id] for run_id in runs}
        for number, count in launcher.submit(given, study, manner, first) if given else []:
            print(f"submitted {count} run{'s' * (count != 1)} as Slurm job {number}", flush=True)


def wait(plan: Plan) -> list[Exception | None]:
    """Until the cluster has none of the plan's runs any more.

    Returns, for each pending job, what is to be said of one that left no record.
    """
    study = plan.jobs[0].run.study
    ids = {job.run.id for job in plan.jobs}
    while (found := queue.jobs(study)) is None or ids & set(found):
        jobs = found or {}
        plan.queued = sum(jobs[run_id].state == "PENDING" for run_id in ids & set(jobs))
        time.sleep(POLL)
    logs = {job.run.id: queue.log_of(study, job.run.id) for job in plan.pending}
    return [_silent(study, run_id, log) for run_id, log in logs.items()]


def _silent(study: Study, run_id: str, log: Path | None) -> Exception | None:
    record = study.record(run_id)
    if record is not None and record.status != "started":
        return None
    told = "began and was taken away" if record else "did not begin"
    return TakenAway(f"{told}; see {log}, or type the command again")
