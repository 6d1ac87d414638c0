"""Launch a plan's runs; on a Slurm cluster, submit each of them once and wait for the jobs."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from gradprom.errors import RunError
from gradprom.experiments.overrides import OverrideList
from gradprom.launch import devices
from gradprom.launch.local import Workers
from gradprom.runs.records import Study
from gradprom.storage.files import NO_ROOM
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
    device: str = "auto"
    """The kind of device, as `trainer.device` names it."""
    devices: int = 1
    """Devices that a run takes."""

    @classmethod
    def of(cls, node: DictConfig) -> "Packing":
        """Read from the composed configuration."""
        trainer = node.trainer
        return cls(node.slurm.runs_per_job, node.runs_per_device, trainer.device, trainer.devices)

    @property
    def on_gpu(self) -> bool:
        """Whether runs use GPUs, where there are any."""
        return self.device in ("auto", "cuda")

    def gpus(self) -> list[str]:
        """The GPUs of this machine that a sweep uses."""
        return devices.gpus() if self.on_gpu else []

    def places(self) -> list[str]:
        """Where runs of a sweep on this machine can be at work (`devices.places`)."""
        return devices.places(self.gpus(), self.devices, self.runs_per_device)

    def describe(self, pending: int) -> tuple[str, int]:
        """What pending runs run on here, in words, and how many of them at the same time."""
        at_once = max(1, min(pending, len(self.places())))
        return devices.describe(self.gpus(), at_once), at_once


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
    if isinstance(launcher, Workers):
        return _launch_here(plan, pending, launcher, packing, first)
    done = launcher.launch(list(pending.values()), initial_job_idx=first)
    # the property `return_value` of a failed job raises
    return [job._return_value for job in done]


def _launch_here(
    plan: Plan, pending: ByRun, workers: Workers, packing: Packing, first: int
) -> list[Any]:
    """Run on this machine; runs that share its devices have a log of their own."""
    study = plan.jobs[0].run.study
    places = packing.places()
    log = plan.folder / "output.log" if len(places) > 1 else None
    outcomes = workers.run(pending, study, places, first, log, plan.stops_at_failure)
    for outcome in outcomes.values():
        if isinstance(outcome, OSError) and outcome.errno in NO_ROOM:
            raise outcome
    return [outcomes.get(run_id) or _loss(study, run_id, log) for run_id in pending]


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
    where = f"see {log}, or " if log else ""
    return JobLost(f"{ending}; {where}run the same command again")
