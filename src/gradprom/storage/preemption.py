"""A cluster's word that a run has to make room: it leaves a checkpoint and goes on elsewhere.

Slurm sends USR2 before a job's time is over (`signal_delay_s`) and TERM when it takes the job away.
"""

import signal

SIGNALS = (signal.SIGUSR2, signal.SIGTERM)

_asked = False


class Interrupted(BaseException):
    """The run was asked to stop, and has left a checkpoint.

    No `Exception`: nothing of the run has failed, and nothing should note it as a failure.
    """


def listen() -> None:
    """From now on a signal is noted, and obeyed where a run can stop without losing much."""
    for number in SIGNALS:
        signal.signal(number, _note)


def asked() -> bool:
    """Whether a signal has come."""
    return _asked


def obey() -> None:
    """Raises Interrupted if a signal has come; for places where nothing is left to be saved."""
    if _asked:
        raise Interrupted


def _note(*_: object) -> None:
    global _asked
    _asked = True
