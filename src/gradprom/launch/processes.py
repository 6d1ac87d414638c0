"""The workers of a sweep: one for each run that may be at work at the same time.

A run that crashes or runs out of memory takes its worker with it, and nothing else: it is recorded
as failed, and the next run gets a new worker.
"""

import contextlib
import os
import signal
import time
from multiprocessing.connection import Connection, wait
from typing import Any

from gradprom.launch import worker
from gradprom.launch.worker import Launch, Worker
from gradprom.runs import provenance
from gradprom.runs.records import Study

Outcomes = dict[str, Exception | None]
"""By run id, the exception that stopped the run, or None."""


class Pool:
    """Workers that stay until the pool is closed.

    Parameters
    ----------
    launch
        What a worker does with a run's argument.
    places
        The GPUs of each worker (`devices.places`).
    owner
        The connection to the process that waits for the runs; the runs stop when it has ended.
    """

    def __init__(self, launch: Launch, places: list[str], owner: Connection | None = None):
        self.launch, self.places, self.owner = launch, places, owner
        self.workers: dict[int, Worker] = {}
        """By the number of their place."""
        self.failed = False
        """Whether a run of those that it was last given has failed."""
        prepare()

    def run(
        self, arguments: dict[str, Any], study: Study, stops_at_failure: bool = False
    ) -> Outcomes:
        """Run all; returns when they have ended.

        Parameters
        ----------
        arguments
            What `launch` takes, by the id of the run.
        study
            Where the runs leave their records.
        stops_at_failure
            Whether no further run begins after one has failed.
        """
        outcomes: Outcomes = {}
        self.failed = False
        for run_id, argument in arguments.items():
            while (number := self._free_place()) is None:
                self._collect(outcomes, study)
            if stops_at_failure and self.failed:
                break
            self._worker(number).begin(run_id, argument)
        while self._busy():
            self._collect(outcomes, study)
        return outcomes

    def stop(self, number: int, seconds: float) -> None:
        """Send a signal to the runs, and wait until they have left a checkpoint.

        Parameters
        ----------
        number
            The signal.
        seconds
            How long to wait before they are killed.
        """
        for busy in self._busy().values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(busy.process, number)
        workers = [each.process for each in self.workers.values()]
        self.close()
        deadline = time.monotonic() + seconds
        while (workers := [each for each in workers if not _ended(each)]) and (
            time.monotonic() < deadline
        ):
            time.sleep(0.05)
        for each in workers:
            os.kill(each, signal.SIGKILL)

    def close(self) -> None:
        """Let the workers end."""
        for each in self.workers.values():
            each.connection.close()

    def _busy(self) -> dict[int, Worker]:
        return {n: each for n, each in self.workers.items() if each.run_id is not None}

    def _free_place(self) -> int | None:
        busy = self._busy()
        return next((n for n in range(len(self.places)) if n not in busy), None)

    def _worker(self, number: int) -> Worker:
        """The idle worker of a place; a new one where there is none, or it has died."""
        idle = self.workers.get(number)
        if idle is not None and idle.connection.poll():
            self.workers.pop(number).reap()
        if number not in self.workers:
            others = [each.connection for each in self.workers.values()]
            others += [self.owner] if self.owner else []
            self.workers[number] = worker.start(self.launch, self.places[number], others)
        return self.workers[number]

    def _collect(self, outcomes: Outcomes, study: Study) -> None:
        """Wait for a run to end; record one that was killed, which cannot do so itself."""
        owner = [self.owner] if self.owner else []
        ready = wait([*owner, *(each.connection for each in self._busy().values())])
        if self.owner in ready:  # it sends nothing meanwhile: it has ended
            os.kill(os.getpid(), signal.SIGTERM)
        for number, each in self._busy().items():
            if each.connection not in ready:
                continue
            run_id, each.run_id = str(each.run_id), None
            try:
                outcomes[run_id], stays = each.connection.recv()
            except (EOFError, ConnectionResetError):
                self.failed = True
                study.fail(run_id, "Killed", _death(self.workers.pop(number).reap()))
            else:
                self.failed |= outcomes[run_id] is not None
                if not stays:
                    self.workers.pop(number).reap()


def prepare() -> None:
    """Import and find out what all runs need, once for all workers that will be forked."""
    # the first step of a run would import it, which takes as long as importing torch
    import torch.fx.experimental.symbolic_shapes  # noqa: F401

    import gradprom.runs.execution  # noqa: F401

    provenance.revision()  # of the code as it was imported


def _death(code: int) -> str:
    if code >= 0:
        return f"the process of the run ended with exit code {code}"
    hint = "; it probably ran out of memory" if code == -signal.SIGKILL else ""
    return f"the process of the run ended with {signal.Signals(-code).name}{hint}"


def _ended(process: int) -> bool:
    try:
        return os.waitpid(process, os.WNOHANG) != (0, 0)
    except ChildProcessError:
        return True
