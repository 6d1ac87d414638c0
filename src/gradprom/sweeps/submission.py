"""A plan's runs in the hands of a SLURM cluster: submitted once, waited for, asked after."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from gradprom.errors import RunError
from gradprom.sweeps import cluster
from gradprom.sweeps import plan as plans
from gradprom.sweeps.plan import Plan
from gradprom.sweeps.records import Study
from gradprom.training.lease import Applicant

POLL = 3.0
"""Seconds between two looks at the queue."""


def submit(plan: Plan, words: dict[str, list[str]], launcher: Any, options: Any) -> list[Any]:
    """Submit the plan's pending runs; returns each job's, or array's, id and number of runs.

    words: those of each run, by its id. Two sweeps that share runs take turns, and the second
    leaves out what the first has submitted meanwhile.

    Raises
    ------
    RunError
        If Slurm does not answer, or does not take the jobs; in Slurm's own words.
    """
    study = plan.jobs[0].run.study
    with _turn(study):
        fresh = plans.make([job.run for job in plan.pending], plan.retry_failed)
        runs = [job.run.id for job in fresh.pending]
        if not runs:
            return []
        return launcher.submit([words[run_id] for run_id in runs], runs, study, options)


@contextlib.contextmanager
def _turn(study: Study) -> Iterator[None]:
    applicant = Applicant(study.folder / "submissions")
    while (lease := applicant.try_acquire()) is None:
        time.sleep(0.2)
    with lease.kept():
        yield


def wait(plan: Plan) -> list[Exception | None]:
    """Until the cluster has none of the plan's runs any more.

    Returns, for each pending job, what is to be said of one that left no record.
    """
    study = plan.jobs[0].run.study
    ids = {job.run.id for job in plan.jobs}
    while (found := cluster.jobs(study)) is None or ids & set(found):
        jobs = found or {}
        plan.queued = sum(jobs[run_id].state == "PENDING" for run_id in ids & set(jobs))
        time.sleep(POLL)
    return [_silent(study, job.run.id) for job in plan.pending]


def _silent(study: Study, run_id: str) -> Exception | None:
    record = study.record(run_id)
    if record is not None and record["status"] != "started":
        return None
    told = "began and was taken away" if record else "did not begin"
    return RunError(f"{told}; see {cluster.log_of(study, run_id)}, or type the command again")
