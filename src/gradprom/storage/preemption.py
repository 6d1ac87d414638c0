"""Preemption signals: a run that receives one leaves a checkpoint and continues elsewhere.

Slurm sends USR2 before a job's time limit (`signal_delay_s`) and TERM when it preempts the job.
"""

import signal

SIGNALS = (signal.SIGUSR2, signal.SIGTERM)

_requested = False


class Interrupted(BaseException):
    """The run was asked to stop and has left a checkpoint.

    Not an `Exception`: the run has not failed, and must not be recorded as failed.
    """


def listen() -> None:
    """Note signals from now on; a run stops where it loses little (`raise_if_requested`)."""
    for number in SIGNALS:
        signal.signal(number, _note)


def requested() -> bool:
    """Whether a preemption signal has arrived."""
    return _requested


def raise_if_requested() -> None:
    """Stop the run where there is nothing left to save.

    Raises
    ------
    Interrupted
        If a preemption signal has arrived.
    """
    if _requested:
        raise Interrupted


def _note(*_: object) -> None:
    global _requested
    _requested = True
