"""Where a run stands, by its record and by the signs of life of its process."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path

from gradprom.runs.record import Record
from gradprom.runs.run_progress import RunProgress
from gradprom.storage.lease import process_start

HEARTBEAT_TIMEOUT = 120.0
"""Seconds without a heartbeat after which a run on another machine counts as interrupted."""


def state_of(record: Record, fingerprints: dict[str, str] | None, alive: Callable[[], bool]) -> str:
    """`done`, `failed`, `pruned`, `running`, `interrupted`, or `other data`.

    Parameters
    ----------
    fingerprints
        Those of today's test sets by name, "" the run's own dataset's; None: whichever.
    alive
        Whether the run's process is at work; asked of a run that has not ended.
    """
    if record.status == "started":
        return "running" if alive() else "interrupted"
    if fingerprints not in (None, record.fingerprints()):
        return "other data"
    return "done" if record.finished else record.status


def is_alive(record: Record, path: Path, heartbeat: Callable[[], RunProgress | None]) -> bool:
    """Whether the process that began a run is at work on it.

    Parameters
    ----------
    path
        The file of the record, which is as old as the run.
    heartbeat
        Where the run stood when it last said so.
    """
    if record.host == socket.gethostname():
        born = process_start(record.pid)
        if born is None or born < path.stat().st_mtime:
            return born is not None
        # a process younger than the record has only got the number of one that is dead, or the
        # clock was set: let the heartbeat decide
    progress = heartbeat()
    # one from the future is as old as one from the past: clocks differ, and are set
    return progress is not None and abs(time.time() - progress.updated) < HEARTBEAT_TIMEOUT
