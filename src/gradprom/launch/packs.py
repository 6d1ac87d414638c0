"""The runs of one Slurm job, in workers that share the job's GPUs."""

import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any

from gradprom.launch import devices
from gradprom.launch.processes import Pool
from gradprom.launch.worker import errors_in_log, fork
from gradprom.runs.records import Study
from gradprom.storage.preemption import SIGNALS
from gradprom.training.parallel.placement import slurm_tasks

SHARE = 0.75
"""Share of the time after a signal that is left to the runs; the rest is for the requeue."""


@dataclass
class Pack:
    """Some runs as submitit's callable: called in the job, and again when the job is requeued."""

    launch: Callable[..., Any]
    """Hydra's launcher, or another callable that runs one set of overrides."""
    parameters: list[tuple[Any, ...]]
    """What `launch` takes, for each run."""
    runs: list[str]
    """Their ids."""
    study: Study
    runs_per_device: int
    """How many share a GPU at the same time."""
    devices: int
    """How many GPUs a run takes."""
    on_gpu: bool
    """Whether runs use GPUs at all."""
    grace: int
    """Seconds between the signal to stop and the kill."""

    def __call__(self) -> None:
        """Run all; finished runs return at once."""
        pool = Pool(self._launch, self._places())
        _hand_on(pool, self.grace)
        pool.run(dict(zip(self.runs, range(len(self.runs)), strict=True)), self.study)
        pool.close()

    def checkpoint(self) -> Any:
        """Called by submitit before it requeues the job: submit the same pack again."""
        import submitit

        return submitit.helpers.DelayedSubmission(self)

    def _launch(self, number: int) -> None:
        with errors_in_log():
            self.launch(*self.parameters[number])

    def _places(self) -> list[str]:
        # of several tasks each is a rank of every run, and takes its own GPU
        names = _gpus() if self.on_gpu and slurm_tasks() == 1 else []
        return devices.places(names, self.devices, self.runs_per_device)


def _gpus() -> list[str]:
    """As `devices.gpus`; asked in a process of its own, because to ask may initialize CUDA."""
    process, connection = fork(lambda connection: connection.send(devices.gpus()))
    names: list[str] = connection.recv()
    os.waitpid(process, 0)
    return names


def _hand_on(pool: Pool, grace: int) -> None:
    """Forward the cluster's signals to the runs, and act on them once all have checkpointed.

    USR2 arrives before the time limit; the handler that was installed before, submitit's, then
    requeues the job. TERM means that Slurm itself preempts or ends the job.
    """
    requeue = signal.getsignal(signal.SIGUSR2)

    def stop(number: int, frame: FrameType | None) -> None:
        for listened in SIGNALS:
            signal.signal(listened, signal.SIG_IGN)  # more may follow; one is enough
        pool.stop(number, SHARE * grace)
        if number == signal.SIGUSR2 and callable(requeue):
            requeue(number, frame)
            # only the first of several tasks requeues; a task that exits earlier would end the job
            time.sleep(grace)
        sys.exit(128 + number)

    for listened in SIGNALS:
        signal.signal(listened, stop)
