"""Launch a plan's runs; on a Slurm cluster, submit each of them once and wait for the jobs."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from gradprom.errors import RunError
from gradprom.experiments.overrides import OverrideList
from gradprom.launch import local
from gradprom.runs.records import Study
from gradprom.storage.lease import exclusive
from gradprom.sweeps import queue
from gradprom.sweeps.plan import Plan, make_plan

ByRun = dict[str, OverrideList]
"""The overrides of each run, by its id."""

POLL = 3.0
"""Seconds between two queries of the queue."""


class JobLost(RunError):
    """A job ended before its run did."""


@dataclass(frozen=True)
class Packing:
    """How runs are packed into jobs and onto devices."""

    runs_per_job: int
    """Runs of one Slurm job."""
    runs_per_device: int
    """Runs at the same time on one device."""

    @classmethod
    def of(cls, node: DictConfig) -> "Packing":
        """Read from the composed configuration."""
        return cls(node.slurm.runs_per_job, node.runs_per_device)


def launch(
    plan: Plan, overrides: ByRun, launcher: Any, packing: Packing, first: int = 0
) -> list[Any]:
    """Run the pending jobs of a plan.

    Parameters
    ----------
    plan
        What is to be run.
    overrides
        The overrides of each run, by its id.
    launcher
        Hydra's launcher.
    packing
        How runs share jobs and devices.
    first
        The number of the first job in its sweep.

    Returns
    -------
    list
        For each pending job the exception that stopped it, or anything else.
    """
    if hasattr(launcher, "submit"):
        submit(plan, overrides, launcher, packing, first)
        return wait(plan)
    pending = {job.run.id: overrides[job.run.id] for job in plan.pending}
    if not pending:
        return []
    if packing.runs_per_device > 1:
        study, log = plan.jobs[0].run.study, plan.folder / "output.log"
        local.run(launcher, pending, study, packing.runs_per_device, first, log)
        return [_loss(study, run_id, log) for run_id in pending]
    done = launcher.launch(list(pending.values()), initial_job_idx=first)
    # the property `return_value` of a failed job raises
    return [job._return_value for job in done]


def submit(plan: Plan, overrides: ByRun, launcher: Any, packing: Packing, first: int = 0) -> None:
    """Submit the pending runs of a plan and print their job numbers.

    Two sweeps that share runs take turns; the second skips what the first has submitted in the
    meantime. Runs in progress on another machine are skipped too.

    Raises
    ------
    RunError
        If Slurm does not answer or rejects the jobs; the message is Slurm's own.
    """
    if not plan.pending:
        return
    study = plan.jobs[0].run.study
    with exclusive(study.folder / "submissions"):
        current = make_plan([job.run for job in plan.pending], plan.retry_failed)
        runs = [job.run.id for job in current.pending if job.state != "running"]
        missing = {run_id: overrides[run_id] for run_id in runs}
        for number, count in launcher.submit(missing, study, packing, first) if missing else []:
            print(f"submitted {count} run{'s' * (count != 1)} as Slurm job {number}", flush=True)


def wait(plan: Plan) -> list[Exception | None]:
    """Wait until the cluster has none of the plan's runs any more.

    Returns
    -------
    list
        For each pending job, an error if it was lost without a record.
    """
    study = plan.jobs[0].run.study
    ids = {job.run.id for job in plan.all_jobs}
    while (known := queue.jobs(study)) is None or ids & set(known):
        jobs = known or {}
        plan.queued = sum(jobs[run_id].state == "PENDING" for run_id in ids & set(jobs))
        time.sleep(POLL)
    logs = {job.run.id: queue.log_of(study, job.run.id) for job in plan.pending}
    return [_loss(study, run_id, log) for run_id, log in logs.items()]


def _loss(study: Study, run_id: str, log: Path | None) -> Exception | None:
    record = study.record(run_id)
    if record is not None and record.status != "started":
        return None
    ending = "was killed after it had started" if record else "did not start"
    return JobLost(f"{ending}; see {log}, or run the same command again")
