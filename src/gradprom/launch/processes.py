"""The runs of one Slurm job, or of a sweep on this machine, each in a process of its own.

A run that crashes or runs out of memory is recorded as failed and does not affect the others, and
several runs can share one GPU.
"""

import contextlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any

from gradprom.runs.records import Study
from gradprom.storage import preemption
from gradprom.storage.preemption import SIGNALS

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
    at_once: int
    """How many at the same time."""
    grace: int
    """Seconds between the signal to stop and the kill."""

    def __call__(self) -> None:
        """Run all; finished runs return at once."""
        import gradprom.runs.execution  # noqa: F401  imported once, before the forks

        children: dict[int, str] = {}
        _hand_on(children, self.grace)
        for run_id, parameters in zip(self.runs, self.parameters, strict=True):
            if len(children) == self.at_once:
                self._wait(children)
            children[_fork(lambda p=parameters: self.launch(*p))] = run_id  # type: ignore[misc]
        while children:
            self._wait(children)

    def checkpoint(self) -> Any:
        """Called by submitit before it requeues the job: submit the same pack again."""
        import submitit

        return submitit.helpers.DelayedSubmission(self)

    def _wait(self, children: dict[int, str]) -> None:
        """Wait for one process to end; record a run that was killed, which cannot do so itself."""
        process, status = os.wait()
        run_id = children.pop(process)
        code = os.waitstatus_to_exitcode(status)
        if code >= 0:
            return
        name = signal.Signals(-code).name
        hint = "; it probably ran out of memory" if code == -signal.SIGKILL else ""
        self.study.fail(run_id, "Killed", f"the process of the run ended with {name}{hint}")


def _fork(run: Callable[[], Any]) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        preemption.listen()
        run()
        code = 0
    except preemption.Interrupted:
        print("interrupted; a checkpoint was saved")
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _hand_on(children: dict[int, str], grace: int) -> None:
    """Forward the cluster's signals to the runs, and act on them once all have checkpointed.

    USR2 arrives before the time limit; the handler that was installed before, submitit's, then
    requeues the job. TERM means that Slurm itself preempts or ends the job.
    """
    requeue = signal.getsignal(signal.SIGUSR2)

    def stop(number: int, frame: FrameType | None) -> None:
        for listened in SIGNALS:
            signal.signal(listened, signal.SIG_IGN)  # more may follow; one is enough
        for process in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)
        _until_ended(list(children), time.monotonic() + SHARE * grace)
        if number == signal.SIGUSR2 and callable(requeue):
            requeue(number, frame)
            # only the first of several tasks requeues; a task that exits earlier would end the job
            time.sleep(grace)
        sys.exit(128 + number)

    for listened in SIGNALS:
        signal.signal(listened, stop)


def _until_ended(processes: list[int], deadline: float) -> None:
    while processes and time.monotonic() < deadline:
        processes = [process for process in processes if not _ended(process)]
        time.sleep(0.05)


def _ended(process: int) -> bool:
    try:
        return os.waitpid(process, os.WNOHANG) != (0, 0)
    except ChildProcessError:
        return True
