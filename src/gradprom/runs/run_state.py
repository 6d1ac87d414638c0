"""The state of a run, from its record and its process's heartbeat."""

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
        Of the present test sets by name, "" for the run's own dataset; None: do not compare.
    alive
        Whether the run's process is at work; called only for a run that has not ended.
    """
    if record.status == "started":
        return "running" if alive() else "interrupted"
    if fingerprints not in (None, record.fingerprints()):
        return "other data"
    return "done" if record.finished else record.status


def is_alive(record: Record, path: Path, heartbeat: Callable[[], RunProgress | None]) -> bool:
    """Whether the process that started a run is still at work on it.

    Parameters
    ----------
    path
        The file of the record, written when the run started.
    heartbeat
        Reads the run's last progress.
    """
    if record.host == socket.gethostname():
        process_started = process_start(record.pid)
        if process_started is None or process_started < path.stat().st_mtime:
            return process_started is not None
        # a process younger than the record has reused the number of a dead one, or the clock was
        # set: let the heartbeat decide
    progress = heartbeat()
    # clocks differ and may be set: a heartbeat may come from the future
    return progress is not None and abs(time.time() - progress.updated) < HEARTBEAT_TIMEOUT
