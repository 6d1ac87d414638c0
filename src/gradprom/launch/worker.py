"""A process that takes one run after another, each as if the process were new.

A run then does not wait for a process to start, nor for CUDA. A process is used again only after a
run that ended well: errors of CUDA outlast a run, and a traceback keeps what the run had in memory.
"""

import contextlib
import multiprocessing
import os
import pickle
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from gradprom.errors import RunError
from gradprom.launch.devices import VISIBLE
from gradprom.launch.process_state import ProcessState
from gradprom.storage import preemption

Launch = Callable[[Any], Any]
"""Runs one set of overrides; raises the exception that stopped the run."""


@dataclass
class Worker:
    """A worker as its pool sees it."""

    process: int
    connection: Connection
    run_id: str | None = None
    """The run that it is at work on; None while it waits for one."""

    def begin(self, run_id: str, argument: Any) -> None:
        """Begin a run; the worker sends its outcome, and whether it takes another run."""
        with contextlib.suppress(BrokenPipeError):  # it has just died, which the pool will see
            self.connection.send(argument)
        self.run_id = run_id

    def reap(self) -> int:
        """Wait for its end; returns the exit code, the negative number of a signal."""
        self.connection.close()
        return os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])


def start(launch: Launch, place: str, others: Sequence[Connection]) -> Worker:
    """Start a worker, forked from this process, which must not have initialized CUDA.

    Parameters
    ----------
    launch
        What it does with what it is sent.
    place
        The GPUs that it sees, as `VISIBLE` takes them; empty for those of this process.
    others
        Connections of this process, which the worker must not keep open.
    """
    return Worker(*fork(partial(_take_runs, launch, place), others))


def fork(
    work: Callable[[Connection], None], others: Sequence[Connection] = ()
) -> tuple[int, Connection]:
    """Start a process that does some work and ends; returns its number and the way to it."""
    ours, theirs = multiprocessing.Pipe()
    flush()
    process = os.fork()
    if process:
        theirs.close()
        return process, ours
    code: Any = 1
    try:
        for connection in (ours, *others):
            connection.close()
        work(theirs)
        code = 0
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
    finally:
        flush()
        os._exit(code)


def flush() -> None:
    """Flush standard output and error."""
    sys.stdout.flush()
    sys.stderr.flush()


@contextlib.contextmanager
def errors_in_log() -> Iterator[None]:
    """Print how a run ended that did not end well, for a log of its own."""
    try:
        yield
    except preemption.Interrupted:
        print("interrupted; a checkpoint was saved")
        raise
    except BaseException:
        traceback.print_exc()
        raise


def _take_runs(launch: Launch, place: str, connection: Connection) -> None:
    """Take runs until the other side closes the connection."""
    if place:
        os.environ[VISIBLE] = place
    state = ProcessState()
    stays = True
    while stays:
        preemption.listen()
        try:
            argument = connection.recv()
        except EOFError:
            return
        outcome, ended_well = _outcome(launch, argument)
        stays = ended_well and state.restore()
        flush()
        with contextlib.suppress(OSError):  # the pool has closed it: it is stopping
            connection.send((outcome, stays))


def _outcome(launch: Launch, argument: Any) -> tuple[Exception | None, bool]:
    """The exception that stopped a run, if one did, and whether the run ended well."""
    try:
        launch(argument)
    except preemption.Interrupted:
        return None, False
    except BaseException as error:
        return _portable(error), False
    return None, True


def _portable(error: BaseException) -> Exception:
    """The error, or its text where another process could not read it."""
    with contextlib.suppress(Exception):
        known = type(error).__module__.partition(".")[0] in ("builtins", "gradprom")
        if known and isinstance(error, Exception):
            pickle.loads(pickle.dumps(error))
            return error
    return RunError(f"{type(error).__name__}: {error}")
